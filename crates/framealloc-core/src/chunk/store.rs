//! The chunks that no arena holds: shared by all threads of an allocator, and shrunk when they are no longer needed.
//!
//! A stack: what came back last is drawn first, so that what lies at the bottom is what the last frames did not need. The
//! bottom's age is therefore the windowed high-water mark: everything above the mark has not been drawn for a window.

use alloc::sync::Arc;
use core::mem;

use super::{Chunk, ChunkList, Growth, Haul, TrimPolicy, smaller_and_smaller};
use crate::annotate;
use crate::backend::Source;
use crate::error::AllocError;
use crate::governor::Resource;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering};
use crate::unwind::{attempt, resume};

/// Where the arenas of one allocator get chunks from, and where their surplus goes.
pub(crate) struct ChunkStore {
    source: Arc<Source>,
    pub(crate) growth: Growth,
    pub(crate) trim: TrimPolicy,
    shelf: Mutex<Shelf>,
    /// Number of the current frame: the stamp that chunks get when they are drawn.
    frame: AtomicU64,
    /// Bytes of all chunks that exist, and of those on the shelf.
    committed: AtomicUsize,
    stored: AtomicUsize,
    /// Bytes that were prefaulted: chunks are not given back below that unless `trim` is called.
    floor: AtomicUsize,
    /// Whether the shelf holds hauls that have come back.
    has_returned: AtomicBool,
}

struct Shelf {
    free: ChunkList,
    /// Hauls of sealed frames that were dropped; the next frame boundary hands them back to their arenas.
    returned: Option<Chunk>,
}

// SAFETY: a shelf owns its chunks; moving it to another thread moves them.
unsafe impl Send for Shelf {}

impl ChunkStore {
    pub(crate) fn new(source: Arc<Source>, growth: Growth, trim: TrimPolicy) -> Self {
        Self {
            source,
            growth,
            trim,
            shelf: Mutex::new(Shelf { free: ChunkList::new(), returned: None }),
            frame: AtomicU64::new(1),
            committed: AtomicUsize::new(0),
            stored: AtomicUsize::new(0),
            floor: AtomicUsize::new(0),
            has_returned: AtomicBool::new(false),
        }
    }

    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The current frame's number. Relaxed: it is set while no other thread allocates, and only ages chunks.
    pub(crate) fn frame(&self) -> u64 {
        self.frame.load(Ordering::Relaxed)
    }

    pub(crate) fn committed(&self) -> usize {
        self.committed.load(Ordering::Relaxed)
    }

    pub(crate) fn stored(&self) -> usize {
        self.stored.load(Ordering::Relaxed)
    }

    /// A chunk into which `size` bytes aligned to `align` fit: from the shelf, else a new one of `preferred` bytes, or
    /// less if the governor says so. Runs the governor: the caller reads its own state anew afterwards.
    pub(crate) fn draw(&self, size: usize, align: usize, preferred: usize) -> Result<Chunk, AllocError> {
        let minimum = Chunk::bytes_for(size, align)?;
        if let Some(chunk) = self.draw_stored(size, align, minimum) {
            return Ok(chunk);
        }
        let take = |bytes| self.source.take(Resource::Chunk, Chunk::layout(bytes)?, minimum);
        let block = smaller_and_smaller(preferred, minimum, take)?;
        self.committed.fetch_add(block.layout.size(), Ordering::Relaxed);
        // SAFETY: the block is ours, fresh, and of a chunk's layout, `minimum` includes the header.
        Ok(unsafe { Chunk::new(block) })
    }

    fn draw_stored(&self, size: usize, align: usize, minimum: usize) -> Option<Chunk> {
        if self.stored() == 0 {
            return None;
        }
        // A chunk many times too large would be kept by a need that is many times smaller.
        let most = if minimum <= self.growth.max { self.growth.max } else { minimum.saturating_mul(4) };
        let mut shelf = self.shelf.lock();
        let fits = |chunk: &Chunk| chunk.bytes() <= most && chunk.fits(size, align);
        let mut chunk = shelf.free.take_first(fits);
        while chunk.is_none() && shelf.returned.is_some() {
            shelf.break_up_one();
            chunk = shelf.free.take_first(fits);
        }
        let chunk = chunk?;
        self.stored.fetch_sub(chunk.bytes(), Ordering::Relaxed);
        Some(chunk)
    }

    /// Takes back the hauls of a sealed frame that was dropped, from whatever thread. `bytes` is their sum.
    ///
    /// # Safety
    ///
    /// Nobody uses the frame's memory any more.
    pub(crate) unsafe fn put_hauls(&self, first: Chunk, last: Chunk, bytes: usize) {
        if annotate::LISTENS {
            // Now, since a stale read may come long before the next boundary.
            // SAFETY: this function's contract.
            hauls(first).for_each(|haul| unsafe { haul.free() });
        }
        let mut shelf = self.shelf.lock();
        let mut haul = last.header().haul.get();
        let others = shelf.returned.replace(first);
        haul.next = canary!("hauls_lost", others, None);
        last.header().haul.set(haul);
        self.stored.fetch_add(bytes, Ordering::Relaxed);
        // Release: pairs with the Acquire of `take_hauls`, though the lock is what makes the hauls visible.
        self.has_returned.store(true, Ordering::Release);
    }

    /// Hauls that have come back since the last call, for their arenas.
    #[inline]
    pub(crate) fn take_hauls(&self) -> Option<Chunk> {
        // Acquire: pairs with the Release of `put_hauls`.
        if self.has_returned.load(Ordering::Acquire) { self.unshelve_hauls() } else { None }
    }

    #[cold]
    fn unshelve_hauls(&self) -> Option<Chunk> {
        let mut shelf = self.shelf.lock();
        self.has_returned.store(false, Ordering::Relaxed);
        let first = shelf.returned.take()?;
        let bytes = hauls(first).map(|haul| haul.bytes).sum();
        self.stored.fetch_sub(bytes, Ordering::Relaxed);
        Some(first)
    }

    /// The frame boundary: `surplus` comes in at the bottom, and one chunk above the high-water mark goes back to the
    /// backend. Takes the lock only if there is something to do.
    #[inline]
    pub(crate) fn end_frame(&self, frame: u64, surplus: ChunkList) {
        self.frame.store(frame, Ordering::Relaxed);
        #[cfg(feature = "trace")]
        if let Some(tracer) = self.source.tracer() {
            tracer.set_frame(frame);
        }
        if !surplus.is_empty() || self.stored() != 0 {
            self.shelve(frame, surplus);
        }
    }

    #[cold]
    fn shelve(&self, frame: u64, mut surplus: ChunkList) {
        let released = {
            let mut shelf = self.shelf.lock();
            let bytes: usize = surplus.iter().map(|chunk| chunk.bytes()).sum();
            self.stored.fetch_add(bytes, Ordering::Relaxed);
            shelf.free.append(surplus.take());
            let surplus = shelf.free.back().filter(|chunk| {
                self.trim.is_surplus(chunk.header().last_used.get(), frame)
                    && self.committed() - chunk.bytes() >= self.floor.load(Ordering::Relaxed)
            });
            if let Some(chunk) = surplus {
                shelf.free.remove(chunk);
                self.stored.fetch_sub(chunk.bytes(), Ordering::Relaxed);
            }
            surplus
        };
        if let Some(chunk) = released {
            self.release(chunk);
        }
    }

    /// Gives a chunk, which is on no list, back to its backend.
    pub(crate) fn release(&self, chunk: Chunk) {
        self.committed.fetch_sub(chunk.bytes(), Ordering::Relaxed);
        // SAFETY: the chunk was made of a block of this source and is on no list, so nobody uses it any more.
        unsafe { self.source.give_back(Resource::Chunk, chunk.into_block()) };
    }

    /// Gives every chunk of a list back to its backend. If the governor or a backend panics the rest go back all the same.
    pub(crate) fn release_all(&self, mut list: ChunkList) -> usize {
        let (mut bytes, mut panicked) = (0, None);
        while let Some(chunk) = list.pop_front() {
            bytes += chunk.bytes();
            attempt(&mut panicked, || self.release(chunk));
        }
        resume(panicked);
        bytes
    }

    /// Gives everything on the shelf back; the number of bytes.
    pub(crate) fn trim(&self) -> usize {
        let free = {
            let mut shelf = self.shelf.lock();
            while shelf.returned.is_some() {
                shelf.break_up_one();
            }
            self.stored.store(0, Ordering::Relaxed);
            self.floor.store(0, Ordering::Relaxed);
            shelf.free.take()
        };
        self.release_all(free)
    }

    /// Puts `bytes` in chunks of the largest size on the shelf and touches every page, so that no frame has to.
    ///
    /// Each is on the shelf before the next one is asked for: should a governor or backend unwind, none is lost.
    pub(crate) fn prefault(&self, bytes: usize) -> Result<(), AllocError> {
        for _ in 0..bytes.div_ceil(self.growth.max) {
            let layout = Chunk::layout(self.growth.max)?;
            let block = self.source.take(Resource::Chunk, layout, layout.size())?;
            // SAFETY: the block is ours and `layout.size()` long; writing zeros touches every page of it.
            unsafe { block.ptr.write_bytes(0, layout.size()) };
            self.committed.fetch_add(layout.size(), Ordering::Relaxed);
            // SAFETY: the block is ours, fresh, and of a chunk's layout.
            self.shelf.lock().free.push_back(unsafe { Chunk::new(block) });
            self.stored.fetch_add(layout.size(), Ordering::Relaxed);
        }
        self.floor.store(self.stored(), Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for ChunkStore {
    fn drop(&mut self) {
        self.trim();
    }
}

impl Shelf {
    /// Turns the chunks of one returned haul into free ones.
    fn break_up_one(&mut self) {
        let Some(first) = self.returned else { return };
        let haul = first.header().haul.replace(Haul::EMPTY);
        self.returned = haul.next;
        self.free.prepend(haul.large);
        self.free.prepend(haul.regular);
    }
}

/// The hauls linked behind `first`.
pub(crate) fn hauls(first: Chunk) -> impl Iterator<Item = Haul> {
    let mut at = Some(first);
    core::iter::from_fn(move || {
        let chunk = at?;
        let haul = chunk.header().haul.get();
        at = haul.next;
        Some(haul)
    })
}

const _: () = assert!(mem::size_of::<super::Header>() <= 192);
