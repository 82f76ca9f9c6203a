//! What a pool's threads share: the depot behind its lock, the source of its memory, and the paths that need them.
//!
//! Lives as long as its door, a slab, or a large block. The governor and the backends run only where neither the lock
//! nor a magazine is in use; everything is read anew afterwards.

use core::alloc::Layout;
use core::iter;
use core::mem;
use core::ptr::NonNull;
use std::boxed::Box;
use std::sync::{Arc, Weak};

use crossbeam_utils::CachePadded;

use super::cache::Cache;
use super::depot::{Depot, Stack};
#[cfg(feature = "hardened")]
use super::guard;
use super::parcel::Parcel;
use super::slab::{self, CLOSED, Doomed, SLAB, Slab};
use super::{Door, cache, class};
use crate::backend::{Block, Source};
use crate::error::{AllocError, AllocErrorKind};
use crate::governor::Resource;
use crate::stats::{ClassStats, POOL_SIZES, PoolStats, PoolSurvey};
use crate::sync::{AtomicUsize, Mutex, Ordering};

pub(super) struct PoolCore {
    id: u64,
    door: Weak<Door>,
    source: Arc<Source>,
    /// Its lock is on a line that no warm path reads.
    depot: CachePadded<Mutex<Depot>>,
    /// Relaxed counters for reports.
    large_bytes: AtomicUsize,
    large_blocks: AtomicUsize,
}

impl PoolCore {
    pub(super) fn new(id: u64, door: Weak<Door>, source: Arc<Source>) -> Self {
        Self {
            id,
            door,
            source,
            depot: CachePadded::new(Mutex::new(Depot::new())),
            large_bytes: AtomicUsize::new(0),
            large_blocks: AtomicUsize::new(0),
        }
    }

    /// What is known of the pool's blocks, if they are traced.
    #[cfg(feature = "trace")]
    pub(super) fn tracer(&self) -> Option<&Arc<crate::trace::Tracer>> {
        self.source.tracer()
    }

    #[inline(always)]
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn door(&self) -> &Weak<Door> {
        &self.door
    }

    /// An object of `class` when the last-used cache has none that is warm.
    #[cold]
    #[inline(never)]
    pub(super) fn next(self: &Arc<Self>, class: usize) -> Result<NonNull<u8>, AllocError> {
        match cache::take_any(self.id, class) {
            Some(object) => Ok(object),
            None => self.refill(class),
        }
    }

    /// An object of `class` when the last-used cache has none.
    #[cold]
    #[inline(never)]
    fn refill(self: &Arc<Self>, class: usize) -> Result<NonNull<u8>, AllocError> {
        loop {
            let object = if let Some(cache) = cache::current(self) {
                // SAFETY: the thread's list of residents keeps its cache while the door is open, which the caller's
                // borrow of the pool sees to; no user code runs while the magazine is used.
                let cache = unsafe { &*cache };
                let magazine = cache.magazine(class);
                // It has some if another pool was used last, or if the governor freed some.
                magazine.pop(class).or_else(|| {
                    self.restock(class, cache);
                    magazine.prefetch_first(class);
                    magazine.pop(class)
                })
            } else {
                self.depot.lock().one(class)
            };
            match object {
                Some(object) => return Ok(object),
                None => self.add_slab(class)?,
            }
        }
    }

    /// Fills an empty magazine from the depot, if that has something.
    fn restock(&self, class: usize, cache: &Cache) {
        let spare = cache.take_spare();
        let mut depot = self.depot.lock();
        let spare = match depot.take_parcel(class, spare) {
            Ok(mut parcel) => {
                drop(depot);
                cache.magazine(class).fill(parcel.unpack());
                Some(parcel)
            }
            Err(spare) => {
                depot.stock(class, cache.magazine(class));
                spare
            }
        };
        cache.keep_spare(spare);
    }

    /// Moves half of a full magazine to the depot: in `parcel`, which is empty, or without one if there is none. As for
    /// [`put`](Self::put), user code may run when the result is dropped.
    #[must_use]
    fn relieve(&self, class: usize, cache: &Cache, parcel: Option<Box<Parcel>>) -> (Doomed, Option<Box<Parcel>>) {
        let batch = cache.magazine(class).unload(class::batch(class));
        let Some(mut parcel) = parcel else {
            // SAFETY: a magazine holds free objects of its class and pool.
            return (unsafe { self.put(class, batch) }, None);
        };
        parcel.pack(batch);
        // SAFETY: as above.
        let put = unsafe { self.depot.lock().put_parcel(class, parcel) };
        match put {
            Ok(spare) => {
                // Its lines are here when the next batch was freed.
                if let Some(parcel) = &spare {
                    parcel.prefetch();
                }
                cache.keep_spare(spare);
                (Doomed::default(), None)
            }
            // SAFETY: as above.
            Err(mut parcel) => (unsafe { self.put(class, parcel.unpack()) }, Some(parcel)),
        }
    }

    fn add_slab(self: &Arc<Self>, class: usize) -> Result<(), AllocError> {
        let layout = Layout::from_size_align(SLAB, SLAB).expect("a power of two");
        let block = self.source.take(Resource::Slab, layout, SLAB)?;
        let mut spare = Stack::new();
        // SAFETY: the block was just taken from this core's source, with a slab's size and alignment.
        let slab = unsafe { slab::build(self, block, class) };
        #[cfg(feature = "hardened")]
        if !guard::add_slab(slab) {
            return Err(Self::no_room_for(slab, 1));
        }
        loop {
            // SAFETY: the slab was just built for this core and class, and is not added twice.
            let added = unsafe { self.depot.lock().add(class, slab, &mut spare) };
            let Err(slots) = added else { return Ok(()) };
            spare = Stack::new();
            if spare.try_reserve_exact(slots + slots / 2).is_err() {
                return Err(Self::no_room_for(slab, slots));
            }
        }
    }

    /// Gives a new slab back, which is known to the caller only: there is no memory for so many addresses of its objects.
    fn no_room_for(slab: Slab, slots: usize) -> AllocError {
        let mut doomed = Doomed::default();
        // SAFETY: the slab is known here only, and has handed out nothing.
        unsafe { doomed.push(slab) };
        AllocError::new(AllocErrorKind::OutOfMemory {
            size: slots.saturating_mul(size_of::<NonNull<u8>>()),
            align: align_of::<NonNull<u8>>(),
        })
    }

    /// Takes free objects into the depot. What is returned is dropped when nothing is borrowed: user code may run.
    ///
    /// # Safety
    ///
    /// The objects are of this core's slabs and of `class`, and used by nobody.
    #[must_use]
    unsafe fn put(&self, class: usize, objects: impl Iterator<Item = NonNull<u8>>) -> Doomed {
        let mut doomed = Doomed::default();
        // SAFETY: by the caller's promise.
        unsafe { self.depot.lock().put(class, objects, &mut doomed) };
        doomed
    }

    /// Takes all that this thread's cache holds. As for [`put`](Self::put), user code may run when the result is
    /// dropped.
    #[must_use]
    pub(super) fn empty(&self, cache: &Cache) -> Doomed {
        let mut doomed = Doomed::default();
        let mut depot = self.depot.lock();
        for (class, magazine) in cache.magazines() {
            // SAFETY: a magazine holds objects of its class and of this core's slabs that nobody uses.
            unsafe { depot.put(class, magazine.unload(0), &mut doomed) };
        }
        doomed
    }

    /// Closes the pool: its door is gone. Objects that are live or in caches keep their slabs.
    pub(super) fn close(&self) {
        self.drain_own_cache();
        let (doomed, stacks) = self.depot.lock().close();
        drop(stacks);
        self.drop_empty_parcels();
        drop(doomed);
    }

    /// Gives wholly free slabs back and returns their bytes.
    pub(super) fn trim(&self) -> usize {
        self.drain_own_cache();
        let doomed = self.depot.lock().sweep();
        let bytes = doomed.bytes();
        self.drop_empty_parcels();
        drop(doomed);
        for class in 0..class::CLASSES {
            let surplus = self.depot.lock().surplus(class);
            let mut spare = Stack::new();
            // Without memory for a smaller stack the larger one stays.
            if surplus.is_some_and(|slots| spare.try_reserve_exact(slots).is_ok()) {
                self.depot.lock().replace(class, &mut spare);
            }
        }
        bytes
    }

    /// Looks at each slab.
    pub(super) fn survey(&self) -> PoolSurvey {
        // SAFETY: a cache that exists is this thread's and alive. Nothing in here runs other code.
        let own = cache::existing(self).map(|cache| unsafe { &*cache });
        let cached = own.into_iter().flat_map(|cache| cache.magazines().flat_map(|(_, magazine)| magazine.objects()));
        // SAFETY: a magazine holds objects of this core's slabs that nobody uses; whoever asks has the pool, which is open.
        unsafe { self.depot.lock().survey(cached) }
    }

    fn drop_empty_parcels(&self) {
        let empty = self.depot.lock().empty_parcels();
        drop(empty);
    }

    fn drain_own_cache(&self) {
        if let Some(cache) = cache::existing(self) {
            // SAFETY: the cache is this thread's and alive: `LAST` and the list of residents name no others. It is
            // not borrowed any more when the result is dropped.
            let drained = unsafe { (*cache).drain() };
            drop(drained);
        }
    }

    /// Objects that the depot's stack of `class` has room for.
    #[cfg(test)]
    pub(super) fn room(&self, class: usize) -> usize {
        self.depot.lock().room(class)
    }

    pub(super) fn stats(&self) -> PoolStats {
        let mut stats = self.depot.lock().stats();
        stats.large_bytes = self.large_bytes.load(Ordering::Relaxed);
        stats.large_blocks = self.large_blocks.load(Ordering::Relaxed);
        stats
    }

    pub(super) fn sizes(&self) -> [ClassStats; POOL_SIZES] {
        self.depot.lock().sizes()
    }

    /// Called by the last owner of a slab that was just made or has become free.
    pub(super) fn give_back_slab(&self, block: Block) {
        // SAFETY: the block came from this core's source (`add_slab`), and its slab is gone (`Doomed`).
        unsafe { self.source.give_back(Resource::Slab, block) };
    }

    pub(super) fn take_large(&self, layout: Layout) -> Result<Block, AllocError> {
        let block = self.source.take(Resource::Large, layout, layout.size())?;
        self.large_bytes.fetch_add(block.layout.size(), Ordering::Relaxed);
        self.large_blocks.fetch_add(1, Ordering::Relaxed);
        Ok(block)
    }

    /// # Safety
    ///
    /// The block came from [`take_large`](Self::take_large) of this core, and is not used any more.
    pub(super) unsafe fn give_back_large(&self, block: Block) {
        self.large_bytes.fetch_sub(block.layout.size(), Ordering::Relaxed);
        self.large_blocks.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: by the caller's promise.
        unsafe { self.source.give_back(Resource::Large, block) };
    }
}

/// An object that is on its way into a magazine. Dropped, the depot takes it: user code that unwinds meanwhile does not lose it.
struct OnItsWay<'a> {
    core: &'a Arc<PoolCore>,
    class: usize,
    object: NonNull<u8>,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        // The slab's reference may go with the object.
        let core = Arc::clone(self.core);
        // SAFETY: the object is of this core's slabs and class, and used by nobody (`free_slow`).
        let doomed = unsafe { core.put(self.class, iter::once(self.object)) };
        drop(doomed);
    }
}

/// Frees an object when the last-used cache cannot take it.
///
/// # Safety
///
/// `object` is of `slab` and used by nobody.
#[cold]
#[inline(never)]
pub(super) unsafe fn free_slow(slab: Slab, object: NonNull<u8>) {
    // SAFETY: until it is in a magazine or the depot, the object keeps its slab alive, and that its core. It is put
    // there last.
    let (core, class) = unsafe { (slab::core(slab), slab::class(slab)) };
    let object = OnItsWay { core: &core, class, object };
    let (mut parcel, mut asked) = (None, false);
    loop {
        // SAFETY: as above.
        let closed = unsafe { slab::key(slab, class) } == CLOSED;
        if closed {
            core.drain_own_cache();
        }
        let Some(cache) = (if closed { None } else { cache::current(&core) }) else { return };
        // SAFETY: the cache is this thread's, and no user code has run since it was looked up.
        let cache = unsafe { &*cache };
        if cache.magazine(class).push(class, object.object) {
            mem::forget(object);
            return;
        }
        // None is dropped here: the program's allocator would run.
        parcel = parcel.or_else(|| cache.take_spare());
        if parcel.is_none() && !asked {
            // The depot had no empty one last time: there are too few. The program's allocator runs, whoever wrote it.
            asked = true;
            parcel = Parcel::try_new();
            continue;
        }
        drop(core.relieve(class, cache, parcel.take()));
    }
}
