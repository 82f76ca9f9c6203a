//! A slab: 64 KiB of objects of one class behind a header that any of its objects finds by masking its address.
//!
//! Promises that the header stays valid as long as one object of the slab is live or in a thread's cache. Knows the
//! core only as the pointer whose reference it holds.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use std::sync::Arc;

use super::class::{self, LINE};
#[cfg(feature = "hardened")]
use super::guard;
use super::shared::PoolCore;
use crate::annotate;
use crate::backend::Block;
use crate::sync::{AtomicU64, Ordering};
use crate::unwind::{attempt, resume};

/// Bytes of a slab, and its alignment.
pub(super) const SLAB: usize = crate::stats::SLAB_BYTES;

/// The key of a slab whose pool is closed: no thread's cache bears it.
pub(super) const CLOSED: u64 = u64::MAX;

/// Where the key stands if it is not coloured: on a line that nobody writes to.
const KEY: usize = size_of::<Header>().next_multiple_of(LINE);

/// Lines among which the keys of coloured slabs are spread.
const COLOURS: usize = 16;

/// What stands at the start of a slab; behind it stands the slab's key. It is reached through raw pointers, field by field,
/// under the depot's lock, but for what never changes.
pub(super) struct Header {
    /// Never changes.
    #[cfg(feature = "hardened")]
    pub(super) magic: u64,
    /// A counted reference, so that the core outlives its slabs. Never changes.
    core: *const PoolCore,
    block: Block,
    class: usize,
    /// Objects the slab has room for. Never changes.
    pub(super) slots: usize,
    /// Objects that were handed out at least once, from the front. Depot's lock.
    pub(super) carved: usize,
    /// Objects in the depot: counted during a sweep, and kept once the pool is closed. Depot's lock.
    pub(super) free: usize,
    /// The next slab of the list this one is in. Depot's lock.
    pub(super) next: Option<Slab>,
    /// The next slab of this class that has room for carving. Depot's lock.
    pub(super) next_open: Option<Slab>,
}

/// Names a slab.
pub(super) type Slab = NonNull<Header>;

/// The slab of an object.
///
/// # Safety
///
/// `object` points to an object of a slab, with the provenance of the slab.
#[inline(always)]
pub(super) unsafe fn of(object: NonNull<u8>) -> Slab {
    let header = object.as_ptr().map_addr(|address| address & !(SLAB - 1)).cast::<Header>();
    // SAFETY: the header is the start of a slab, which is not null.
    unsafe { NonNull::new_unchecked(header) }
}

/// Whether slabs of `class` have their keys on different lines. Every free reads the key of its slab; few sets of a cache
/// hold what lies at the same place of every slab, and slabs of large objects are many.
const fn is_coloured(class: usize) -> bool {
    class::size(class) >= 512
}

/// Where a slab's key stands.
///
/// # Safety
///
/// `slab` names a slab of `class` with the provenance of the whole of it.
#[inline(always)]
unsafe fn place_of_key(slab: Slab, class: usize) -> *mut AtomicU64 {
    let colour = if is_coloured(class) { slab.addr().get() / SLAB % COLOURS } else { 0 };
    // SAFETY: objects start behind the last of these places (`first`).
    unsafe { slab.as_ptr().cast::<u8>().add(KEY + colour * LINE).cast() }
}

/// The key of a slab of `class`: the pool's instance id, or [`CLOSED`].
///
/// # Safety
///
/// The slab is alive, the caller having one of its objects or the depot's lock, and is of this class.
#[inline(always)]
pub(super) unsafe fn key(slab: Slab, class: usize) -> u64 {
    // Relaxed: the key only decides between a cache of this thread and the depot, both of which are right at any
    // time; what it guards is published by the depot's lock.
    // SAFETY: the slab is alive, and its key is only ever accessed atomically.
    unsafe { (*place_of_key(slab, class)).load(Ordering::Relaxed) }
}

/// Closes a slab: from now on its objects go to the depot.
///
/// # Safety
///
/// As for [`key`].
pub(super) unsafe fn close(slab: Slab) {
    // Relaxed: see `key`.
    // SAFETY: as in `key`.
    unsafe { (*place_of_key(slab, class(slab))).store(CLOSED, Ordering::Relaxed) }
}

/// The slab's own reference to its core, to be used as long as the slab is certain to be alive.
///
/// # Safety
///
/// As for [`key`].
pub(super) unsafe fn core(slab: Slab) -> ManuallyDrop<Arc<PoolCore>> {
    // SAFETY: the reference was made by `Arc::into_raw` in `build`, and is not dropped here.
    unsafe { ManuallyDrop::new(Arc::from_raw((*slab.as_ptr()).core)) }
}

/// The class of a slab's objects.
///
/// # Safety
///
/// As for [`key`].
pub(super) unsafe fn class(slab: Slab) -> usize {
    // SAFETY: the slab is alive, and its class never changes.
    unsafe { (*slab.as_ptr()).class }
}

/// Makes a slab of `block`, which it owns from now on.
///
/// # Safety
///
/// `block` is unused memory of [`SLAB`] bytes with that alignment, from the core's source.
pub(super) unsafe fn build(core: &Arc<PoolCore>, block: Block, class: usize) -> Slab {
    let slab = block.ptr.cast::<Header>();
    let first = first(class);
    // SAFETY: the block has room for the header and is aligned for it; nobody else knows of it yet.
    unsafe {
        slab.write(Header {
            #[cfg(feature = "hardened")]
            magic: guard::MAGIC,
            core: Arc::into_raw(Arc::clone(core)),
            block,
            class,
            slots: SLAB / class::size(class) - first,
            carved: 0,
            free: 0,
            next: None,
            next_open: None,
        });
        place_of_key(slab, class).write(AtomicU64::new(core.id()));
        #[cfg(feature = "hardened")]
        bitmap(slab, class).cast::<u8>().write_bytes(0, guard::bitmap_bytes(class));
        let start = first * class::size(class) - shift(slab, class);
        annotate::withheld(block.ptr.as_ptr().add(start), SLAB - start);
    }
    slab
}

/// Bytes that a slab's objects begin before the place that follows from their size: another number of lines in each of a few
/// neighbouring slabs, as many as its header leaves free.
#[inline(always)]
pub(super) fn shift(slab: Slab, class: usize) -> usize {
    /// So many lines are 512 bytes.
    const MOST: usize = 8;
    if !class::is_spread(class) {
        return 0;
    }
    let free = (first(class) * class::size(class) - end_of_header(class)) / LINE;
    slab.addr().get() / SLAB % (free + 1).min(MOST) * LINE
}

/// The object at `index` of those a slab has room for.
///
/// # Safety
///
/// The slab is alive and `index` is less than its `slots`.
pub(super) unsafe fn object(slab: Slab, class: usize, index: usize) -> NonNull<u8> {
    // SAFETY: that index lies inside the slab by the caller's promise.
    unsafe { slab.cast::<u8>().add((first(class) + index) * class::size(class) - shift(slab, class)) }
}

/// Where the header and the key end.
const fn end_of_keys(class: usize) -> usize {
    let lines = if is_coloured(class) { COLOURS } else { 1 };
    KEY + lines * LINE
}

/// Objects the header and what belongs to it take the place of.
pub(super) const fn first(class: usize) -> usize {
    end_of_header(class).div_ceil(class::size(class))
}

/// Where the header and what belongs to it end.
const fn end_of_header(class: usize) -> usize {
    #[cfg(feature = "hardened")]
    return end_of_keys(class) + guard::bitmap_bytes(class);
    #[cfg(not(feature = "hardened"))]
    return end_of_keys(class);
}

/// The bitmap of live objects.
///
/// # Safety
///
/// `slab` names a slab of `class` with the provenance of the whole of it.
#[cfg(feature = "hardened")]
pub(super) unsafe fn bitmap(slab: Slab, class: usize) -> *mut core::sync::atomic::AtomicU64 {
    // SAFETY: objects start behind the bitmap (`first`), which starts at a multiple of a line.
    unsafe { slab.as_ptr().cast::<u8>().add(end_of_keys(class)).cast() }
}

/// Slabs that are wholly free and in no list any more: dropping it gives them back.
#[derive(Default)]
pub(super) struct Doomed {
    head: Option<Slab>,
    count: usize,
}

impl Doomed {
    /// # Safety
    ///
    /// The slab is alive, and known to nobody else: all its objects are in the depot, which forgot them.
    pub(super) unsafe fn push(&mut self, slab: Slab) {
        // SAFETY: the caller is the only one to know the slab.
        unsafe { (*slab.as_ptr()).next = self.head.replace(slab) };
        self.count += 1;
    }

    /// Bytes that will be given back.
    pub(super) const fn bytes(&self) -> usize {
        self.count * SLAB
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        let mut panicked = None;
        while let Some(slab) = self.head {
            // SAFETY: the slab is known to this list alone (`push`), so that its reference to the core and its
            // block are taken out once; the header is not touched afterwards.
            let (core, block) = unsafe {
                self.head = (*slab.as_ptr()).next;
                (Arc::from_raw((*slab.as_ptr()).core), (*slab.as_ptr()).block)
            };
            #[cfg(feature = "hardened")]
            guard::remove_slab(slab);
            // The governor is told of every slab; if it panics the rest are given back all the same.
            attempt(&mut panicked, || core.give_back_slab(block));
            // It may be the last of its core, with which the source and the backends go.
            attempt(&mut panicked, || drop(core));
        }
        resume(panicked);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::alloc::{Layout, alloc, dealloc};
    use std::collections::BTreeSet;

    use super::*;

    /// Of slabs that lie side by side, of each class: the header, the key, in `hardened` the bitmap, and the objects.
    #[test]
    fn parts_of_a_slab_do_not_overlap() {
        let layout = Layout::from_size_align(COLOURS * SLAB, SLAB).expect("a valid layout");
        // SAFETY: of more than no bytes.
        let memory = NonNull::new(unsafe { alloc(layout) }).expect("a megabyte");
        for class in 0..class::CLASSES {
            let size = class::size(class);
            let (mut keys, mut objects) = (BTreeSet::new(), BTreeSet::new());
            for at in 0..COLOURS {
                // SAFETY: inside of the block; nothing is read there.
                let slab: Slab = unsafe { memory.add(at * SLAB) }.cast();
                // SAFETY: names the whole of a slab of any class.
                let key = unsafe { place_of_key(slab, class) }.addr() - slab.addr().get();
                assert!(key >= size_of::<Header>() && key.is_multiple_of(LINE));
                // SAFETY: as above.
                let first_object = unsafe { object(slab, class, 0) }.addr().get() - slab.addr().get();
                assert!(first_object >= key + LINE, "class {class}, slab {at}");
                #[cfg(feature = "hardened")]
                {
                    // SAFETY: as above.
                    let bits = unsafe { bitmap(slab, class) }.addr() - slab.addr().get();
                    assert!(bits >= key + LINE && bits + guard::bitmap_bytes(class) <= first_object);
                }
                let slots = SLAB / size - first(class);
                // SAFETY: as above.
                let last = unsafe { object(slab, class, slots - 1) }.addr().get() - slab.addr().get();
                assert_eq!(last, first_object + (slots - 1) * size);
                assert!(last + size <= SLAB);
                assert!(SLAB - slots * size < end_of_header(class) + 2 * size, "room is lost");
                keys.insert(key);
                objects.insert(first_object);
            }
            // Small objects share a line with no other slab's key, and lose no room to it.
            assert_eq!(keys.len(), if size >= 512 { COLOURS } else { 1 });
            assert!(size >= 512 || cfg!(feature = "hardened") || first(class) * size <= 3 * LINE + size);
            let spread = if class::is_spread(class) { 6..=8 } else { 1..=1 };
            assert!(spread.contains(&objects.len()), "class {class}: {} places", objects.len());
        }
        // SAFETY: the block, with its layout.
        unsafe { dealloc(memory.as_ptr(), layout) };
    }
}
