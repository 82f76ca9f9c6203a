//! One thread's cursor and chunk lists: everything that happens below the public types.
//!
//! Promises that a block handed out lies in a chunk of this arena, is aligned, and overlaps nothing handed out before and
//! not rewound or freed since. What lifetime a block gets is the callers' to decide: `Arena`, `Scope`, `Frame`, `Scratch`.

use alloc::boxed::Box;
#[cfg(feature = "std")]
use alloc::sync::Arc;
use core::alloc::Layout;
use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::ptr::{self, NonNull};

use crate::annotate;
use crate::backend::{AllocationResult, AllocatorBackend, Block, SystemBackend, check};
use crate::bump;
use crate::chunk::{Chunk, ChunkList, Growth, TrimPolicy};
#[cfg(feature = "std")]
use crate::chunk::{ChunkStore, Haul};
use crate::error::{AllocError, AllocErrorKind};
#[cfg(feature = "std")]
use crate::governor::Tag;
use crate::stats::ThreadStats;

/// The largest minimum alignment an arena may have, and the address at which the cursor of an empty arena stands.
pub(crate) const MAX_MIN_ALIGN: usize = 64;

/// Where the cursor and the bound of an arena without a chunk stand: nothing but zero-sized blocks fits, and nothing
/// is ever read or written there.
const DUMMY: NonNull<u8> = NonNull::without_provenance(core::num::NonZeroUsize::new(MAX_MIN_ALIGN).unwrap());

/// Where an arena's chunks come from.
pub(crate) enum Supply {
    /// The program's allocator.
    Global,
    /// A backend of the arena's own; what it leaves to others comes from the program's allocator.
    Own(RefCell<Box<dyn AllocatorBackend>>),
    /// What all threads of a `SmartAlloc` share.
    #[cfg(feature = "std")]
    Store(Arc<ChunkStore>),
}

/// A bump arena without a lifetime.
#[repr(C)]
pub(crate) struct RawArena {
    /// Where the next block goes. A multiple of the minimum alignment, with the provenance of the current chunk.
    cursor: Cell<NonNull<u8>>,
    /// Where blocks end: the nearer of the chunk's end and the grant's. `start <= cursor <= bound <= end`.
    bound: Cell<usize>,
    /// Bumps since the last reset.
    count: Cell<usize>,
    /// First byte of the current chunk.
    start: Cell<NonNull<u8>>,
    /// Address after the current chunk's last byte.
    end: Cell<usize>,
    /// Bytes handed out from other chunks than the current one.
    base: Cell<usize>,
    /// The position that may be reached: `usize::MAX` where no tag scope bounds it.
    grant: Cell<usize>,
    /// Chunks of this frame in the order of their use, the current one last.
    used: Cell<ChunkList>,
    /// Chunks for the rest of this frame and the next, those used last first.
    spare: Cell<ChunkList>,
    /// Dedicated chunks of this frame and spare ones.
    used_large: Cell<ChunkList>,
    spare_large: Cell<ChunkList>,
    /// Bytes of `used` and `used_large`.
    used_bytes: Cell<usize>,
    sequence: Cell<u64>,
    chunks: Cell<usize>,
    waste: Cell<usize>,
    /// Refused requests, and the highest position, since the last reset.
    refused: Cell<usize>,
    /// Whether a refusal inside a collection is to be returned instead of raised, for the request under way.
    quiet: Cell<bool>,
    /// The last refusal of a quiet request.
    last_error: Cell<Option<AllocError>>,
    #[cfg(feature = "std")]
    tag: Cell<Option<OpenTag>>,
    growth: Growth,
    min_align: usize,
    /// Resets of an arena that stands alone: what a frame number is to the arenas of a `SmartAlloc`.
    resets: Cell<u64>,
    supply: Supply,
}

/// The innermost open tag scope of a thread.
#[cfg(feature = "std")]
#[derive(Clone, Copy)]
pub(crate) struct OpenTag {
    pub(crate) tag: Tag,
    /// The grant of the scope around it, which an extension does not exceed.
    pub(crate) outer_grant: usize,
}

/// What a refusal turns into: an [`AllocError`], or, where the error is [`Infallible`], a panic.
pub(crate) trait Refusal: Sized {
    fn refuse(error: AllocError) -> Self;
    /// The cold path of a bump that did not fit.
    fn refill(arena: &RawArena, size: usize, align: usize) -> Result<NonNull<u8>, Self>;
}

impl Refusal for AllocError {
    fn refuse(error: AllocError) -> Self {
        error
    }

    #[inline]
    fn refill(arena: &RawArena, size: usize, align: usize) -> Result<NonNull<u8>, Self> {
        arena.refill(size, align)
    }
}

/// The refusal of a collection's allocator, which has a type of its own in the `Allocator` trait.
impl Refusal for allocator_api2::alloc::AllocError {
    fn refuse(_: AllocError) -> Self {
        Self
    }

    #[inline]
    fn refill(arena: &RawArena, size: usize, align: usize) -> Result<NonNull<u8>, Self> {
        arena.refill_collection(size, align).ok_or(Self)
    }
}

impl Refusal for Infallible {
    #[track_caller]
    fn refuse(error: AllocError) -> Self {
        error.raise()
    }

    #[inline]
    fn refill(arena: &RawArena, size: usize, align: usize) -> Result<NonNull<u8>, Self> {
        Ok(arena.refill_or_raise(size, align))
    }
}

/// A place to come back to.
#[derive(Clone, Copy)]
pub(crate) struct Checkpoint {
    chunk: Option<Chunk>,
    cursor: NonNull<u8>,
    base: usize,
    sequence: u64,
}

impl RawArena {
    pub(crate) const fn new(supply: Supply, growth: Growth, min_align: usize) -> Self {
        Self {
            cursor: Cell::new(DUMMY),
            bound: Cell::new(MAX_MIN_ALIGN),
            count: Cell::new(0),
            start: Cell::new(DUMMY),
            end: Cell::new(MAX_MIN_ALIGN),
            base: Cell::new(0),
            grant: Cell::new(usize::MAX),
            used: Cell::new(ChunkList::new()),
            spare: Cell::new(ChunkList::new()),
            used_large: Cell::new(ChunkList::new()),
            spare_large: Cell::new(ChunkList::new()),
            used_bytes: Cell::new(0),
            sequence: Cell::new(0),
            chunks: Cell::new(0),
            waste: Cell::new(0),
            refused: Cell::new(0),
            quiet: Cell::new(false),
            last_error: Cell::new(None),
            #[cfg(feature = "std")]
            tag: Cell::new(None),
            growth,
            min_align,
            resets: Cell::new(0),
            supply,
        }
    }

    // ---- the fast path -------------------------------------------------------------------------------------------

    /// Memory for a `T`: five instructions and one branch where its alignment is at most `M`, the minimum alignment.
    #[inline(always)]
    pub(crate) fn reserve<const M: usize, E: Refusal, T>(&self) -> Result<NonNull<T>, E> {
        if const { bump::is_constant(size_of::<T>(), align_of::<T>(), M) } {
            let cursor = self.cursor.get();
            let size = const { bump::round_up(size_of::<T>(), M) };
            if let Some(bump) = bump::constant(cursor.addr().get(), self.bound.get(), size) {
                return Ok(self.commit(cursor, bump, size_of::<T>()).cast());
            }
            E::refill(self, size_of::<T>(), align_of::<T>()).map(NonNull::cast)
        } else {
            self.reserve_layout::<M, E>(size_of::<T>(), align_of::<T>()).map(NonNull::cast)
        }
    }

    /// Memory for a size and alignment that form a valid [`Layout`].
    #[inline(always)]
    pub(crate) fn reserve_layout<const M: usize, E: Refusal>(
        &self,
        size: usize,
        align: usize,
    ) -> Result<NonNull<u8>, E> {
        let cursor = self.cursor.get();
        if let Some(bump) = bump::any(cursor.addr().get(), self.bound.get(), size, align, M) {
            return Ok(self.commit(cursor, bump, size));
        }
        E::refill(self, size, align)
    }

    /// Memory for `len` values of `T`.
    #[inline(always)]
    pub(crate) fn reserve_slice<const M: usize, E: Refusal, T>(&self, len: usize) -> Result<NonNull<T>, E> {
        let layout = match Layout::array::<T>(len) {
            Ok(layout) => layout,
            Err(_) => return Err(E::refuse(AllocError::capacity(len, size_of::<T>()))),
        };
        self.reserve_layout::<M, E>(layout.size(), align_of::<T>()).map(NonNull::cast)
    }

    #[inline(always)]
    fn commit(&self, cursor: NonNull<u8>, bump: bump::Bump, size: usize) -> NonNull<u8> {
        // Both addresses lie in the current chunk, or are the dummy's and nothing is accessed through them.
        self.cursor.set(at(cursor, bump.cursor));
        self.count.set(self.count.get() + 1);
        let block = at(cursor, bump.start);
        annotate::used(block.as_ptr(), size);
        block
    }

    // ---- the cold path -------------------------------------------------------------------------------------------

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn refill_or_raise(&self, size: usize, align: usize) -> NonNull<u8> {
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
    pub(crate) fn refill(&self, size: usize, align: usize) -> Result<NonNull<u8>, AllocError> {
        let result = self.refill_inner(size, align);
        if result.is_err() {
            self.refused.set(self.refused.get() + 1);
        }
        result
    }

    fn refill_inner(&self, size: usize, align: usize) -> Result<NonNull<u8>, AllocError> {
        // Each round makes progress unless user code undoes it; a governor that does so every time is refused.
        const ROUNDS: usize = 8;
        for _ in 0..ROUNDS {
            let cursor = self.cursor.get();
            let address = cursor.addr().get();
            if let Some(bump) = bump::any(address, self.bound.get(), size, align, self.min_align) {
                return Ok(self.commit(cursor, bump, size));
            }
            if let Some(bump) = bump::any(address, self.end.get(), size, align, self.min_align) {
                // Only the grant is in the way.
                self.extend_grant(bump.cursor - address)?;
            } else if self.growth.is_dedicated(size, align) {
                self.extend_grant(bump::round_up(size, self.min_align))?;
                match self.take_spare(&self.spare_large, size, align) {
                    Some(chunk) => return Ok(self.dedicate(chunk, size, align)),
                    None => {
                        let bytes = bump::round_up(Chunk::bytes_for(size, align)?, 4096);
                        let chunk = self.supply.draw(size, align, bytes)?;
                        self.keep_large(chunk);
                    }
                }
            } else {
                self.extend_grant(bump::round_up(size, self.min_align))?;
                match self.take_spare(&self.spare, size, align) {
                    Some(chunk) => self.install(chunk),
                    None => {
                        let chunk = self.supply.draw(size, align, self.growth.size_after(self.chunks.get()))?;
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
    fn extend_grant(&self, needed: usize) -> Result<(), AllocError> {
        let missing = needed.saturating_sub(self.remaining());
        if missing == 0 {
            return Ok(());
        }
        #[cfg(feature = "std")]
        if let (Some(open), Supply::Store(store)) = (self.tag.get(), &self.supply) {
            use crate::governor::Verdict;
            let governor = store.source().governor();
            // At most the enclosing scope's grant, which is asked for when that scope itself runs out.
            let verdict = crate::backend::ask(Verdict::Deny, || governor.extend_tag(open.tag, missing));
            let added = match verdict {
                Verdict::Allow => missing,
                Verdict::AllowUpTo(bytes) => bytes,
                Verdict::Deny => 0,
            };
            self.set_grant(self.grant.get().saturating_add(added).min(open.outer_grant));
            if needed <= self.remaining() {
                return Ok(());
            }
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
        let most = if dedicated { size.saturating_mul(4) } else { usize::MAX };
        let mut spare = list.get();
        let chunk = spare.take_first(|chunk| chunk.capacity() <= most && chunk.fits(size, align));
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
        chunk.header().last_used.set(self.now());
        self.enter(chunk, chunk.start());
    }

    fn enter(&self, chunk: Chunk, cursor: NonNull<u8>) {
        self.start.set(chunk.start());
        self.end.set(chunk.end());
        self.cursor.set(cursor);
        self.rebound();
    }

    /// Notes how far the current chunk was filled, and what is lost behind that.
    fn leave_current(&self) {
        if let Some(current) = self.used.get().back() {
            let filled = self.filled();
            current.header().filled.set(filled);
            self.base.set(self.base.get() + filled);
            self.waste.set(self.waste.get() + (self.end.get() - self.cursor.get().addr().get()));
        }
    }

    /// Makes `chunk`, which is on no list, the home of one block. The current chunk stays current, and growth is not
    /// affected.
    fn dedicate(&self, chunk: Chunk, size: usize, align: usize) -> NonNull<u8> {
        let header = chunk.header();
        let filled = bump::round_up(size, self.min_align);
        self.sequence.set(self.sequence.get() + 1);
        header.sequence.set(self.sequence.get());
        header.filled.set(filled);
        header.last_used.set(self.now());
        let mut used = self.used_large.get();
        used.push_back(chunk);
        self.used_large.set(used);
        self.used_bytes.set(self.used_bytes.get() + chunk.bytes());
        self.chunks.set(self.chunks.get() + 1);
        self.count.set(self.count.get() + 1);
        self.base.set(self.base.get() + filled);
        self.rebound();
        let start = chunk.start();
        let block = at(start, bump::round_up(start.addr().get(), align));
        annotate::used(block.as_ptr(), size);
        block
    }

    /// The dedicated chunk that `block` is alone in, if that can be told from the layout.
    fn dedicated_chunk(&self, block: NonNull<u8>, layout: Layout) -> Option<Chunk> {
        if !self.growth.is_dedicated(layout.size(), layout.align()) {
            return None;
        }
        // The newest are the likeliest: collections grow and are dropped in the reverse order of their making.
        const LOOK: usize = 8;
        let mut at = self.used_large.get().back();
        for _ in 0..LOOK {
            let chunk = at?;
            let start = chunk.start().addr().get();
            if bump::round_up(start, layout.align()) == block.addr().get() {
                return Some(chunk);
            }
            at = self.used_large.get().before(chunk);
        }
        None
    }

    /// Bytes handed out since the last reset.
    pub(crate) fn position(&self) -> usize {
        self.base.get() + self.filled()
    }

    /// Bytes handed out of the current chunk.
    fn filled(&self) -> usize {
        self.cursor.get().addr().get() - self.start.get().addr().get()
    }

    /// Computes the bound anew, from the current chunk.
    fn rebound(&self) {
        let start = self.start.get().addr().get();
        let bound = bump::bound(start, self.end.get(), self.base.get(), self.grant.get(), self.min_align);
        // A grant below what is handed out already refuses everything further, but takes nothing back.
        self.bound.set(bound.max(self.cursor.get().addr().get()));
    }

    pub(crate) fn grant(&self) -> usize {
        self.grant.get()
    }

    pub(crate) fn set_grant(&self, grant: usize) {
        self.grant.set(grant);
        self.rebound();
    }

    #[cfg(feature = "std")]
    pub(crate) fn replace_tag(&self, tag: Option<OpenTag>) -> Option<OpenTag> {
        self.tag.replace(tag)
    }

    fn now(&self) -> u64 {
        match &self.supply {
            #[cfg(feature = "std")]
            Supply::Store(store) => store.frame(),
            _ => self.resets.get(),
        }
    }

    // ---- the last block ------------------------------------------------------------------------------------------

    /// Whether a block of `size` bytes is the last one handed out from the current chunk.
    ///
    /// A block of another chunk never looks like it: between a chunk's last byte and the next one's first lies a header.
    #[inline(always)]
    fn is_last<const M: usize>(&self, block: NonNull<u8>, size: usize) -> bool {
        size != 0 && block.addr().get() + bump::round_up(size, M) == self.cursor.get().addr().get()
    }

    /// Grows a block, in place if it is the last one.
    ///
    /// # Safety
    ///
    /// `block` is live, of this arena, with layout `old`; `new` is not smaller. It is dead afterwards, unless refused.
    #[inline]
    pub(crate) unsafe fn grow<const M: usize, E: Refusal>(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<u8>, E> {
        let address = block.addr().get();
        if address & (new.align() - 1) == 0 && self.is_last::<M>(block, old.size()) {
            // The block starts at a multiple of `M`, so no sum below the bound wraps.
            if new.size() <= self.bound.get() - address {
                let cursor = self.cursor.get();
                self.cursor.set(at(cursor, bump::round_up(address + new.size(), M)));
                let block = at(cursor, address);
                annotate::used(block.as_ptr(), new.size());
                return Ok(block);
            }
        }
        let moved = self.reserve_layout::<M, E>(new.size(), new.align())?;
        // SAFETY: `block` is live and `old.size()` long; `moved` is fresh, hence disjoint, and not shorter.
        unsafe { ptr::copy_nonoverlapping(block.as_ptr(), moved.as_ptr(), old.size()) };
        // SAFETY: `block` is live with layout `old`, and not used again.
        unsafe { self.free::<M>(block, old) };
        Ok(moved)
    }

    /// Shrinks a block, giving the rest back if it is the last one.
    ///
    /// # Safety
    ///
    /// `block` is live, of this arena, with layout `old`; `new` is not larger. It is dead afterwards, unless refused.
    #[inline]
    pub(crate) unsafe fn shrink<const M: usize, E: Refusal>(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<u8>, E> {
        let address = block.addr().get();
        if address & (new.align() - 1) != 0 {
            let moved = self.reserve_layout::<M, E>(new.size(), new.align())?;
            // SAFETY: `block` is live and at least `new.size()` long; `moved` is fresh, hence disjoint.
            unsafe { ptr::copy_nonoverlapping(block.as_ptr(), moved.as_ptr(), new.size()) };
            return Ok(moved);
        }
        if self.is_last::<M>(block, old.size()) {
            self.cursor.set(at(self.cursor.get(), bump::round_up(address + new.size(), M)));
        }
        annotate::free(block.as_ptr().wrapping_add(new.size()), old.size() - new.size());
        Ok(block)
    }

    /// Frees a block: its memory is used again if it is the last one, or alone in its chunk.
    ///
    /// # Safety
    ///
    /// `block` is live, of this arena, with this `layout`, and not used afterwards.
    #[inline]
    pub(crate) unsafe fn free<const M: usize>(&self, block: NonNull<u8>, layout: Layout) {
        annotate::free(block.as_ptr(), layout.size());
        if self.is_last::<M>(block, layout.size()) {
            self.cursor.set(at(self.cursor.get(), block.addr().get()));
        } else if layout.size() > self.growth.max / 2 {
            self.free_dedicated(block, layout);
        }
    }

    #[cold]
    fn free_dedicated(&self, block: NonNull<u8>, layout: Layout) {
        let Some(chunk) = self.dedicated_chunk(block, layout) else { return };
        let mut used = self.used_large.get();
        used.remove(chunk);
        self.used_large.set(used);
        self.used_bytes.set(self.used_bytes.get() - chunk.bytes());
        self.base.set(self.base.get() - chunk.header().filled.get());
        self.keep_large(chunk);
        self.rebound();
    }

    fn keep_large(&self, chunk: Chunk) {
        chunk.poison();
        let mut spare = self.spare_large.get();
        spare.push_front(chunk);
        self.spare_large.set(spare);
    }

    // ---- quiet refusals ------------------------------------------------------------------------------------------

    /// Runs `f`, in which a refusal to one of this arena's collections is an `Err` rather than a panic.
    pub(crate) fn quietly<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Reset<'a>(&'a Cell<bool>, bool);
        impl Drop for Reset<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        let _reset = Reset(&self.quiet, self.quiet.replace(true));
        f()
    }

    /// The refusal that the last quiet request met, if it met one.
    pub(crate) fn last_error(&self) -> Option<AllocError> {
        self.last_error.take()
    }

    /// The cold path of a collection: a refusal is a panic with its text, or `None` inside [`quietly`](Self::quietly).
    #[cold]
    #[inline(never)]
    pub(crate) fn refill_collection(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        // User code in the refill is not part of the quiet request.
        let quiet = self.quiet.replace(false);
        let result = self.refill(size, align);
        self.quiet.set(quiet);
        match result {
            Ok(block) => Some(block),
            Err(error) if quiet => {
                self.last_error.set(Some(error));
                None
            }
            Err(error) => error.raise(),
        }
    }

    // ---- rewinding -----------------------------------------------------------------------------------------------

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            chunk: self.used.get().back(),
            cursor: self.cursor.get(),
            base: self.base.get(),
            sequence: self.sequence.get(),
        }
    }

    /// Goes back to a checkpoint.
    ///
    /// # Safety
    ///
    /// Nothing that was handed out since is used afterwards, and the arena was not reset since.
    pub(crate) unsafe fn rewind(&self, to: Checkpoint) {
        let (mut used, mut spare) = (self.used.get(), self.spare.get());
        while used.back() != to.chunk {
            let Some(chunk) = used.pop_back() else { break };
            self.used_bytes.set(self.used_bytes.get() - chunk.bytes());
            chunk.poison();
            spare.push_front(chunk);
        }
        self.used.set(used);
        self.spare.set(spare);
        let mut large = self.used_large.get();
        while let Some(chunk) = large.back().filter(|chunk| chunk.header().sequence.get() > to.sequence) {
            large.remove(chunk);
            self.used_bytes.set(self.used_bytes.get() - chunk.bytes());
            self.keep_large(chunk);
        }
        self.used_large.set(large);
        self.base.set(to.base);
        match to.chunk {
            Some(chunk) => {
                // A block freed inside may have left the cursor below the checkpoint: then it stays there.
                annotate::free(to.cursor.as_ptr(), chunk.end() - to.cursor.addr().get());
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
    pub(crate) unsafe fn reset(&self) {
        let (mut used, mut large) = (self.used.take(), self.used_large.take());
        self.start_over();
        poison(&used);
        poison(&large);
        let (mut spare, mut spare_large) = (self.spare.get(), self.spare_large.get());
        spare.prepend(used.take());
        spare_large.prepend(large.take());
        self.spare.set(spare);
        self.spare_large.set(spare_large);
    }

    fn start_over(&self) {
        self.leave();
        self.base.set(0);
        self.count.set(0);
        self.chunks.set(0);
        self.waste.set(0);
        self.refused.set(0);
        self.used_bytes.set(0);
        self.grant.set(usize::MAX);
    }

    /// Whether nothing was taken since the last reset: a reset would change nothing.
    pub(crate) fn is_untouched(&self) -> bool {
        self.count.get() == 0 && self.refused.get() == 0
    }

    /// What was handed out since the last reset.
    pub(crate) fn stats(&self) -> ThreadStats {
        ThreadStats {
            bytes_allocated: self.position(),
            allocation_count: self.count.get(),
            waste: self.waste.get(),
            chunks: self.chunks.get(),
        }
    }

    pub(crate) fn refused(&self) -> usize {
        self.refused.get()
    }

    pub(crate) fn count(&self) -> usize {
        self.count.get()
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
        self.used.get().iter().chain(self.used_large.get().iter()).map(move |chunk| {
            let filled = if Some(chunk) == current { self.filled() } else { chunk.header().filled.get() };
            (chunk.start(), filled)
        })
    }

    // ---- chunks in and out -----------------------------------------------------------------------------------------

    /// One spare chunk of each kind that no frame has needed for a window, off its list.
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

    /// All spare chunks.
    pub(crate) fn take_spares(&self) -> ChunkList {
        let mut list = self.spare.take();
        list.append(self.spare_large.take());
        list
    }

    /// Moves the used chunks out, and starts over. `None` if there are none.
    #[cfg(feature = "std")]
    pub(crate) fn detach(&self, slot: *const (), drops: *mut u8) -> Option<Chunk> {
        let haul = Haul {
            regular: self.used.take(),
            large: self.used_large.take(),
            bytes: self.used_bytes.get(),
            drops,
            slot,
            next: None,
        };
        self.start_over();
        let first = haul.regular.front().or(haul.large.front())?;
        first.header().haul.set(haul);
        Some(first)
    }

    /// Takes a haul back whose blocks are no longer used.
    #[cfg(feature = "std")]
    pub(crate) fn attach(&self, haul: &Haul) {
        poison(&haul.regular);
        poison(&haul.large);
        let (mut spare, mut spare_large) = (self.spare.get(), self.spare_large.get());
        spare.prepend(haul.regular);
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

impl Drop for RawArena {
    fn drop(&mut self) {
        let mut list = self.take_spares();
        list.append(self.used.take());
        list.append(self.used_large.take());
        self.supply.release(list);
    }
}

impl Supply {
    /// A chunk into which the request fits, of `preferred` bytes if it has to be made.
    fn draw(&self, size: usize, align: usize, preferred: usize) -> Result<Chunk, AllocError> {
        let mut backend = match self {
            #[cfg(feature = "std")]
            Self::Store(store) => return store.draw(size, align, preferred),
            Self::Global => None,
            Self::Own(backend) => Some(backend.borrow_mut()),
        };
        let layout = Chunk::layout(preferred.max(Chunk::bytes_for(size, align)?))?;
        let mut system = SystemBackend::new();
        let (result, owner) = match backend.as_mut().map(|backend| backend.allocate(layout)) {
            None | Some(AllocationResult::Fallback) => (system.allocate(layout), 1),
            Some(result) => (result, 0),
        };
        let AllocationResult::Ok(memory) = result else {
            let kind = AllocErrorKind::OutOfMemory { size: layout.size(), align: layout.align() };
            return Err(AllocError::new(kind));
        };
        let ptr = check(memory, layout)?;
        // SAFETY: the block is the backend's answer to a chunk's layout, checked, and belongs to the chunk alone.
        Ok(unsafe { Chunk::new(Block { ptr, layout, owner }) })
    }

    /// Gives chunks, which nobody uses any more, back to where they came from; the number of bytes.
    fn release(&self, mut list: ChunkList) -> usize {
        let mut bytes = 0;
        while let Some(chunk) = list.pop_front() {
            bytes += chunk.bytes();
            annotate::used(chunk.start().as_ptr(), chunk.capacity());
            match self {
                #[cfg(feature = "std")]
                Self::Store(store) => store.release(chunk),
                Self::Global | Self::Own(_) => {
                    let Block { ptr, layout, owner } = chunk.into_block();
                    match (self, owner) {
                        // SAFETY: `draw` had the block from this backend with this layout, and nobody uses it.
                        (Self::Own(backend), 0) => unsafe { backend.borrow_mut().deallocate(ptr, layout) },
                        // SAFETY: `draw` had the block from the system backend with this layout.
                        _ => unsafe { SystemBackend::new().deallocate(ptr, layout) },
                    }
                }
            }
        }
        bytes
    }
}

/// `pointer` with another address in the same chunk.
#[inline(always)]
fn at(pointer: NonNull<u8>, address: usize) -> NonNull<u8> {
    let moved = pointer.as_ptr().with_addr(address);
    // SAFETY: an address in a chunk, or the dummy's, is not 0.
    unsafe { NonNull::new_unchecked(moved) }
}

/// Marks a list's chunks as free, where a memory checker listens.
fn poison(list: &ChunkList) {
    if cfg!(asan) {
        list.iter().for_each(|chunk| chunk.poison());
    }
}
