//! Chunks: the large blocks that arenas bump through, and what is kept of them between frames.
//!
//! A chunk is one block of a backend with its [`Header`] in the first bytes, reached through raw pointers only. Promises
//! that a chunk is on one list at a time. Knows nothing of what lies in a chunk.

use core::alloc::Layout;
use core::cell::Cell;
#[cfg(feature = "std")]
use core::ptr;
use core::ptr::NonNull;

use crate::annotate;
use crate::backend::Block;
use crate::error::{AllocError, AllocErrorKind};

mod list;
#[cfg(feature = "std")]
pub(crate) mod store;

pub(crate) use list::ChunkList;
#[cfg(feature = "std")]
pub(crate) use store::ChunkStore;

/// Alignment of every chunk, and of its first free byte: a cache line.
pub(crate) const CHUNK_ALIGN: usize = 64;

/// What stands in the first bytes of a chunk.
#[repr(C, align(64))]
pub(crate) struct Header {
    block: Block,
    prev: Cell<Option<Chunk>>,
    next: Cell<Option<Chunk>>,
    /// The frame (or reset) in which the chunk was last drawn on.
    pub(crate) last_used: Cell<u64>,
    /// Bytes handed out of the chunk when its arena went on to the next one, or of a dedicated chunk.
    pub(crate) filled: Cell<usize>,
    /// Bytes between the start of a dedicated chunk and its block, for the block's alignment.
    pub(crate) padding: Cell<usize>,
    /// Position of a dedicated chunk in the order in which they were handed out.
    pub(crate) sequence: Cell<u64>,
    /// What else belongs to the frame whose first chunk this is, once the frame is sealed.
    #[cfg(feature = "std")]
    pub(crate) haul: Cell<Haul>,
    /// The sealed frame whose first chunk this is, while it waits to be reclaimed.
    #[cfg(feature = "std")]
    pub(crate) waiting: Cell<Option<Waiting>>,
}

/// A sealed frame that was dropped by a destructor inside another one's drop, and waits for it to end.
#[cfg(feature = "std")]
#[derive(Clone, Copy)]
pub(crate) struct Waiting {
    /// First chunk of its last haul.
    pub(crate) last: Chunk,
    pub(crate) bytes: usize,
    /// Whether it was sealed beyond a limit, if the governor is told of its end.
    pub(crate) told: Option<bool>,
    /// A counted reference to its store.
    pub(crate) store: *const ChunkStore,
    /// The next one that waits.
    pub(crate) next: Option<Chunk>,
}

/// What one thread contributed to a sealed frame. Kept in the header of its first chunk, so that sealing allocates nothing.
#[cfg(feature = "std")]
#[derive(Clone, Copy)]
pub(crate) struct Haul {
    /// Chunks of the growth sequence.
    pub(crate) regular: ChunkList,
    /// Dedicated chunks.
    pub(crate) large: ChunkList,
    /// Bytes of both.
    pub(crate) bytes: usize,
    /// Whether there is one chunk, and it is many times larger than what was needed of it.
    pub(crate) outsized: bool,
    /// The published values whose destructors are due, newest first.
    pub(crate) drops: *mut u8,
    /// The slot the chunks came from; an address to compare and return to, valid while the allocator lives.
    pub(crate) slot: *const (),
    /// The first chunk of the next thread's haul.
    pub(crate) next: Option<Chunk>,
}

#[cfg(feature = "std")]
impl Haul {
    pub(crate) const EMPTY: Self = Self {
        regular: ChunkList::new(),
        large: ChunkList::new(),
        bytes: 0,
        outsized: false,
        drops: ptr::null_mut(),
        slot: ptr::null(),
        next: None,
    };

    /// All of its memory is free: [`annotate`] is told.
    ///
    /// # Safety
    ///
    /// Nobody uses it any more.
    pub(crate) unsafe fn free(&self) {
        // SAFETY: this function's contract. Chunks were left by their arena, which noted how far each was filled.
        unsafe {
            self.regular.free_filled();
            self.large.free_whole();
        }
    }
}

/// A chunk that is alive: whoever holds one may read and write its header, from one thread at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk(NonNull<Header>);

impl Chunk {
    /// Bytes of a block of which the first free byte is [`CHUNK_ALIGN`]ed and `size` bytes aligned to `align` fit.
    pub(crate) fn bytes_for(size: usize, align: usize) -> Result<usize, AllocError> {
        let padding = if align > CHUNK_ALIGN { align } else { 0 };
        size.checked_add(padding)
            .and_then(|bytes| bytes.checked_add(size_of::<Header>() + CHUNK_ALIGN))
            .filter(|&bytes| bytes <= isize::MAX as usize - 4096)
            .ok_or(AllocError::capacity(1, size))
    }

    /// The layout of a chunk of `bytes`, header included.
    pub(crate) fn layout(bytes: usize) -> Result<Layout, AllocError> {
        Layout::from_size_align(bytes, CHUNK_ALIGN).map_err(|_| AllocError::capacity(1, bytes))
    }

    /// Makes a chunk of a block.
    ///
    /// # Safety
    ///
    /// `block` is valid memory with [`Self::layout`] of at least a header's size, and belongs to the chunk from now on.
    pub(crate) unsafe fn new(block: Block) -> Self {
        let header = block.ptr.cast::<Header>();
        // SAFETY: the block is large enough and aligned for a header, by this function's contract.
        unsafe {
            header.write(Header {
                block,
                prev: Cell::new(None),
                next: Cell::new(None),
                last_used: Cell::new(0),
                filled: Cell::new(0),
                padding: Cell::new(0),
                sequence: Cell::new(0),
                #[cfg(feature = "std")]
                haul: Cell::new(Haul::EMPTY),
                #[cfg(feature = "std")]
                waiting: Cell::new(None),
            });
        }
        let chunk = Self(header);
        annotate::withheld(chunk.start().as_ptr(), chunk.capacity());
        chunk
    }

    pub(crate) fn header(&self) -> &Header {
        #[cfg(all(test, loom, feature = "std"))]
        crate::sync::modelled::touch(self.0.as_ptr().cast(), size_of::<Header>());
        // SAFETY: a `Chunk` names a live chunk, whose header was written by `new`; the header holds cells and is never
        // borrowed mutably.
        unsafe { self.0.as_ref() }
    }

    /// The block, to be given back; the chunk is dead afterwards.
    pub(crate) fn into_block(self) -> Block {
        self.header().block
    }

    /// First byte to hand out.
    pub(crate) fn start(&self) -> NonNull<u8> {
        // SAFETY: the block is larger than its header; the pointer keeps the provenance of the whole block.
        unsafe { self.header().block.ptr.add(size_of::<Header>()) }
    }

    /// Address after the last byte to hand out, a multiple of [`CHUNK_ALIGN`].
    pub(crate) fn end(&self) -> usize {
        let block = &self.header().block;
        crate::bump::round_down(block.ptr.addr().get() + block.layout.size(), CHUNK_ALIGN)
    }

    /// Bytes that can be handed out.
    pub(crate) fn capacity(&self) -> usize {
        self.end() - self.start().addr().get()
    }

    /// Bytes of the block, header included.
    pub(crate) fn bytes(&self) -> usize {
        self.header().block.layout.size()
    }

    /// Whether a request fits into the empty chunk.
    pub(crate) fn fits(&self, size: usize, align: usize) -> bool {
        let start = self.start().addr().get();
        crate::bump::any(start, self.end(), size, align, CHUNK_ALIGN).is_some()
    }

    /// What was handed out from `place` on, as far as the chunk was filled, is free: [`annotate`] is told.
    ///
    /// # Safety
    ///
    /// Nobody uses it any more. The header says how far the chunk was filled.
    pub(crate) unsafe fn free_from(&self, place: NonNull<u8>) {
        if annotate::LISTENS {
            let filled = self.start().addr().get() + self.header().filled.get();
            // SAFETY: inside the chunk, and nobody's.
            unsafe { annotate::freed(place.as_ptr(), filled - place.addr().get()) };
        }
    }

    /// Everything behind the header is free: [`annotate`] is told.
    ///
    /// # Safety
    ///
    /// Nobody uses it any more.
    pub(crate) unsafe fn free_whole(&self) {
        // SAFETY: inside the chunk, and nobody's.
        unsafe { annotate::freed(self.start().as_ptr(), self.capacity()) };
    }
}

/// How the sizes of an arena's chunks grow. Sizes include the chunk's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) min: usize,
    pub(crate) max: usize,
}

impl Growth {
    /// From 64 KiB, doubling, to 1 MiB: small enough that a hundred idle threads cost little, large enough that a
    /// frame of many megabytes goes to the cold path a few times only.
    pub(crate) const DEFAULT: Self = Self { min: 64 << 10, max: 1 << 20 };

    /// Smallest and largest size that can be configured.
    pub(crate) const SMALLEST: usize = 1 << 10;
    pub(crate) const LARGEST: usize = if usize::BITS >= 64 { 1 << 40 } else { 1 << 28 };

    pub(crate) const fn new(min: usize, max: usize) -> Result<Self, AllocError> {
        const SIZE: &str = "a power of two from 1024 to 2^40 (2^28 on 32-bit targets)";
        const fn is_size(value: usize) -> bool {
            value.is_power_of_two() && value >= Growth::SMALLEST && value <= Growth::LARGEST
        }
        let (setting, value, bound) = if !is_size(min) {
            ("the smallest chunk size", min, SIZE)
        } else if !is_size(max) {
            ("the largest chunk size", max, SIZE)
        } else if min > max {
            ("the smallest chunk size", min, "at most the largest chunk size")
        } else {
            return Ok(Self { min, max });
        };
        Err(AllocError::new(AllocErrorKind::Config { setting, value, bound }))
    }

    /// Size of the chunk after `chunks` others.
    pub(crate) const fn size_after(self, chunks: usize) -> usize {
        let doublings = self.max.trailing_zeros() - self.min.trailing_zeros();
        if chunks >= doublings as usize { self.max } else { self.min << chunks }
    }

    /// Whether a request is too large for the growth sequence and gets a chunk of its own.
    #[inline]
    pub(crate) const fn is_dedicated(self, size: usize, align: usize) -> bool {
        let padding = if align > CHUNK_ALIGN { align } else { 0 };
        size.saturating_add(padding) > self.max - (size_of::<Header>() + CHUNK_ALIGN)
    }
}

/// Takes `preferred` bytes by `take`, or, while there is no memory for that, half and half again, `minimum` at least: a
/// backend that has little left still serves what fits.
pub(crate) fn smaller_and_smaller<T>(
    preferred: usize,
    minimum: usize,
    mut take: impl FnMut(usize) -> Result<T, AllocError>,
) -> Result<T, AllocError> {
    let mut bytes = preferred.max(minimum);
    loop {
        match take(bytes) {
            Err(error) if bytes > minimum && matches!(error.kind(), AllocErrorKind::OutOfMemory { .. }) => {
                bytes = crate::bump::round_down(bytes / 2, CHUNK_ALIGN).max(minimum);
            }
            result => return result,
        }
    }
}

/// When memory that frames no longer need goes back to the backend. At most one chunk goes back a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrimPolicy {
    /// A chunk that no frame has needed for so many frames is surplus: the high-water mark is that of a window of this
    /// many frames.
    AfterFrames(u32),
    /// Chunks are kept until `trim` is called.
    Never,
}

impl TrimPolicy {
    /// Whether a chunk last used in frame `last` is surplus in frame `now`.
    pub(crate) const fn is_surplus(self, last: u64, now: u64) -> bool {
        match self {
            Self::AfterFrames(window) => canary!("surplus_is_kept", now.saturating_sub(last) > window as u64, false),
            Self::Never => false,
        }
    }
}

impl Default for TrimPolicy {
    /// 30 frames: half a second at 60 Hz, long enough to bridge what comes back every few frames.
    fn default() -> Self {
        Self::AfterFrames(30)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_doubles_to_the_cap() {
        let sizes: alloc::vec::Vec<_> = (0..7).map(|n| Growth::DEFAULT.size_after(n) >> 10).collect();
        assert_eq!(sizes, [64, 128, 256, 512, 1024, 1024, 1024]);
        assert_eq!(Growth::DEFAULT.size_after(usize::MAX), 1 << 20);
    }

    #[test]
    fn bad_chunk_sizes_are_named() {
        for (min, max, word) in [
            (0, 1024, "0"),
            (3000, 4096, "3000"),
            (8192, 4096, "8192"),
            (1024, usize::MAX, "largest"),
            (512, 1024, "512"),
        ] {
            let text = alloc::format!("{}", Growth::new(min, max).unwrap_err());
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn a_request_is_dedicated_exactly_when_no_regular_chunk_fits() {
        let growth = Growth::new(1024, 4096).unwrap();
        for size in 0..5000 {
            for align in [1, 64, 128, 1024] {
                if !growth.is_dedicated(size, align) {
                    assert!(Chunk::bytes_for(size, align).unwrap() <= 4096);
                }
            }
        }
        assert!(growth.is_dedicated(4096, 1) && growth.is_dedicated(isize::MAX as usize, 1 << 20));
    }
}
