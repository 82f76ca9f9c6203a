//! Sealed frames: the chunks and published values of an ended frame, moved out of the allocator as one object.
//!
//! Promises that the memory stays as it is until the object is dropped, on whatever thread, and then goes back.

use alloc::sync::Arc;
use core::cell::Cell;
use core::fmt;
use core::mem::ManuallyDrop;

use crate::chunk::store::hauls;
use crate::chunk::{Chunk, ChunkStore, Haul, Waiting};
use crate::frame::handle::{FrameHandle, StaleHandle, run_destructors};
use crate::frame::stamp::Stamp;
use crate::governor::{Release, Resource};
use crate::stats::FrameStats;
use crate::sync::thread_local;
use crate::unwind::{Panic, attempt, resume};

/// The hauls of all threads of one frame, linked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seal {
    ends: Option<(Chunk, Chunk)>,
    bytes: usize,
}

impl Seal {
    pub(crate) const EMPTY: Self = Self { ends: None, bytes: 0 };

    pub(crate) const fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    /// Adds one thread's haul, which begins with this chunk.
    pub(crate) fn add(&mut self, first: Chunk) {
        let mut haul = first.header().haul.get();
        self.bytes += haul.bytes;
        haul.next = self.ends.map(|(first, _)| first);
        first.header().haul.set(haul);
        self.ends = Some((first, self.ends.map_or(first, |(_, last)| last)));
    }

    pub(crate) fn hauls(&self) -> impl Iterator<Item = Haul> + use<> {
        self.ends.into_iter().flat_map(|(first, _)| hauls(first))
    }

    /// Runs the destructors of all published values, each once; how many.
    ///
    /// # Safety
    ///
    /// Nobody reads the frame any more, and this is the only call for it.
    pub(crate) unsafe fn run_destructors(&self, panicked: &mut Option<Panic>) -> usize {
        // SAFETY: the hauls own their lists and the chunks that these lie in; each is taken off before it runs.
        self.hauls()
            .filter(|haul| !haul.drops.is_null())
            .map(|haul| unsafe { run_destructors(haul.drops, panicked) })
            .sum()
    }
}

/// A frame that has ended and is still readable: for a render thread, or until a GPU fence is signalled.
///
/// Owns the frame's memory, and gives it back on drop, on whatever thread; published values are dropped then. It may
/// outlive its allocator.
///
/// ```
/// use framealloc_core::SmartAlloc;
/// let mut alloc = SmartAlloc::default();
/// alloc.begin_frame();
/// let batches = alloc.publish_slice_copy(&[3, 1, 2]);
/// let sealed = alloc.seal_frame();
/// let render = std::thread::spawn(move || sealed.get(batches).unwrap().iter().sum::<i32>());
/// alloc.begin_frame(); // the next frame is filled meanwhile
/// assert_eq!(render.join().unwrap(), 6);
/// ```
pub struct SealedFrame {
    seal: Seal,
    store: ManuallyDrop<Arc<ChunkStore>>,
    stamp: Stamp,
    stats: FrameStats,
    /// Whether it was sealed beyond a limit, if the governor was asked, which is told of the drop.
    told: Option<bool>,
}

// SAFETY: the frame owns its chunks, which nobody else uses; what is published in it is `Send`, and so may be dropped on
// another thread. Values that were not published are not reachable through it and have no destructors left to run.
unsafe impl Send for SealedFrame {}
// SAFETY: what is published is `Sync`, and nothing in the frame changes while it is shared.
unsafe impl Sync for SealedFrame {}

impl SealedFrame {
    pub(crate) fn new(seal: Seal, store: Arc<ChunkStore>, stamp: Stamp, stats: FrameStats, told: Option<bool>) -> Self {
        Self { seal, store: ManuallyDrop::new(store), stamp, stats, told }
    }

    pub(crate) fn set_stats(&mut self, stats: FrameStats) {
        self.stats = stats;
    }

    /// The value a handle names.
    ///
    /// # Errors
    ///
    /// If it was published in another frame, or in another allocator.
    #[inline]
    pub fn get<T: ?Sized>(&self, handle: FrameHandle<T>) -> Result<&T, StaleHandle> {
        if handle.stamp() == self.stamp {
            // SAFETY: only this frame has this stamp: the value was published in it, and its memory stays while `self` does; published values
            // are never borrowed exclusively, and `T: Sync`.
            return Ok(unsafe { handle.value().as_ref() });
        }
        Err(StaleHandle::new(handle.stamp(), self.stamp, self.stamp))
    }

    /// What the frame's handles are checked by.
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Number of the frame.
    #[must_use]
    pub fn frame(&self) -> u64 {
        self.stats.frame
    }

    /// What the frame used. Its destructors have not run yet.
    #[must_use]
    pub fn stats(&self) -> &FrameStats {
        &self.stats
    }

    /// Takes the frame apart, for an allocator that reclaims it itself.
    pub(crate) fn into_seal(self) -> Seal {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the frame is forgotten, so that the store is dropped once.
        unsafe { ManuallyDrop::drop(&mut this.store) };
        this.seal
    }
}

impl fmt::Debug for SealedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedFrame")
            .field("instance", &self.stamp.instance())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

thread_local! {
    // Constant and without a destructor: sealed frames may be dropped by late destructors of other thread-locals.
    /// `None` outside a drop; inside one, the frames that its destructors have dropped, by their first chunks.
    static DROPPING: Cell<Option<Option<Chunk>>> = const { Cell::new(None) };
}

impl Drop for SealedFrame {
    /// Runs the destructors and gives the memory back. Sealed frames that are published in sealed frames are reclaimed one
    /// after the other, not inside one another: the stack does not grow with their number.
    fn drop(&mut self) {
        // SAFETY: not used again: `self` is being dropped.
        let store = unsafe { ManuallyDrop::take(&mut self.store) };
        let Some((first, last)) = self.seal.ends else { return };
        if let Some(waiting) = DROPPING.get() {
            // Nested: the outermost drop does it. The record lies in the frame's own first header.
            let record =
                Waiting { last, bytes: self.seal.bytes, told: self.told, store: Arc::into_raw(store), next: waiting };
            first.header().waiting.set(Some(record));
            DROPPING.set(Some(Some(first)));
            return;
        }
        DROPPING.set(Some(None));
        let mut panicked = None;
        reclaim(self.seal, &store, self.told, &mut panicked);
        while let Some(Some(first)) = DROPPING.get() {
            let Some(record) = first.header().waiting.take() else { break };
            DROPPING.set(Some(record.next));
            // SAFETY: `into_raw` of the nested drop, taken back once.
            let store = unsafe { Arc::from_raw(record.store) };
            let seal = Seal { ends: Some((first, record.last)), bytes: record.bytes };
            reclaim(seal, &store, record.told, &mut panicked);
            // It may be the last of its store, whose chunks then go back, of which a governor is told.
            attempt(&mut panicked, || drop(store));
        }
        DROPPING.set(None);
        attempt(&mut panicked, || drop(store));
        resume(panicked);
    }
}

fn reclaim(seal: Seal, store: &ChunkStore, told: Option<bool>, panicked: &mut Option<Panic>) {
    // SAFETY: the frame is being dropped: nobody reads it, and its destructors run here only.
    unsafe { seal.run_destructors(panicked) };
    if let Some((first, last)) = seal.ends {
        // SAFETY: as above; its destructors have run.
        unsafe { store.put_hauls(first, last, seal.bytes) };
        if let Some(heap) = told {
            let release = Release { resource: Resource::Sealed, bytes: seal.bytes, heap };
            attempt(panicked, || store.source().tell(&release));
        }
    }
}
