//! Going back: to a checkpoint, to the start, and chunks on their way in and out between frames.

use core::ptr::NonNull;

use super::{Checkpoint, DUMMY, MAX_MIN_ALIGN, RawArena, at};
use crate::annotate;
#[cfg(feature = "std")]
use crate::chunk::Haul;
use crate::chunk::{Chunk, ChunkList, TrimPolicy};
use crate::stats::ThreadStats;

impl RawArena {
    #[inline]
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            chunk: self.used.get().back(),
            cursor: self.cursor.get(),
            base: self.base.get(),
            sequence: self.sequence.get(),
            chunks: self.chunks.get(),
            large: self.large.get(),
            waste: self.waste.get(),
        }
    }

    /// Goes back to a checkpoint.
    ///
    /// # Safety
    ///
    /// Nothing that was handed out since is used afterwards, and the arena was not reset since.
    #[inline]
    pub(crate) unsafe fn rewind(&self, to: Checkpoint) {
        self.note_high();
        let chunks = self.chunks.get();
        // Grants are for the arenas of frames, and scopes for others: the bound is the chunk's end, wherever the cursor is.
        debug_assert_eq!(self.grant.get(), usize::MAX);
        if chunks == to.chunks {
            // No chunk was taken: only the cursor has moved.
            self.back_to(canary!("rewind_past_live", to.cursor, self.start.get()));
        } else if to.chunk.is_none() && chunks == 1 && self.large.get() == 0 {
            // The first chunk was taken: it stays, empty, so that the next one to come need not take it again.
            self.back_to(self.start.get());
        } else {
            self.rewind_chunks(&to);
        }
    }

    /// Lowers the cursor within the current chunk; nothing behind it is used any more.
    #[inline]
    fn back_to(&self, cursor: NonNull<u8>) {
        // SAFETY: between the two cursors lies what was handed out since, and nobody uses that; the rest is free already.
        unsafe { annotate::freed(cursor.as_ptr(), self.cursor.get().addr().get() - cursor.addr().get()) };
        self.cursor.set(cursor);
    }

    #[cold]
    #[inline(never)]
    fn rewind_chunks(&self, to: &Checkpoint) {
        self.stamp_current();
        self.note_filled();
        let (mut used, mut spare) = (self.used.get(), self.spare.get());
        while used.back() != to.chunk {
            let Some(chunk) = used.pop_back() else { break };
            self.used_bytes.set(self.used_bytes.get() - chunk.bytes());
            // SAFETY: all that lies in it was handed out since the checkpoint.
            unsafe { chunk.free_from(chunk.start()) };
            spare.push_front(chunk);
        }
        self.used.set(used);
        self.spare.set(spare);
        let mut large = self.used_large.get();
        while let Some(chunk) = large.back().filter(|chunk| chunk.header().sequence.get() > to.sequence) {
            large.remove(chunk);
            self.used_bytes.set(self.used_bytes.get() - chunk.bytes());
            // SAFETY: as above.
            unsafe { chunk.free_whole() };
            self.keep_large(chunk);
        }
        self.used_large.set(large);
        self.base.set(to.base);
        self.chunks.set(to.chunks);
        self.large.set(to.large);
        self.waste.set(to.waste);
        match to.chunk {
            Some(chunk) => {
                // SAFETY: what lies behind the checkpoint is not used any more.
                unsafe { chunk.free_from(to.cursor) };
                self.enter(chunk, to.cursor);
            }
            None => self.leave(),
        }
    }

    /// Stands on no chunk.
    fn leave(&self) {
        self.start.set(DUMMY);
        self.end.set(MAX_MIN_ALIGN);
        self.cursor.set(DUMMY);
        self.bound.set(MAX_MIN_ALIGN);
    }

    /// Forgets all blocks and starts over with the chunks there are. Constant time.
    ///
    /// # Safety
    ///
    /// Nothing that was handed out is used afterwards.
    #[inline]
    pub(crate) unsafe fn reset(&self) {
        if self.is_used() {
            // SAFETY: this function's contract.
            unsafe { self.reset_used() };
        } else {
            self.reset_chunks();
        }
    }

    /// The same for an arena that [`is_used`](Self::is_used).
    ///
    /// # Safety
    ///
    /// As for [`reset`](Self::reset).
    #[inline(always)]
    pub(crate) unsafe fn reset_used(&self) {
        #[cfg(feature = "sample")]
        self.samples_restart();
        #[cfg(feature = "trace")]
        self.trail_ends();
        let room = self.end.get() - self.start.get().addr().get();
        if self.chunks.get() != 1 || self.large.get() != 0 {
            self.reset_chunks();
        } else if room > self.growth.min && self.is_outsized() {
            self.retire();
        } else {
            // All lay in the current chunk, which stays where it is.
            self.back_to(self.start.get());
            self.clear_figures();
            self.grant.set(usize::MAX);
            // Without a grant the bound is the chunk's end, a multiple of every minimum alignment. Stored though it seldom differs:
            // see `RawArena::value`.
            self.bound.set(self.end.get());
            #[cfg(any(feature = "sample", feature = "trace"))]
            self.rebound();
        }
    }

    /// Whether the current chunk, of more than the smallest size, is many times larger than what was needed of it. If not,
    /// notes that it was needed.
    #[inline(never)]
    fn is_outsized(&self) -> bool {
        let room = self.end.get() - self.start.get().addr().get();
        let outsized = self.peak().saturating_sub(self.base.get()) <= room / 4;
        if !outsized {
            self.stamp_current();
        }
        outsized
    }

    /// Puts a sole chunk that is much too large to the spare ones, behind a smaller one that suffices.
    /// Not stamped: its age is that of the last frame that needed it.
    #[cold]
    #[inline(never)]
    fn retire(&self) {
        self.note_filled();
        let mut used = self.used.take();
        // SAFETY: nothing that was handed out is used any more.
        unsafe { used.free_filled() };
        self.start_over();
        let mut spare = self.spare.get();
        make_way(&mut spare, used.take());
        self.spare.set(spare);
    }

    /// Puts the chunks in use to the spare ones if nothing lies in them, so that they can age and be given back.
    #[inline]
    pub(crate) fn unload(&self) {
        if self.chunks.get() != 0 && self.position() == 0 {
            self.unload_chunks();
        }
    }

    #[cold]
    #[inline(never)]
    fn unload_chunks(&self) {
        self.stamp_current();
        let (mut spare, mut spare_large) = (self.spare.get(), self.spare_large.get());
        spare.prepend(self.used.take());
        spare_large.prepend(self.used_large.take());
        self.spare.set(spare);
        self.spare_large.set(spare_large);
        self.used_bytes.set(0);
        self.base.set(0);
        self.chunks.set(0);
        self.large.set(0);
        self.leave();
    }

    #[cold]
    #[inline(never)]
    fn reset_chunks(&self) {
        self.stamp_current();
        self.note_filled();
        let (mut used, mut large) = (self.used.take(), self.used_large.take());
        largest_first(&mut used);
        self.start_over();
        // SAFETY: nothing that was handed out is used any more.
        unsafe {
            used.free_filled();
            large.free_whole();
        }
        let (mut spare, mut spare_large) = (self.spare.get(), self.spare_large.get());
        spare.prepend(used.take());
        spare_large.prepend(large.take());
        self.spare.set(spare);
        self.spare_large.set(spare_large);
    }

    /// Notes how much of the current chunk was handed out, for whoever marks it as free later.
    fn note_filled(&self) {
        if annotate::LISTENS
            && let Some(current) = self.used.get().back()
        {
            current.header().filled.set(self.filled());
        }
    }

    fn start_over(&self) {
        self.leave();
        self.base.set(0);
        self.chunks.set(0);
        self.large.set(0);
        self.used_bytes.set(0);
        // A thread that is bounded is bounded anew by whoever resets it.
        self.grant.set(usize::MAX);
        self.clear_figures();
    }

    fn clear_figures(&self) {
        self.high.set(0);
        #[cfg(feature = "count")]
        self.count.set(0);
        self.waste.set(0);
        self.refused.set(0);
    }

    /// Whether nothing was asked for since the last reset.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn is_untouched(&self) -> bool {
        self.peak() == 0 && self.refused.get() == 0 && self.count() == 0
    }

    /// Whether anything was handed out since the last reset.
    #[inline(always)]
    pub(crate) fn is_used(&self) -> bool {
        self.peak() != 0
    }

    /// Whether nothing was asked for since the last reset, and no chunk is in use.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn is_idle(&self) -> bool {
        self.chunks.get() == 0 && self.refused.get() == 0 && self.count() == 0
    }

    /// Whether there are chunks in which nothing lies, beside the current one.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn has_spares(&self) -> bool {
        !self.spare.get().is_empty() || !self.spare_large.get().is_empty()
    }

    /// What was handed out since the last reset.
    #[inline]
    pub(crate) fn stats(&self) -> ThreadStats {
        let peak = self.peak();
        ThreadStats {
            arena: 0,
            bytes_allocated: self.position(),
            peak,
            allocation_count: self.count(),
            waste: self.waste.get(),
            // An empty arena may have kept its chunk.
            chunks: if peak == 0 { 0 } else { self.chunks.get() },
            chunk_bytes: if peak == 0 { 0 } else { self.used_bytes.get() },
            refused: self.refused.get(),
        }
    }

    /// Bytes lost at the ends of chunks since the last reset.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn waste(&self) -> usize {
        self.waste.get()
    }

    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn refused(&self) -> usize {
        self.refused.get()
    }

    /// Allocations since the last reset; 0 unless they are counted.
    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        #[cfg(feature = "count")]
        return self.count.get();
        #[cfg(not(feature = "count"))]
        0
    }

    /// Bytes of all the chunks this arena holds.
    pub(crate) fn committed(&self) -> usize {
        [&self.used, &self.spare, &self.used_large, &self.spare_large]
            .into_iter()
            .flat_map(|list| list.get().iter())
            .map(|chunk| chunk.bytes())
            .sum()
    }

    /// The filled part of every chunk in use, oldest first, dedicated chunks last: for tools.
    pub(crate) fn filled_parts(&self) -> impl Iterator<Item = (NonNull<u8>, usize)> + '_ {
        let current = self.used.get().back();
        let regular = self.used.get().iter().map(move |chunk| {
            let filled = if Some(chunk) == current { self.filled() } else { chunk.header().filled.get() };
            (chunk.start(), filled)
        });
        let large = self.used_large.get().iter().map(|chunk| {
            let (start, header) = (chunk.start(), chunk.header());
            (at(start, start.addr().get() + header.padding.get()), header.filled.get())
        });
        // An empty arena may have kept its chunk.
        regular.chain(large).filter(|&(_, filled)| filled != 0)
    }

    /// One spare chunk of each kind that no frame has needed for a window, off its list.
    #[inline]
    pub(crate) fn take_surplus(&self, policy: TrimPolicy, now: u64, into: &mut ChunkList) {
        for cell in [&self.spare, &self.spare_large] {
            let mut list = cell.get();
            let surplus = list.back().filter(|chunk| policy.is_surplus(chunk.header().last_used.get(), now));
            if let Some(chunk) = surplus {
                list.remove(chunk);
                cell.set(list);
                into.push_back(chunk);
            }
        }
    }

    /// All chunks in which nothing lies.
    pub(crate) fn take_spares(&self) -> ChunkList {
        self.unload();
        let mut list = self.spare.take();
        list.append(self.spare_large.take());
        list
    }

    /// Bytes of the chunks that [`detach`](Self::detach) would move out.
    #[cfg(feature = "std")]
    pub(crate) fn bytes_to_detach(&self) -> usize {
        if self.is_untouched() { 0 } else { self.used_bytes.get() }
    }

    /// Moves the used chunks out, and starts over. `None` if there are none.
    #[cfg(feature = "std")]
    pub(crate) fn detach(&self, slot: *const (), drops: *mut u8) -> Option<Chunk> {
        #[cfg(feature = "sample")]
        self.samples_restart();
        #[cfg(feature = "trace")]
        self.trail_ends();
        let room = self.end.get() - self.start.get().addr().get();
        let outsized = self.chunks.get() == 1 && room > self.growth.min && self.is_outsized();
        if !outsized {
            self.stamp_current();
        }
        self.note_filled();
        let haul = Haul {
            regular: self.used.take(),
            large: self.used_large.take(),
            bytes: self.used_bytes.get(),
            outsized,
            drops,
            slot,
            next: None,
        };
        self.start_over();
        let first = haul.regular.front().or(haul.large.front())?;
        first.header().haul.set(haul);
        Some(first)
    }

    /// Takes a haul back.
    ///
    /// # Safety
    ///
    /// Its blocks are no longer used.
    #[cfg(feature = "std")]
    pub(crate) unsafe fn attach(&self, haul: &Haul) {
        // SAFETY: this function's contract.
        unsafe { haul.free() };
        let (mut spare, mut spare_large) = (self.spare.get(), self.spare_large.get());
        let mut regular = haul.regular;
        if haul.outsized {
            make_way(&mut spare, regular);
        } else {
            largest_first(&mut regular);
            spare.prepend(regular);
        }
        spare_large.prepend(haul.large);
        self.spare.set(spare);
        self.spare_large.set(spare_large);
    }

    /// The end of a round of an arena that stands alone: gives one surplus chunk of each kind back.
    pub(crate) fn age(&self, policy: TrimPolicy) {
        self.resets.set(self.resets.get() + 1);
        let mut surplus = ChunkList::new();
        self.take_surplus(policy, self.resets.get(), &mut surplus);
        self.supply.release(surplus);
    }

    /// Gives the spare chunks back; the number of bytes.
    pub(crate) fn trim(&self) -> usize {
        self.supply.release(self.take_spares())
    }
}

/// Puts a sole chunk, of which a frame needed no more than a quarter, in front of the spare ones, and in front of it the smallest one that
/// suffices, if there is one. Where the next frame needs more, it finds this chunk again and not another one of its size: the others of a
/// spike would never age if they took turns.
fn make_way(spare: &mut ChunkList, sole: ChunkList) {
    // What is near the front was used lately; behind it may be hundreds.
    const NEAR: usize = 8;
    spare.prepend(sole);
    let Some(large) = sole.front() else { return };
    let suffices = |chunk: &Chunk| chunk.bytes() < large.bytes() && chunk.fits(large.bytes() / 4, 1);
    if let Some(small) = spare.iter().take(NEAR).filter(suffices).min_by_key(Chunk::bytes) {
        spare.remove(small);
        spare.push_front(small);
    }
}

/// Moves the last chunk of a frame to the front if it is larger than the first (chunks double, so that the last one is the
/// largest, or one of the largest): what fits into one chunk then stays in one from the next frame on, a growing vector is
/// not copied from chunk to chunk, and the smaller chunks become surplus.
fn largest_first(list: &mut ChunkList) {
    if let (Some(first), Some(last)) = (list.front(), list.back())
        && last.bytes() > first.bytes()
    {
        list.remove(last);
        list.push_front(last);
    }
}
