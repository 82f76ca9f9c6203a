//! Pools: objects that outlive the frame, of eighteen sizes, with a cache for each thread over a shared depot.
//!
//! Promises that memory freed on any thread, also on a dying one and after the pool is gone, finds its way back, and
//! that a slab with a live object is never given up. Memory comes from the backends; what a thread is, `thread` knows.

#![allow(clippy::inline_always, reason = "the warm path is short and must vanish into the caller")]

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;
use std::sync::Arc;

mod boxed;
mod cache;
mod class;
mod depot;
#[cfg(feature = "hardened")]
mod guard;
mod large;
mod parcel;
mod shared;
mod slab;
#[cfg(all(test, not(loom)))]
mod tests;

pub use boxed::{HeapBox, PoolBox};

use crate::annotate::{self, SLACK_IS_FREE};
use crate::backend::Source;
use crate::error::AllocError;
use crate::fallible::{Fallible, TryAllocator};
use crate::stats::{ClassStats, POOL_SIZES, PoolStats, PoolSurvey};
use crate::thread;
use allocator_api2::alloc::{AllocError as NoMemory, Allocator};
use shared::PoolCore;

/// A pool: memory that lives as long as its user wants, on any thread, at a few instructions an object.
///
/// Objects up to 4096 bytes, of an alignment up to that, come from slabs of 64 KiB, each of one size class: a power of
/// two, or half-way between two of them. Larger ones come straight from the backend. A clone is another name of the same
/// pool. Boxes do not borrow the pool: they may be dropped after it, on any thread.
///
/// A thread that comes to a pool for the first time, be it to free, asks the program's allocator for its cache, some 100 KiB; where
/// many more objects are free than before, freeing one asks it for 2 KiB, so that a batch can be handed on. A refusal of either does
/// no harm but that the lock is taken more often. A loop that may not call it at all warms up before.
///
/// A pool is closed when its `SmartAlloc` and all its clones are gone. Then free slabs go back to their backend, and each of the
/// others follows when its last object is dropped; those of which a live thread has objects in its cache, when that frees an object
/// of the pool, comes to other pools or allocators for the first time, or ends.
///
/// As an [`Allocator`] the pool panics, and unwinds, where it has no memory; a collection
/// would make an abort of an `Err`. [`fallible`](Self::fallible) is the one that returns it, for the `try_` methods of
/// collections.
///
/// ```
/// use framealloc_core::SmartAlloc;
/// let alloc = SmartAlloc::default();
/// let pool = alloc.pool().clone();
/// let kept = pool.alloc_box([1u32, 2, 3]);
/// let sum = std::thread::spawn(move || kept.iter().sum::<u32>()).join().unwrap();
/// assert_eq!(sum, 6);
/// ```
#[derive(Clone)]
pub struct Pool {
    /// The core's, here for the warm path.
    id: u64,
    door: Arc<Door>,
}

/// What all clones of a pool share; the last one closes it.
struct Door {
    core: Arc<PoolCore>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl Pool {
    /// A pool that takes its memory from `source`.
    pub(crate) fn new(source: Arc<Source>) -> Self {
        let id = thread::unique().get();
        let door = Arc::new_cyclic(|door| Door { core: Arc::new(PoolCore::new(id, door.clone(), source)) });
        Self { id, door }
    }

    /// Moves `value` into the pool.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let alloc = SmartAlloc::default();
    /// let mut b = alloc.pool().alloc_box(5);
    /// *b += 1;
    /// assert_eq!(*b, 6);
    /// ```
    ///
    /// # Panics
    ///
    /// If the governor or the backend refuses a slab.
    #[inline(always)]
    #[track_caller]
    pub fn alloc_box<T>(&self, value: T) -> PoolBox<T> {
        self.alloc_box_with(|| value)
    }

    /// As [`alloc_box`](Self::alloc_box), but for an error instead of the panic; `value` is dropped then.
    ///
    /// # Errors
    ///
    /// If the governor or the backend refuses a slab.
    #[inline(always)]
    #[track_caller]
    pub fn try_alloc_box<T>(&self, value: T) -> Result<PoolBox<T>, AllocError> {
        self.try_alloc_box_with(|| value)
    }

    /// Builds a value in place. The closure may allocate; if it panics the memory is free again.
    ///
    /// # Panics
    ///
    /// If the governor or the backend refuses a slab.
    #[inline(always)]
    #[track_caller]
    pub fn alloc_box_with<T>(&self, init: impl FnOnce() -> T) -> PoolBox<T> {
        match self.try_alloc_box_with(init) {
            Ok(boxed) => boxed,
            Err(error) => error.raise(),
        }
    }

    /// As [`alloc_box_with`](Self::alloc_box_with), but for an error instead of the panic; the closure does not run
    /// then.
    ///
    /// # Errors
    ///
    /// If the governor or the backend refuses a slab.
    #[inline(always)]
    #[track_caller]
    pub fn try_alloc_box_with<T>(&self, init: impl FnOnce() -> T) -> Result<PoolBox<T>, AllocError> {
        let memory = self.obtain(Layout::new::<T>())?;
        // SAFETY: the memory is for this layout, and released as a pool's.
        Ok(unsafe { PoolBox::init(memory, init) })
    }

    /// Moves `value` into a block of its own, straight from the backend: for what is large or lives long. Of any
    /// size and alignment.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let alloc = SmartAlloc::default();
    /// let grid = alloc.pool().heap_box([0u8; 10_000]);
    /// assert_eq!(grid.len(), 10_000);
    /// ```
    ///
    /// # Panics
    ///
    /// If the governor or the backend refuses the block.
    #[track_caller]
    pub fn heap_box<T>(&self, value: T) -> HeapBox<T> {
        match self.try_heap_box(value) {
            Ok(boxed) => boxed,
            Err(error) => error.raise(),
        }
    }

    /// As [`heap_box`](Self::heap_box), but for an error instead of the panic; `value` is dropped then.
    ///
    /// # Errors
    ///
    /// If the governor or the backend refuses the block.
    #[track_caller]
    pub fn try_heap_box<T>(&self, value: T) -> Result<HeapBox<T>, AllocError> {
        let memory = if size_of::<T>() == 0 {
            dangling(Layout::new::<T>())
        } else {
            large::allocate(&self.door.core, Layout::new::<T>())?
        };
        // SAFETY: the memory is for this layout, and released as a large block.
        Ok(unsafe { HeapBox::init(memory, || value) })
    }

    /// The list of what is live, if the allocator's blocks are [traced](crate::AllocConfig::with_tracing).
    #[cfg(feature = "trace")]
    #[must_use]
    pub fn census(&self) -> Option<crate::Census> {
        self.door.core.tracer().cloned().map(crate::Census::new)
    }

    /// This pool as an allocator that returns errors: for `try_reserve` and the like.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// use allocator_api2::vec::Vec;
    /// let alloc = SmartAlloc::default();
    /// let mut list = Vec::new_in(alloc.pool().fallible());
    /// assert!(list.try_reserve(usize::MAX / 32).is_err());
    /// list.try_reserve(10).unwrap();
    /// list.push(1u64);
    /// ```
    #[must_use]
    pub fn fallible(&self) -> Fallible<Self> {
        Fallible(self.clone())
    }

    /// Gives slabs without a live object back to their backend and returns their bytes. Objects in this thread's
    /// cache count as free, those in other threads' caches do not. Takes time for every free object in the depot, and
    /// threads that need the depot wait meanwhile.
    #[expect(clippy::must_use_candidate, reason = "the figure is for those who want it")]
    pub fn trim(&self) -> usize {
        self.door.core.trim()
    }

    /// What the pool holds. Objects in threads' caches count as handed out.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.door.core.stats()
    }

    /// The figures of each size of objects, the smallest first. Takes the depot's lock.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let alloc = SmartAlloc::default();
    /// let live = [1, 2].map(|value| alloc.pool_box([value; 12]));
    /// let sizes = alloc.pool().sizes();
    /// assert!(sizes.iter().any(|of| of.size == 48 && of.outstanding >= live.len()));
    /// ```
    #[must_use]
    pub fn sizes(&self) -> [ClassStats; POOL_SIZES] {
        self.door.core.sizes()
    }

    /// How the objects are spread over their slabs, and with that what [`trim`](Self::trim) would give back if this thread asked
    /// for it. Objects in this thread's cache count as free, those in other threads' caches as handed out. Takes time for every slab
    /// and every free object, and threads that need the depot wait meanwhile: not for each frame.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let alloc = SmartAlloc::default();
    /// let mut boxes: Vec<_> = (0..10_000u64).map(|n| alloc.pool_box([n; 4])).collect();
    /// boxes.truncate(1);
    /// let survey = alloc.pool().survey();
    /// println!("{survey}");
    /// assert!(survey.fragmentation() > 0.99); // one object keeps a slab
    /// assert_eq!(survey.trimmable_bytes(), alloc.pool().trim());
    /// ```
    #[must_use]
    pub fn survey(&self) -> PoolSurvey {
        self.door.core.survey()
    }

    /// Memory for `layout`; none is taken for a size of 0.
    #[inline(always)]
    #[track_caller]
    fn obtain(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if layout.size() == 0 {
            return Ok(dangling(layout));
        }
        let Some(class) = class::of(layout) else {
            return large::allocate(&self.door.core, layout);
        };
        let object = match cache::take(self.id, class) {
            Some(object) => object,
            None => self.door.core.next(class)?,
        };
        // SAFETY: the object was free, of this class, and is not shorter.
        unsafe {
            annotate::fresh(object.as_ptr(), usable(layout));
            #[cfg(feature = "hardened")]
            guard::hand_out(object, layout, class);
        }
        #[cfg(feature = "trace")]
        if let Some(tracer) = self.door.core.tracer() {
            tracer.add(object, layout, core::panic::Location::caller());
        }
        Ok(object)
    }
}

/// Releases memory of a pool, on any thread.
///
/// # Safety
///
/// The memory came from [`Pool::obtain`] with a layout of this size and alignment, or one of the same class, and is
/// not used any more.
#[inline(always)]
unsafe fn release(memory: NonNull<u8>, layout: Layout) {
    if layout.size() == 0 {
        return;
    }
    // SAFETY: by the caller's promise; an object of a class was cut from a slab, and its pointer has the slab's
    // provenance. The key is read here, after the value's destructor, which may have closed the pool.
    unsafe {
        let Some(class) = class::of(layout) else {
            return large::free(memory, layout);
        };
        #[cfg(feature = "hardened")]
        guard::take_back(memory, layout, class);
        #[cfg(feature = "trace")]
        if let Some(tracer) = tracer_of(memory) {
            tracer.remove(memory);
        }
        annotate::freed(memory.as_ptr(), class::size(class));
        let slab = slab::of(memory);
        if !cache::put(slab::key(slab, class), class, memory) {
            shared::free_slow(slab, memory);
        }
    }
}

/// What is known of the pool of an object, if that is traced.
///
/// # Safety
///
/// An object of a slab is live there.
#[cfg(feature = "trace")]
unsafe fn tracer_of(object: NonNull<u8>) -> Option<Arc<crate::trace::Tracer>> {
    // SAFETY: the object was cut from a slab, which it keeps.
    unsafe { slab::core(slab::of(object)) }.tracer().cloned()
}

/// An address for what takes no memory.
const fn dangling(layout: Layout) -> NonNull<u8> {
    layout.dangling_ptr()
}

// SAFETY: memory of a class is valid until it is released, as slabs with live objects are never given up, and so is a
// large block; clones share one core, and moving a `Pool` moves no memory.
unsafe impl TryAllocator for Pool {
    #[inline]
    #[track_caller]
    fn try_allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let memory = self.obtain(layout)?;
        Ok(NonNull::slice_from_raw_parts(memory, usable(layout)))
    }

    #[inline]
    unsafe fn release(&self, memory: NonNull<u8>, layout: Layout) {
        #[cfg(feature = "hardened")]
        guard::check_pool(&self.door.core, memory, layout);
        // SAFETY: a layout that fits the block is of the class it was taken for (`usable`).
        unsafe { release(memory, layout) }
    }

    #[inline]
    #[track_caller]
    unsafe fn try_resize(&self, memory: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        #[cfg(feature = "hardened")]
        guard::check_pool(&self.door.core, memory, old);
        let in_place =
            old.size() != 0 && new.size() != 0 && class::of(old).is_some() && class::of(old) == class::of(new);
        if in_place {
            if SLACK_IS_FREE {
                // SAFETY: an object of both layouts' class; the caller's promise.
                unsafe { move_end(memory, old, new) };
            }
            return Ok(NonNull::slice_from_raw_parts(memory, usable(new)));
        }
        // SAFETY: by the caller's promise.
        unsafe { self.relocate(memory, old, new) }
    }
}

/// An object keeps its place with another size: what lies between the two ends changes hands.
///
/// # Safety
///
/// `memory` is an object of `old`, whose class `new` has, too.
unsafe fn move_end(memory: NonNull<u8>, old: Layout, new: Layout) {
    // SAFETY: within the object; what its user has no longer, or has not yet, is nobody's.
    unsafe {
        #[cfg(feature = "hardened")]
        guard::inspect_object(memory, old, object_size(old));
        let end = memory.as_ptr().add(old.size().min(new.size()));
        if new.size() > old.size() {
            annotate::fresh(end, new.size() - old.size());
        } else {
            annotate::freed(end, old.size() - new.size());
        }
        #[cfg(feature = "hardened")]
        guard::watch(memory, new.size(), object_size(new));
        #[cfg(feature = "trace")]
        if let Some(tracer) = tracer_of(memory) {
            tracer.resize(memory, new);
        }
    }
}

/// Bytes of the object that serves `layout`, or of the block.
#[inline(always)]
const fn object_size(layout: Layout) -> usize {
    match class::of(layout) {
        Some(class) => class::size(class),
        None => layout.size(),
    }
}

/// Bytes that may be used of memory for `layout`: an object's all, and any size up to that is of the same class; what was asked
/// for where the rest is watched.
#[inline(always)]
const fn usable(layout: Layout) -> usize {
    if SLACK_IS_FREE || layout.size() == 0 { layout.size() } else { object_size(layout) }
}

// SAFETY: as for `TryAllocator`, which this forwards to. A panic instead of an error leaves everything as it was.
unsafe impl Allocator for Pool {
    #[inline]
    #[track_caller]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        self.try_allocate(layout).map_err(|error| error.raise())
    }

    #[inline]
    unsafe fn deallocate(&self, memory: NonNull<u8>, layout: Layout) {
        // SAFETY: the two contracts are the same.
        unsafe { TryAllocator::release(self, memory, layout) }
    }

    #[inline]
    #[track_caller]
    unsafe fn grow(&self, memory: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        // SAFETY: as above.
        unsafe { self.try_resize(memory, old, new) }.map_err(|error| error.raise())
    }

    #[inline]
    #[track_caller]
    unsafe fn grow_zeroed(&self, memory: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        // SAFETY: as above.
        unsafe { self.try_grow_zeroed(memory, old, new) }.map_err(|error| error.raise())
    }

    #[inline]
    #[track_caller]
    unsafe fn shrink(&self, memory: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        // SAFETY: as above.
        unsafe { self.try_resize(memory, old, new) }.map_err(|error| error.raise())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
