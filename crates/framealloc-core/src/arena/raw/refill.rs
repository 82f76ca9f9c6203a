//! The cold path: a block that did not fit below the bound.
//!
//! Promises that no list is in a half-changed state while user code (a governor, a backend) runs, since that code may
//! allocate from this very arena.

use core::alloc::Layout;
use core::cell::Cell;
#[cfg(any(feature = "sample", feature = "trace"))]
use core::panic::Location;
use core::ptr::{self, NonNull};

#[cfg(feature = "std")]
use super::Supply;
use super::{RawArena, at};
use crate::annotate;
use crate::bump;
use crate::chunk::{Chunk, ChunkList};
use crate::error::{AllocError, AllocErrorKind};

impl RawArena {
    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(super) fn refill_or_raise(&self, size: usize, align: usize) -> NonNull<u8> {
        match self.refill(size, align) {
            Ok(block) => block,
            Err(error) => error.raise(),
        }
    }

    /// A block that did not fit below the bound: extends the grant, goes on to the next chunk, or takes a dedicated one.
    ///
    /// Governors and backends run in here and may allocate from this very arena: after each such call everything is
    /// read anew, and no list is in a half-changed state during one.
    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(crate) fn refill(&self, size: usize, align: usize) -> Result<NonNull<u8>, AllocError> {
        #[cfg(any(feature = "sample", feature = "trace"))]
        let site = Location::caller();
        #[cfg(feature = "trace")]
        if self.is_traced() {
            return self.refill_traced(size, align, site);
        }
        self.refill_plain(
            size,
            0,
            align,
            #[cfg(feature = "sample")]
            site,
        )
    }

    /// The same with `gap` bytes behind the block.
    pub(super) fn refill_plain(
        &self,
        size: usize,
        gap: usize,
        align: usize,
        #[cfg(feature = "sample")] site: &'static Location<'static>,
    ) -> Result<NonNull<u8>, AllocError> {
        #[cfg(feature = "sample")]
        let sampled = self.lift_sample();
        let result = self.refill_inner(size + gap, align).map_err(|error| {
            self.refused.set(self.refused.get() + 1);
            match error.kind() {
                // What was asked for here, rather than the chunk that was to hold it.
                AllocErrorKind::OutOfMemory { .. } => AllocError::new(AllocErrorKind::OutOfMemory { size, align }),
                _ => error,
            }
        });
        #[cfg(feature = "sample")]
        if let Some(lifted) = sampled {
            match (&result, Layout::from_size_align(size, align)) {
                (&Ok((_, bytes)), Ok(layout)) => {
                    lifted.settle(&super::samples::Taken { layout, grown_from: 0, bytes, ahead: 0, site });
                }
                _ => lifted.put_back(),
            }
        }
        result.map(|(block, _)| block)
    }

    /// The block, and the bytes that frame memory grew by.
    fn refill_inner(&self, size: usize, align: usize) -> Result<(NonNull<u8>, usize), AllocError> {
        // Each round makes progress unless user code undoes it; a governor that does so every time is refused.
        const ROUNDS: usize = 8;
        let span = annotate::span(size, self.min_align);
        for _ in 0..ROUNDS {
            let cursor = self.cursor.get();
            let address = cursor.addr().get();
            if let Some(bump) = bump::any(address, self.bound.get(), span, align, self.min_align) {
                return Ok((self.commit(cursor, bump, size), bump.cursor - address));
            }
            if let Some(bump) = bump::any(address, self.end.get(), span, align, self.min_align) {
                // Only the grant is in the way.
                self.extend_grant(bump.cursor - address)?;
            } else if self.growth.is_dedicated(span, align) {
                self.extend_grant(bump::round_up(span, self.min_align))?;
                match self.take_spare(&self.spare_large, span, align) {
                    Some(chunk) => return Ok(self.dedicate(chunk, size, align)),
                    None => {
                        let bytes = bump::round_up(Chunk::bytes_for(span, align)?, 4096);
                        let chunk = self.supply.draw(span, align, bytes)?;
                        self.keep_large(chunk);
                    }
                }
            } else {
                self.extend_grant(bump::round_up(span, self.min_align))?;
                match self.take_spare(&self.spare, span, align) {
                    Some(chunk) => self.install(chunk),
                    None => {
                        let chunk = self.supply.draw(
                            span,
                            align,
                            self.growth.size_after(canary!(
                                "huge_inflates_growth",
                                self.chunks.get() - self.large.get(),
                                self.chunks.get()
                            )),
                        )?;
                        chunk.header().last_used.set(self.now());
                        let mut spare = self.spare.get();
                        spare.push_front(chunk);
                        self.spare.set(spare);
                    }
                }
            }
        }
        Err(self.over_grant(size))
    }

    /// Sees to it that `needed` more bytes lie within the grant.
    pub(super) fn extend_grant(&self, needed: usize) -> Result<(), AllocError> {
        let missing = needed.saturating_sub(self.remaining());
        if missing == 0 {
            return Ok(());
        }
        // What follows calls the governor, which may allocate from here: whether it now fits is asked anew.
        #[cfg(feature = "std")]
        if self.extend_grants(needed) && self.position().saturating_add(needed) <= self.grant.get() {
            return Ok(());
        }
        Err(self.over_grant(needed))
    }

    fn over_grant(&self, requested: usize) -> AllocError {
        AllocError::new(AllocErrorKind::OverGrant { requested, remaining: self.remaining() })
    }

    fn remaining(&self) -> usize {
        self.grant.get().saturating_sub(self.position())
    }

    /// A spare chunk into which the request fits, off its list.
    fn take_spare(&self, list: &Cell<ChunkList>, size: usize, align: usize) -> Option<Chunk> {
        let dedicated = ptr::eq(list, &raw const self.spare_large);
        // A chunk many times too large would be kept by a need that is many times smaller. What is drawn for the request,
        // padding and rounding to pages included, is never too large.
        let need = Chunk::bytes_for(size, align).map_or(usize::MAX, |bytes| bump::round_up(bytes, 4096));
        let most = if dedicated { need.saturating_mul(4) } else { usize::MAX };
        let mut spare = list.get();
        let chunk = spare.take_first(|chunk| chunk.bytes() <= most && chunk.fits(size, align));
        list.set(spare);
        chunk
    }

    /// Makes `chunk`, which is on no list, the current one.
    fn install(&self, chunk: Chunk) {
        self.leave_current();
        let mut used = self.used.get();
        used.push_back(chunk);
        self.used.set(used);
        self.used_bytes.set(self.used_bytes.get() + chunk.bytes());
        self.chunks.set(self.chunks.get() + 1);
        self.enter(chunk, chunk.start());
    }

    pub(super) fn enter(&self, chunk: Chunk, cursor: NonNull<u8>) {
        self.start.set(chunk.start());
        self.end.set(chunk.end());
        self.cursor.set(cursor);
        self.rebound();
    }

    /// Notes how far the current chunk was filled, and what is lost behind that.
    fn leave_current(&self) {
        if let Some(current) = self.used.get().back() {
            current.header().last_used.set(self.now());
            let filled = self.filled();
            current.header().filled.set(filled);
            self.base.set(self.base.get() + filled);
            self.waste.set(self.waste.get() + (self.end.get() - self.cursor.get().addr().get()));
        }
    }

    /// Makes `chunk`, which is on no list, the home of one block. The current chunk stays current, and growth is not
    /// affected.
    fn dedicate(&self, chunk: Chunk, size: usize, align: usize) -> (NonNull<u8>, usize) {
        let header = chunk.header();
        let filled = bump::round_up(annotate::span(size, self.min_align), self.min_align);
        self.sequence.set(self.sequence.get() + 1);
        header.sequence.set(self.sequence.get());
        header.filled.set(filled);
        header.last_used.set(self.now());
        let mut used = self.used_large.get();
        used.push_back(chunk);
        self.used_large.set(used);
        self.used_bytes.set(self.used_bytes.get() + chunk.bytes());
        self.chunks.set(self.chunks.get() + 1);
        self.large.set(self.large.get() + 1);
        self.note_allocation();
        self.base.set(self.base.get() + filled);
        self.rebound();
        let start = chunk.start();
        let block = at(start, bump::round_up(start.addr().get(), align));
        header.padding.set(block.addr().get() - start.addr().get());
        // SAFETY: the request fits into the chunk, which holds nothing else.
        unsafe { annotate::fresh(block.as_ptr(), size) };
        (block, filled)
    }

    /// The dedicated chunk that `block` is alone in, if its layout says that it has one and it is among the newest.
    pub(super) fn dedicated_chunk(&self, block: NonNull<u8>, layout: Layout) -> Option<Chunk> {
        const LOOK: usize = 8;
        let span = annotate::span(layout.size(), self.min_align);
        if layout.size() == 0 || !self.growth.is_dedicated(span, layout.align()) {
            return None;
        }
        // The newest are the likeliest: collections grow and are dropped in the reverse order of their making.
        let mut at = self.used_large.get().back();
        for _ in 0..LOOK {
            let chunk = at?;
            let (start, block) = (chunk.start().addr().get(), block.addr().get());
            // Not where a block of that alignment would lie: that may be behind the chunk's end, in the next one.
            let holds = canary!(
                "neighbour_freed",
                (start..chunk.end()).contains(&block),
                block == bump::round_up(start, layout.align())
            );
            if holds {
                return Some(chunk);
            }
            at = self.used_large.get().before(chunk);
        }
        None
    }

    /// Notes that the current chunk was needed until now. It was stamped when it was drawn, which may be many frames ago.
    pub(super) fn stamp_current(&self) {
        if let Some(current) = self.used.get().back() {
            current.header().last_used.set(self.now());
        }
    }

    /// Bytes handed out since the last reset.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.base.get() + self.filled()
    }

    /// Called before the position falls.
    #[inline]
    pub(super) fn note_high(&self) {
        self.high.set(self.peak());
    }

    /// The highest position since the last reset, or since [`replace_peak`](Self::replace_peak).
    #[inline]
    pub(crate) fn peak(&self) -> usize {
        self.high.get().max(self.position())
    }

    /// Starts a new measurement of the peak from this value; what it was.
    #[cfg(feature = "std")]
    pub(crate) fn replace_peak(&self, peak: usize) -> usize {
        let before = self.peak();
        self.high.set(peak);
        before
    }

    /// Bytes handed out of the current chunk.
    #[inline]
    pub(super) fn filled(&self) -> usize {
        self.cursor.get().addr().get() - self.start.get().addr().get()
    }

    /// Computes the bound anew, from the current chunk.
    pub(super) fn rebound(&self) {
        let start = self.start.get().addr().get();
        let grant = canary!("grant_ignored", self.grant.get(), usize::MAX);
        #[cfg(feature = "sample")]
        let grant = grant.min(self.sample_at.get());
        let bound = bump::bound(start, self.end.get(), self.base.get(), grant, self.min_align);
        // A grant below what is handed out already refuses everything further, but takes nothing back.
        let cursor = self.cursor.get().addr().get();
        #[cfg(feature = "trace")]
        let bound = if self.is_traced() { cursor } else { bound };
        self.bound.set(bound.max(cursor));
    }

    fn now(&self) -> u64 {
        match &self.supply {
            #[cfg(feature = "std")]
            Supply::Store(store) => store.frame(),
            _ => self.resets.get(),
        }
    }
}
