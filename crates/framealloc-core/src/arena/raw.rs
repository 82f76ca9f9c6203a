//! One thread's cursor and chunk lists: everything that happens below the public types.
//!
//! Promises that a block handed out lies in a chunk of this arena, is aligned, and overlaps nothing handed out before and
//! not rewound or freed since. What lifetime a block gets is the callers' to decide: `Arena`, `Scope`, `Frame`, `Scratch`.

#[cfg(feature = "std")]
mod grants;
mod refill;
mod rewind;
#[cfg(feature = "sample")]
mod samples;
#[cfg(any(feature = "sample", feature = "trace"))]
mod site;
mod supply;
#[cfg(feature = "trace")]
mod trail;

use core::alloc::Layout;
use core::cell::Cell;
#[cfg(feature = "std")]
use core::cell::UnsafeCell;
use core::convert::Infallible;
#[cfg(any(feature = "sample", feature = "trace"))]
use core::panic::Location;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use supply::Supply;

#[cfg(feature = "std")]
use std::vec::Vec;

use crate::annotate;
use crate::bump;
use crate::chunk::{Chunk, ChunkList, Growth};
use crate::error::AllocError;
#[cfg(feature = "std")]
use crate::governor::TagScope;
use crate::prefetch;

/// The largest minimum alignment an arena may have, and the address at which the cursor of an empty arena stands.
pub(crate) const MAX_MIN_ALIGN: usize = 64;

/// Where the cursor and the bound of an arena without a chunk stand: nothing but zero-sized blocks fits, and nothing
/// is ever read or written there.
const DUMMY: NonNull<u8> = NonNull::without_provenance(core::num::NonZeroUsize::new(MAX_MIN_ALIGN).unwrap());

/// How far behind the value that it places an allocation asks for memory.
///
/// Beside each value the cursor is stored, so that the stores that a core has under way reach few lines ahead; where no cache
/// has the memory they wait for it, and longer upwards than downwards. Nanoseconds a `u64`, 2,000,000 of them stored and read
/// back by a loop of its own on a Xeon with 2 MiB of second-level cache for each core; *near*, again and again; *far*, after 256 MB
/// of other memory were written:
///
/// | lines asked for | near | far |
/// |---|---|---|
/// | none | 0.91 | 2.55 |
/// | none, bumping downwards | 0.85 | 1.45 |
/// | 256 bytes ahead | 0.84 | 1.93 |
/// | 512 | 0.85 | 1.83 |
/// | 1024 | 0.84 | 1.22 |
/// | 2048 | 0.86 | 1.18 |
const AHEAD: usize = 1024;

/// A bump arena without a lifetime.
#[repr(C)]
pub(crate) struct RawArena {
    /// Where the next block goes. A multiple of the minimum alignment, with the provenance of the current chunk.
    cursor: Cell<NonNull<u8>>,
    /// Where blocks end: the nearer of the chunk's end and the grant's. `start <= cursor <= bound <= end`.
    bound: Cell<usize>,
    /// Bumps since the last reset.
    #[cfg(feature = "count")]
    count: Cell<usize>,
    /// First byte of the current chunk.
    start: Cell<NonNull<u8>>,
    /// Address after the current chunk's last byte.
    end: Cell<usize>,
    /// Bytes handed out from other chunks than the current one.
    base: Cell<usize>,
    /// The position that may be reached: the least of the thread's grant and those of its open tag scopes; `usize::MAX` where
    /// none bounds it.
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
    /// Chunks that were used since the last reset, and how many of them were dedicated ones.
    chunks: Cell<usize>,
    large: Cell<usize>,
    waste: Cell<usize>,
    /// The highest position since the last reset, as far as the cursor has come down since.
    high: Cell<usize>,
    /// Refused requests since the last reset.
    refused: Cell<usize>,
    /// Whether a refusal inside a collection is to be returned instead of raised, for the request under way.
    quiet: Cell<bool>,
    /// On whose behalf the request under way is made: the lines of a collection say nothing to its user.
    #[cfg(any(feature = "sample", feature = "trace"))]
    site: Cell<Option<&'static Location<'static>>>,
    /// The last refusal of a quiet request.
    last_error: Cell<Option<AllocError>>,
    /// The thread's own grant.
    #[cfg(feature = "std")]
    thread_grant: Cell<usize>,
    /// The open tag scopes, the innermost last.
    #[cfg(feature = "std")]
    tags: UnsafeCell<Vec<OpenTag>>,
    /// The position that may be reached without a sample; `usize::MAX` where none is due.
    #[cfg(feature = "sample")]
    sample_at: Cell<usize>,
    /// Whether blocks are watched, and the bound stands at the cursor.
    #[cfg(feature = "trace")]
    traced: Cell<bool>,
    /// The blocks of this frame that are watched.
    #[cfg(feature = "trace")]
    trail: UnsafeCell<Option<crate::trace::ByAddress<trail::Laid>>>,
    /// Whether the governor is to be asked for the next sample's place.
    #[cfg(feature = "sample")]
    pending: Cell<bool>,
    growth: Growth,
    min_align: usize,
    /// Resets of an arena that stands alone: what a frame number is to the arenas of a `SmartAlloc`.
    resets: Cell<u64>,
    supply: Supply,
}

/// An open tag scope.
#[cfg(feature = "std")]
#[derive(Clone, Copy)]
pub(crate) struct OpenTag {
    pub(crate) scope: TagScope,
    /// Scopes of which the governor was told, up to this one.
    pub(crate) told: usize,
    /// The position that the governor lets it reach.
    pub(crate) grant: usize,
}

/// What a refusal turns into: an [`AllocError`], or, where the error is [`Infallible`], a panic.
pub(crate) trait Refusal: Sized {
    fn refuse(error: AllocError) -> Self;
    /// The same for a refusal of the arena, which a collection may have to raise.
    #[track_caller]
    fn give_up(arena: &RawArena, error: AllocError) -> Self {
        let _ = arena;
        Self::refuse(error)
    }
    /// The cold path of a bump that did not fit.
    #[track_caller]
    fn refill(arena: &RawArena, size: usize, align: usize) -> Result<NonNull<u8>, Self>;
}

impl Refusal for AllocError {
    fn refuse(error: AllocError) -> Self {
        error
    }

    #[inline]
    #[track_caller]
    fn refill(arena: &RawArena, size: usize, align: usize) -> Result<NonNull<u8>, Self> {
        arena.refill(size, align)
    }
}

/// The refusal of a collection's allocator, which has a type of its own in the `Allocator` trait.
impl Refusal for allocator_api2::alloc::AllocError {
    fn refuse(_: AllocError) -> Self {
        Self
    }

    #[track_caller]
    fn give_up(arena: &RawArena, error: AllocError) -> Self {
        if !arena.quiet.get() {
            error.raise();
        }
        arena.last_error.set(Some(error));
        Self
    }

    #[inline]
    #[track_caller]
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
    #[track_caller]
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
    chunks: usize,
    large: usize,
    waste: usize,
}

impl RawArena {
    pub(crate) const fn new(supply: Supply, growth: Growth, min_align: usize) -> Self {
        Self {
            cursor: Cell::new(DUMMY),
            bound: Cell::new(MAX_MIN_ALIGN),
            #[cfg(feature = "count")]
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
            large: Cell::new(0),
            waste: Cell::new(0),
            high: Cell::new(0),
            refused: Cell::new(0),
            quiet: Cell::new(false),
            #[cfg(any(feature = "sample", feature = "trace"))]
            site: Cell::new(None),
            last_error: Cell::new(None),
            #[cfg(feature = "std")]
            thread_grant: Cell::new(usize::MAX),
            #[cfg(feature = "std")]
            tags: UnsafeCell::new(Vec::new()),
            #[cfg(feature = "sample")]
            sample_at: Cell::new(usize::MAX),
            #[cfg(feature = "sample")]
            pending: Cell::new(false),
            #[cfg(feature = "trace")]
            traced: Cell::new(false),
            #[cfg(feature = "trace")]
            trail: UnsafeCell::new(None),
            growth,
            min_align,
            resets: Cell::new(0),
            supply,
        }
    }

    // ---- the fast path -------------------------------------------------------------------------------------------

    /// Moves a value in. Six instructions and one branch beside the value's own, where its alignment is at most `M`, the
    /// minimum alignment; eight where it is more. One of them asks for memory [`AHEAD`].
    ///
    /// Their form and order are measured. Each allocation loads the cursor that the one before stored, and a processor that
    /// forwards it without a trip through the cache loses track in some orders: then a loop takes up to twice as long.
    /// Nanoseconds a value, stored, passed on through memory and read back, in loops over 10,000 on Sapphire Rapids:
    ///
    /// | form | `u64` | `[u64; 2]` | `[u64; 4]` |
    /// |---|---|---|---|
    /// | this one: value stored, cursor added to in memory | 1.08 | 1.13 | 1.59 |
    /// | the same with the bound loaded by an instruction of its own | 1.06 | 1.11 | 1.56 |
    /// | cursor stored from a register after the value | 1.16 | 1.55 | 2.15 |
    /// | the same, the bound stored once before the loop | 1.06 | 1.20 | 1.80 |
    /// | cursor stored from a register before the value | 1.18 | 1.50 | 2.08 |
    ///
    /// The first two were 0.87 and 0.77 ns a `u64` there where two threads streamed into memory that no cache has: what the
    /// prefetch is for, which takes the instruction that the second form has more. With it that processor was not measured. That
    /// the bound is stored now and then matters to a lesser degree where the cursor is added to in memory; so it is, at each reset.
    ///
    /// Zen 3 sees little of it: in assembly, loops alone, 2.4 ns a `u64` in this form, 2.2 with the cursor stored from a register, and 2.2 in
    /// this form without the prefetch.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn value<const M: usize, E: Refusal, T>(&self, value: T) -> Result<NonNull<T>, E> {
        let cursor = self.cursor.get();
        let Some(bump) = self.fit::<M, T>(cursor) else {
            core::hint::cold_path();
            return self.value_cold(value);
        };
        let place = at(cursor, bump.start);
        // SAFETY: a place of that size and alignment between the cursor and the bound, which is nobody's yet; or the dummy's
        // address, for a `T` of no size.
        let place = unsafe {
            annotate::fresh(place.as_ptr(), size_of::<T>());
            let place = place.cast::<T>();
            place.write(value);
            place
        };
        let next = if const { align_of::<T>() <= M } {
            // The same address, computed from the cursor in memory: one instruction adds to it there.
            let cursor = self.cursor.get();
            at(cursor, cursor.addr().get() + bump::round_up(const { annotate::span(size_of::<T>(), M) }, M))
        } else {
            at(cursor, bump.cursor)
        };
        self.cursor.set(next);
        prefetch::ahead(cursor.as_ptr().wrapping_add(size_of::<T>() + AHEAD));
        self.note_allocation();
        Ok(place)
    }

    #[cold]
    #[inline(always)]
    #[track_caller]
    fn value_cold<E: Refusal, T>(&self, value: T) -> Result<NonNull<T>, E> {
        let place = E::refill(self, size_of::<T>(), align_of::<T>())?.cast::<T>();
        // SAFETY: just reserved for a `T`.
        unsafe { place.write(value) };
        Ok(place)
    }

    /// Memory for a `T`.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn reserve<const M: usize, E: Refusal, T>(&self) -> Result<NonNull<T>, E> {
        let cursor = self.cursor.get();
        if let Some(bump) = self.fit::<M, T>(cursor) {
            return Ok(self.commit(cursor, bump, size_of::<T>()).cast());
        }
        E::refill(self, size_of::<T>(), align_of::<T>()).map(NonNull::cast)
    }

    #[inline(always)]
    fn fit<const M: usize, T>(&self, cursor: NonNull<u8>) -> Option<bump::Bump> {
        let (address, bound, span) =
            (cursor.addr().get(), self.bound.get(), const { annotate::span(size_of::<T>(), M) });
        if const { bump::is_constant(annotate::span(size_of::<T>(), M), align_of::<T>(), M) } {
            bump::constant(address, bound, span, align_of::<T>(), M)
        } else {
            bump::any(address, bound, span, align_of::<T>(), M)
        }
    }

    /// The bound, loaded by an instruction of its own, an atomic load being no part of a comparison: slices and texts take up to a
    /// twentieth less with it.
    #[inline(always)]
    fn bound(&self) -> usize {
        // SAFETY: the arena's own cell, which no other thread touches while this one may.
        unsafe { AtomicUsize::from_ptr(self.bound.as_ptr()) }.load(Ordering::Relaxed)
    }

    /// Bytes that fit below the bound.
    #[inline(always)]
    pub(crate) fn room(&self) -> usize {
        self.bound.get() - self.cursor.get().addr().get()
    }

    /// Bytes that fit, for whoever asks for more than is needed if there is room.
    #[inline(always)]
    pub(crate) fn room_to_spare(&self) -> usize {
        #[cfg(feature = "sample")]
        if self.sample_at.get() != usize::MAX {
            return self.room_without_sample();
        }
        self.room()
    }

    /// The peak as far as it is noted: see [`RawArena::peak`].
    #[inline(always)]
    pub(crate) fn high(&self) -> usize {
        self.high.get()
    }

    #[inline(always)]
    pub(crate) fn set_high(&self, high: usize) {
        self.high.set(high);
    }

    /// Memory for a size and alignment that form a valid [`Layout`].
    #[inline(always)]
    #[track_caller]
    pub(crate) fn reserve_layout<const M: usize, E: Refusal>(
        &self,
        size: usize,
        align: usize,
    ) -> Result<NonNull<u8>, E> {
        let cursor = self.cursor.get();
        if let Some(bump) = bump::any(cursor.addr().get(), self.bound(), annotate::span(size, M), align, M) {
            return Ok(self.commit(cursor, bump, size));
        }
        E::refill(self, size, align)
    }

    /// The same for an alignment that is known at run time only.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn reserve_dynamic<const M: usize, E: Refusal>(
        &self,
        size: usize,
        align: usize,
    ) -> Result<NonNull<u8>, E> {
        let cursor = self.cursor.get();
        let span = annotate::span(size, M);
        if let Some(bump) = bump::dynamic(cursor.addr().get(), self.bound.get(), span, align, M) {
            return Ok(self.commit(cursor, bump, size));
        }
        E::refill(self, size, align)
    }

    /// Memory for `len` values of `T`.
    #[inline(always)]
    #[track_caller]
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
        self.note_allocation();
        let block = at(cursor, bump.start);
        // SAFETY: the block lies between the cursor that was and the bound, or is the dummy's, of no size: it is nobody's yet.
        unsafe { annotate::fresh(block.as_ptr(), size) };
        block
    }

    /// A second chain through memory at every allocation, of which `docs/performance.md` tells the cost: so it is a feature.
    #[inline(always)]
    fn note_allocation(&self) {
        #[cfg(feature = "count")]
        self.count.set(self.count.get() + 1);
    }

    // ---- the last block ------------------------------------------------------------------------------------------

    /// Whether a block of `size` bytes is the last one handed out from the current chunk.
    ///
    /// A block of another chunk never looks like it: between a chunk's last byte and the next one's first lies a header.
    #[inline(always)]
    fn is_last<const M: usize>(&self, block: NonNull<u8>, size: usize) -> bool {
        size != 0 && block.addr().get() + bump::round_up(annotate::span(size, M), M) == self.cursor.get().addr().get()
    }

    /// Grows a block, in place if it is the last one.
    ///
    /// # Safety
    ///
    /// `block` is live, of this arena, with layout `old`; `new` is not smaller. It is dead afterwards, unless refused.
    #[inline]
    #[track_caller]
    pub(crate) unsafe fn grow<const M: usize, E: Refusal>(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<u8>, E> {
        let address = block.addr().get();
        if address & (new.align() - 1) == 0 && self.is_last::<M>(block, old.size()) {
            // The block starts at a multiple of `M`, so no sum below the bound wraps.
            let span = annotate::span(new.size(), M);
            if span <= self.bound.get() - address {
                let cursor = self.cursor.get();
                let end = address + span;
                self.cursor.set(at(cursor, canary!("grow_off_alignment", bump::round_up(end, M), end)));
                let block = at(cursor, address);
                // SAFETY: below the bound, and nobody's: what was handed out last ends where the old block does.
                unsafe { annotate::fresh(block.as_ptr().add(old.size()), new.size() - old.size()) };
                return Ok(block);
            }
        }
        if let Some(extended) = self.extend_for::<M>(block, old, new) {
            extended.map_err(|error| E::give_up(self, error))?;
            // SAFETY: this function's contract; as often as the governor grants something.
            return unsafe { self.grow::<M, E>(block, old, new) };
        }
        let moved = self.reserve_layout::<M, E>(new.size(), new.align())?;
        #[cfg(canary = "copy_after_free")]
        // SAFETY: none: it is read below.
        unsafe {
            self.free::<M>(block, old);
        }
        // SAFETY: `block` is live and `old.size()` long; `moved` is fresh, hence disjoint, and not shorter.
        unsafe { ptr::copy_nonoverlapping(block.as_ptr(), moved.as_ptr(), old.size()) };
        // SAFETY: `block` is live with layout `old`, and not used again.
        unsafe { self.free::<M>(block, old) };
        Ok(moved)
    }

    /// Where a block to be grown is the last one and fits into its chunk, so that nothing but the grant is in the way: extends that, lest the
    /// block be copied, and counted twice. Then it is to be tried again; or the refusal, which a copy would meet as well. `None` if
    /// something else is in the way.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn extend_for<const M: usize>(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<Result<(), AllocError>> {
        let address = block.addr().get();
        let span = annotate::span(new.size(), M);
        let fits = |bound: usize| span <= bound - address;
        let in_place = || address & (new.align() - 1) == 0 && self.is_last::<M>(block, old.size());
        if !in_place() || !fits(self.end.get()) || fits(self.bound.get()) {
            return None;
        }
        let more = bump::round_up(address + span, M) - self.cursor.get().addr().get();
        #[cfg(feature = "sample")]
        let sampled = self.lift_sample();
        if let Err(error) = self.extend_grant(more) {
            #[cfg(feature = "sample")]
            sampled.into_iter().for_each(samples::Lifted::put_back);
            self.refused.set(self.refused.get() + 1);
            return Some(Err(error));
        }
        // Unless the governor has allocated behind the block.
        let grows = || in_place() && fits(self.bound.get());
        #[cfg(feature = "sample")]
        if let Some(lifted) = sampled {
            if !grows() {
                lifted.put_back();
                return None;
            }
            let site = Location::caller();
            lifted.settle(&samples::Taken { layout: new, grown_from: old.size(), bytes: more, ahead: more, site });
        }
        grows().then_some(Ok(()))
    }

    /// Room for `more` elements behind the `capacity` at `start`, if those are the last block; for a capacity of 0, room at the
    /// cursor. Where, and for how many in all.
    ///
    /// # Safety
    ///
    /// `start` is a live block of this arena with the layout of `capacity` elements, or there are none. They take memory. It is
    /// dead afterwards, unless this is `None`.
    #[inline(always)]
    pub(crate) unsafe fn grow_in_place<const M: usize, T>(
        &self,
        start: NonNull<T>,
        capacity: usize,
        more: usize,
    ) -> Option<(NonNull<T>, usize)> {
        let cursor = self.cursor.get();
        // Behind a block there may be room for an element more, up to the next multiple of `M`: of that the slow way knows.
        // A block that is there has its gap already.
        let gap = if capacity == 0 { const { annotate::span(1, M) - 1 } } else { 0 };
        if align_of::<T>() > M || more > self.room().saturating_sub(gap) / size_of::<T>() {
            return None;
        }
        // The block's address if it is the last one. With the cursor's provenance: that of `start` may end where the block does.
        let old = bump::round_up(annotate::span(capacity * size_of::<T>(), M), M);
        let block = cursor.as_ptr().wrapping_sub(old);
        if capacity != 0 && block.addr() != start.addr().get() {
            return None;
        }
        let size = (capacity + more) * size_of::<T>();
        // Not beyond the bound: block, cursor and bound are multiples of `M`. So no sum wraps.
        self.cursor.set(at(cursor, block.addr() + bump::round_up(annotate::span(size, M), M)));
        if capacity == 0 {
            self.note_allocation();
        }
        // SAFETY: the cursor of an arena, or the start of a block. What is behind the old elements is nobody's.
        let block = unsafe {
            annotate::fresh(block.add(capacity * size_of::<T>()), more * size_of::<T>());
            NonNull::new_unchecked(block)
        };
        Some((block.cast(), capacity + more))
    }

    /// Shrinks a block, giving the rest back if it is the last one.
    ///
    /// # Safety
    ///
    /// `block` is live, of this arena, with layout `old`; `new` is not larger. It is dead afterwards, unless refused.
    #[inline]
    #[track_caller]
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
            // SAFETY: `block` is live with layout `old`, and dead from here on.
            unsafe { annotate::freed(block.as_ptr(), old.size()) };
            return Ok(moved);
        }
        if self.is_last::<M>(block, old.size()) {
            self.lower(bump::round_up(address + annotate::span(new.size(), M), M));
        }
        // SAFETY: the end of a block that is live with layout `old`, and is not its user's any more.
        unsafe { annotate::freed(block.as_ptr().add(new.size()), old.size() - new.size()) };
        // What was filled is watched from here on.
        #[cfg(feature = "trace")]
        if old.size() != 0 {
            self.trail_shrunk(block, new);
        }
        Ok(block)
    }

    /// Frees a block: its memory is used again if it is the last one, or alone in its chunk.
    ///
    /// Out of line, so that dropping a vector is a test and a call that takes values: as such it becomes a part of the paths
    /// where something unwinds, too, no address of the vector leaves its function, and it can live in registers.
    ///
    /// # Safety
    ///
    /// `block` is live, of this arena, with this `layout`, and not used afterwards.
    #[inline(never)]
    pub(crate) unsafe fn free<const M: usize>(&self, block: NonNull<u8>, layout: Layout) {
        #[cfg(feature = "trace")]
        if layout.size() != 0 {
            self.trail_freed(block);
        }
        // SAFETY: this function's contract.
        unsafe { annotate::freed(block.as_ptr(), layout.size()) };
        if self.is_last::<M>(block, layout.size()) {
            self.lower(block.addr().get());
        } else if layout.size() + layout.align() > self.growth.max / 2 {
            self.free_dedicated(block, layout);
        }
    }

    /// Moves the cursor down, to where the last block begins or is to end.
    #[inline(always)]
    fn lower(&self, address: usize) {
        self.note_high();
        let cursor = self.cursor.get();
        self.cursor.set(at(cursor, address));
        #[cfg(feature = "trace")]
        if self.is_traced() {
            self.rebound();
        }
        #[cfg(feature = "sample")]
        self.fell_by(cursor.addr().get() - address);
    }

    /// Frees a block that was reserved for something that failed: it does not count towards the peak.
    ///
    /// # Safety
    ///
    /// As for [`free`](Self::free).
    #[inline]
    pub(crate) unsafe fn unreserve<const M: usize>(&self, block: NonNull<u8>, layout: Layout) {
        let high = self.high.get();
        // SAFETY: handed on.
        unsafe { self.free::<M>(block, layout) };
        self.high.set(high);
    }

    #[cold]
    fn free_dedicated(&self, block: NonNull<u8>, layout: Layout) {
        let Some(chunk) = self.dedicated_chunk(block, layout) else { return };
        self.note_high();
        let mut used = self.used_large.get();
        used.remove(chunk);
        self.used_large.set(used);
        self.used_bytes.set(self.used_bytes.get() - chunk.bytes());
        let filled = chunk.header().filled.get();
        self.base.set(self.base.get() - filled);
        self.keep_large(chunk);
        self.rebound();
        #[cfg(feature = "sample")]
        self.fell_by(filled);
    }

    /// Puts a dedicated chunk, whose block is free, to the spare ones.
    fn keep_large(&self, chunk: Chunk) {
        let mut spare = self.spare_large.get();
        spare.push_front(chunk);
        self.spare_large.set(spare);
    }

    /// Runs `f`, in which what is allocated counts as the caller's.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn on_behalf<R>(&self, f: impl FnOnce() -> R) -> R {
        #[cfg(any(feature = "sample", feature = "trace"))]
        let _named = self.name_site(Location::caller());
        f()
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
    #[track_caller]
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
}

impl Drop for RawArena {
    fn drop(&mut self) {
        let mut list = self.take_spares();
        list.append(self.used.take());
        list.append(self.used_large.take());
        self.supply.release(list);
    }
}

/// `pointer` with another address in the same chunk.
#[inline(always)]
fn at(pointer: NonNull<u8>, address: usize) -> NonNull<u8> {
    let moved = pointer.as_ptr().with_addr(address);
    // SAFETY: an address in a chunk, or the dummy's, is not 0.
    unsafe { NonNull::new_unchecked(moved) }
}
