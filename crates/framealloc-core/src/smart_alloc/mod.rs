//! `SmartAlloc`: one arena per thread, the ring of frames in flight and the pools, behind one shared door.
//!
//! Promises that memory of a frame is reclaimed only when nobody can use it: ending a frame needs `&mut`, everything handed
//! out borrows `&self`, and leases are counted. What a thread does between is its own business: no lock, no sharing.

mod boundary;
mod config;
mod lease;
mod numa;
mod publish;
mod sugar;
mod tags;
#[cfg(all(test, not(loom)))]
mod tests;

use alloc::sync::Arc;
use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::ptr;
use std::collections::VecDeque;
use std::vec::Vec;

pub use config::AllocConfig;
pub use lease::Lease;
#[cfg(target_os = "linux")]
pub use numa::NumaRouter;
pub use publish::PromoteError;
pub use tags::TagStats;

use crate::arena::{RawArena, Supply};
use crate::backend::Source;
use crate::chunk::{ChunkList, ChunkStore};
use crate::error::AllocError;
use crate::frame::{ALIGN, DropList, Frame, FrameHandle, Scratch, SealedFrame, StaleHandle, Stamp, Stash};
use crate::governor::Governor;
use crate::pool::Pool;
use crate::stats::{AllocStats, FrameStats, ThreadStats};
use crate::sync::{AtomicBool, AtomicUsize, Ordering, thread_local};
use crate::thread::{self, Registry};
use tags::TagTable;

/// The allocator of a game loop: frame memory for every thread, handles, scratch memory, and pools.
///
/// It is `Send + Sync`: share it by reference and every thread that allocates gets an arena of its own. A frame ends by
/// [`end_frame`](Self::end_frame), which needs `&mut self`: the borrow checker proves that nothing of the frame is in use.
///
/// Ending a frame that was not begun, and beginning one twice, are both fine: everything that was allocated since the last
/// end belongs to the frame that ends next, also what start-up code allocated before the first `begin_frame`. Between
/// frames the allocator may be moved, swapped or sent to another thread. A thread that dies in mid-frame leaves what it
/// allocated readable until the frame ends; its arena then serves another thread.
///
/// ```
/// use framealloc_core::{AllocConfig, SmartAlloc};
///
/// let mut alloc = SmartAlloc::new(AllocConfig::default());
/// for frame in 0..3 {
///     alloc.begin_frame();
///     let contacts = std::thread::scope(|scope| {
///         let workers: Vec<_> = (0..2)
///             .map(|worker| {
///                 let alloc = &alloc;
///                 // A box of a slice is `Send`: a worker may return it.
///                 scope.spawn(move || alloc.frame().alloc_box_slice_with(100, |i| worker * 100 + i))
///             })
///             .collect();
///         workers.into_iter().map(|worker| worker.join().unwrap().len()).sum::<usize>()
///     });
///     assert_eq!(contacts, 200);
///     let stats = alloc.end_frame();
///     assert_eq!(stats.threads, 2);
/// }
/// ```
pub struct SmartAlloc {
    /// The instance's number, here so that the look-up of a thread's arena does not have to follow a pointer.
    id: u64,
    /// The current frame's, here so that publishing and reading do not have to either. Changes under `&mut self` only, and
    /// not while a lease, which has a copy, is out.
    stamp: Stamp,
    core: Arc<Core>,
}

/// What an allocator and its leases share.
struct Core {
    governed: bool,
    /// Whether threads begin each frame without a grant.
    bounded: bool,
    /// Slots that were made.
    arenas: AtomicUsize,
    begun: AtomicBool,
    leases: AtomicUsize,
    store: Arc<ChunkStore>,
    slots: Registry<FrameSlot>,
    pool: Pool,
    exclusive: UnsafeCell<Exclusive>,
}

/// What changes at frame boundaries only: written by whoever holds the `SmartAlloc` by `&mut` with no lease out, read by
/// everyone in between.
struct Exclusive {
    frame: u64,
    in_flight: usize,
    /// Oldest first; at most `in_flight - 1` frames.
    ring: VecDeque<SealedFrame>,
    last: FrameStats,
    tags: Vec<TagStats>,
    /// For the governor; kept for its capacity.
    threads: Vec<ThreadStats>,
}

// SAFETY: `exclusive` is written only while its owner holds the allocator exclusively (see `Core::exclusive_mut`); the rest
// synchronises itself.
unsafe impl Sync for Core {}

/// One thread's memory in one instance.
#[repr(C)]
struct FrameSlot {
    arena: RawArena,
    /// Its number among the slots of the instance.
    index: usize,
    drops: DropList,
    stash: Stash,
    tags: TagTable,
}

// SAFETY: a slot owns its chunks; published values in its drop list are `Send`. It changes hands at exclusive points only.
unsafe impl Send for FrameSlot {}

thread_local! {
    // Constant and without a destructor: one load and one comparison, also in late destructors, for which the thread's guard
    // has cleared it. Instance 0 does not exist.
    /// The slot this thread used last, and its instance.
    static LAST: Cell<(u64, *const FrameSlot)> = const { Cell::new((0, ptr::null())) };
}

fn forget_last(instance: u64) {
    if LAST.get().0 == instance {
        LAST.set((0, ptr::null()));
    }
}

impl SmartAlloc {
    /// An allocator of this configuration.
    ///
    /// # Panics
    ///
    /// If a setting is out of its bounds, or memory to prefault is refused: [`try_new`](Self::try_new) returns the error.
    #[must_use]
    pub fn new(config: AllocConfig) -> Self {
        Self::try_new(config).unwrap_or_else(|error| error.raise())
    }

    /// An allocator of this configuration.
    ///
    /// # Errors
    ///
    /// If a setting is out of its bounds (the text names value and bound), a NUMA node does not exist, or memory to prefault
    /// is refused.
    ///
    /// ```
    /// use framealloc_core::{AllocConfig, SmartAlloc};
    /// let error = SmartAlloc::try_new(AllocConfig::default().with_frames_in_flight(0)).unwrap_err();
    /// assert!(error.to_string().contains("frames in flight"));
    /// ```
    pub fn try_new(config: AllocConfig) -> Result<Self, AllocError> {
        let config = config.check()?;
        let id = thread::unique().get();
        let governed = config.governor.is_some();
        let governor = config.governor();
        let mut source = Source::new(config.backends, governor);
        #[cfg(feature = "trace")]
        if let Some(stacks) = config.traced {
            source.trace(stacks);
        }
        source.attach()?;
        let bounded = source.governor().bounds_threads();
        let source = Arc::new(source);
        let store = Arc::new(ChunkStore::new(source.clone(), config.growth, config.trim));
        if config.prefault > 0 {
            store.prefault(config.prefault)?;
        }
        let core = Core {
            governed,
            bounded,
            arenas: AtomicUsize::new(0),
            begun: AtomicBool::new(false),
            leases: AtomicUsize::new(0),
            store,
            slots: Registry::new(id, forget_last),
            pool: Pool::new(source),
            exclusive: UnsafeCell::new(Exclusive {
                frame: 1,
                in_flight: config.frames_in_flight,
                ring: VecDeque::with_capacity(config.frames_in_flight),
                last: FrameStats::default(),
                tags: Vec::new(),
                threads: Vec::new(),
            }),
        };
        Ok(Self { id, stamp: Stamp::first(), core: Arc::new(core) })
    }

    /// This thread's view of the current frame. Take one outside a loop: each call looks the thread's arena up.
    #[must_use]
    #[inline(always)]
    pub fn frame(&self) -> Frame<'_> {
        Frame::new(&self.slot().arena)
    }

    #[inline(always)]
    fn slot(&self) -> &FrameSlot {
        let (id, slot) = LAST.get();
        if canary!("instances_share_arenas", id == self.id, id != 0) {
            // SAFETY: cached by this thread for this instance, which is alive, since `self` is; its slots stay where they are
            // until it is dropped. The thread's guard clears the cache before the slot can change hands.
            return unsafe { &*slot };
        }
        self.slot_cold()
    }

    #[cold]
    #[inline(never)]
    fn slot_cold(&self) -> &FrameSlot {
        let core = &*self.core;
        let (slot, cacheable) = core.slots.claim(|| core.new_slot());
        if cacheable {
            LAST.set((self.id, ptr::from_ref(slot)));
        }
        slot
    }

    /// A whole arena for temporary memory that dies before the frame does.
    ///
    /// A forgotten one is taken back when the frame ends.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let alloc = SmartAlloc::default();
    /// let outer = alloc.scratch();
    /// let kept = outer.alloc_str("kept");
    /// {
    ///     let inner = alloc.scratch(); // another arena: it cannot rewind the outer one
    ///     inner.alloc([0u8; 1000]);
    /// }
    /// assert_eq!(kept, "kept");
    /// ```
    #[must_use]
    pub fn scratch(&self) -> Scratch<'_> {
        self.slot().stash.lease(|| self.core.new_arena())
    }

    /// The pools, for values that outlive the frame.
    #[must_use]
    #[inline]
    pub fn pool(&self) -> &Pool {
        &self.core.pool
    }

    /// The value a handle names, if its frame is the current one or in flight.
    ///
    /// # Errors
    ///
    /// If the frame is gone or was sealed by hand, or the handle belongs to another allocator.
    #[inline]
    pub fn get<T: ?Sized>(&self, handle: FrameHandle<T>) -> Result<&T, StaleHandle> {
        if handle.stamp() == self.stamp || self.is_in_flight(handle.stamp()) {
            // SAFETY: no other frame has this stamp: published in a frame of this allocator that has not been reclaimed, and will not be while `self` is borrowed. Published
            // values are never borrowed exclusively; they are `Sync`, and the handle was sent here after they were written.
            return Ok(unsafe { &*handle.value().as_ptr() });
        }
        let oldest = self.core.exclusive().ring.front().map_or(self.stamp, SealedFrame::stamp);
        Err(StaleHandle::new(handle.stamp(), oldest, self.stamp))
    }

    /// Whether the ring has the frame of this stamp.
    #[inline(never)]
    fn is_in_flight(&self, stamp: Stamp) -> bool {
        self.core.exclusive().ring.iter().any(|sealed| sealed.stamp() == stamp)
    }

    /// The state of the allocator: the figures of the last frame's end, and counters kept on cold paths. It never reads
    /// what other threads are allocating at the moment.
    #[must_use]
    pub fn stats(&self) -> AllocStats {
        let (core, state) = (&*self.core, self.core.exclusive());
        let (backend_allocations, backend_releases) = core.store.source().traffic();
        AllocStats {
            frame: state.frame,
            last_frame: state.last,
            committed: core.store.source().committed(),
            stored: core.store.stored(),
            backend_allocations,
            backend_releases,
            threads: core.slots.len(),
            leases: core.leases.load(Ordering::Relaxed),
            frames_in_flight: state.ring.len(),
            pools: core.pool.stats(),
        }
    }

    /// Gives everything that is not in use back to the backends: spare chunks and wholly free slabs. The number of bytes.
    ///
    /// While leases are out, the chunks that threads keep to themselves stay with them.
    pub fn trim(&mut self) -> usize {
        let core = &*self.core;
        let mut list = ChunkList::new();
        if core.leases.load(Ordering::Acquire) == 0 {
            // SAFETY: `&mut self` and no lease: nobody else uses the instance, and the leases' uses happened before (Acquire).
            unsafe {
                core.slots.boundary(|slot| {
                    list.append(slot.arena.take_spares());
                    list.append(slot.stash.take_spares());
                });
            }
        }
        core.store.release_all(list) + core.store.trim() + core.pool.trim()
    }
}

impl Core {
    fn exclusive(&self) -> &Exclusive {
        // SAFETY: written only by `exclusive_mut`'s callers, who hold the allocator by `&mut` with no lease out, while this
        // borrow is of a shared one.
        unsafe { &*self.exclusive.get() }
    }

    fn new_arena(&self) -> RawArena {
        RawArena::new(Supply::Store(self.store.clone()), self.store.growth, ALIGN)
    }

    fn new_slot(&self) -> FrameSlot {
        let arena = self.new_arena();
        if self.bounded {
            arena.bound_thread();
        }
        #[cfg(feature = "trace")]
        if self.store.source().tracer().is_some() {
            arena.begin_tracing();
        }
        #[cfg(feature = "sample")]
        if self.governed {
            arena.begin_sampling();
        }
        // Relaxed: a number of its own is all.
        let index = self.arenas.fetch_add(1, Ordering::Relaxed);
        FrameSlot { arena, index, drops: DropList::new(), stash: Stash::new(), tags: TagTable::new() }
    }

    fn governor(&self) -> Option<&Arc<dyn Governor>> {
        self.governed.then(|| self.store.source().governor())
    }
}

impl Default for SmartAlloc {
    fn default() -> Self {
        Self::new(AllocConfig::default())
    }
}

impl fmt::Debug for SmartAlloc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmartAlloc")
            .field("id", &self.stamp.instance())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
