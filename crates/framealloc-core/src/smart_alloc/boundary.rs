//! The frame boundary: where memory changes hands, under `&mut` and with no lease out.

use core::ptr;

use super::{Core, Exclusive, FrameSlot, SmartAlloc, TagStats};
use crate::backend::{Staged, ask, let_act};
use crate::chunk::ChunkList;
use crate::chunk::store::hauls;
use crate::error::{AllocError, AllocErrorKind};
use crate::frame::{Seal, SealedFrame, Stamp};
use crate::governor::Stage;
use crate::stats::{FrameEnd, FrameStats, ThreadStats};
use crate::sync::Ordering;
use crate::unwind::{Panic, resume};

impl SmartAlloc {
    /// Begins a frame; its number. Beginning twice changes nothing: everything since the last end is one frame.
    #[inline]
    pub fn begin_frame(&mut self) -> u64 {
        // Sealed frames that were dropped since the last end: their chunks serve this frame without a lock.
        if let Ok(core) = self.core.begin_boundary() {
            let _stage = core.stage(Stage::BeginFrame);
            core.take_back();
        }
        self.core.begun.store(true, Ordering::Relaxed);
        self.core.exclusive().frame
    }

    /// Whether a frame was begun and has not ended. Allocating is fine in either case.
    #[must_use]
    pub fn is_frame_open(&self) -> bool {
        self.core.begun.load(Ordering::Relaxed)
    }

    /// Ends the frame and reclaims its memory, or, with frames in flight, that of the oldest one: runs the destructors of
    /// what was published in it. Takes time in proportion to the threads and to those destructors.
    ///
    /// If a destructor panics, the others still run and the memory is reclaimed before the panic goes on.
    ///
    /// # Panics
    ///
    /// If a [`Lease`](crate::Lease) is out: [`try_end_frame`](Self::try_end_frame) returns the error.
    #[track_caller]
    pub fn end_frame(&mut self) -> FrameStats {
        let core = match self.core.begin_boundary() {
            Ok(core) => core,
            Err(leases) => refused(leases).raise(),
        };
        let _stage = core.stage(Stage::EndFrame);
        // First of all: from here on no handle of this frame is honoured.
        let next = canary!("stale_handle_honoured", self.stamp.next(), self.stamp);
        let stamp = core::mem::replace(&mut self.stamp, next);
        if core.exclusive().in_flight == 1 {
            core.reclaim_frame();
        } else {
            core.retain_frame(stamp);
        }
        self.core.exclusive().last
    }

    /// Ends the frame as [`end_frame`](Self::end_frame) does.
    ///
    /// # Errors
    ///
    /// If leases are out; the text says how many. Nothing was changed.
    pub fn try_end_frame(&mut self) -> Result<FrameStats, AllocError> {
        // Where there is no lease now there is none below. (The boundary is compiled once: twice, it is worth less inlining.)
        self.core.begin_boundary().map_err(refused)?;
        Ok(self.end_frame())
    }

    /// Ends the frame and moves its memory, readable, into an object of its own: for a render thread or a GPU fence. It never
    /// enters the ring of frames in flight: its handles are read through the [`SealedFrame`] only.
    ///
    /// # Panics
    ///
    /// If a [`Lease`](crate::Lease) is out, or the governor refuses: [`try_seal_frame`](Self::try_seal_frame) returns the error.
    #[must_use = "dropping the sealed frame reclaims it"]
    #[track_caller]
    pub fn seal_frame(&mut self) -> SealedFrame {
        self.try_seal_frame().unwrap_or_else(|error| error.raise())
    }

    /// Ends the frame as [`seal_frame`](Self::seal_frame) does.
    ///
    /// # Errors
    ///
    /// If leases are out; the text says how many. If the governor refuses it. Nothing was changed.
    pub fn try_seal_frame(&mut self) -> Result<SealedFrame, AllocError> {
        let core = self.core.begin_boundary().map_err(refused)?;
        let _stage = core.stage(Stage::EndFrame);
        let told = core.ask_to_seal()?;
        // First of all: from here on no handle of this frame is honoured.
        let next = self.stamp.next();
        let stamp = core::mem::replace(&mut self.stamp, next);
        let mut boundary = Boundary::new();
        core.collect::<false>(&mut boundary);
        // Sealed before the governor is told: should it panic, the frame is reclaimed.
        let mut sealed = SealedFrame::new(boundary.seal, core.store.clone(), stamp, core.exclusive().last, told);
        let mut panicked = None;
        let destructors = core.reclaim_expired(&mut panicked);
        core.exclusive_mut().last.destructors = destructors;
        core.finish(boundary.surplus);
        resume(panicked);
        sealed.set_stats(core.exclusive().last);
        Ok(sealed)
    }
}

/// What a boundary gathers from the threads, beside the figures.
struct Boundary {
    seal: Seal,
    surplus: ChunkList,
}

impl Boundary {
    const fn new() -> Self {
        Self { seal: Seal::EMPTY, surplus: ChunkList::new() }
    }
}

impl FrameSlot {
    /// Whether it has neither destructors nor tags nor scratch arenas.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.drops.is_empty() && self.tags.is_empty() && self.stash.is_empty()
    }
}

impl Exclusive {
    /// Empties the lists of the last frame, and keeps their rows.
    #[inline(always)]
    fn clear_lists(&mut self) {
        self.threads.clear();
        if !self.tags.is_empty() {
            clear_tags(&mut self.tags);
        }
    }
}

#[cold]
fn clear_tags(tags: &mut [TagStats]) {
    tags.iter_mut().for_each(TagStats::clear);
}

/// Proof that the core is held exclusively: made by `begin_boundary` under `&mut SmartAlloc`.
struct ExclusiveCore<'a>(&'a Core);

impl core::ops::Deref for ExclusiveCore<'_> {
    type Target = Core;

    fn deref(&self) -> &Core {
        self.0
    }
}

impl Core {
    /// The caller holds the allocator by `&mut`: a new lease can only come from a lease, so that none appears later. Or the number
    /// of leases that are out.
    #[inline(always)]
    fn begin_boundary(&self) -> Result<ExclusiveCore<'_>, usize> {
        // Acquire: pairs with the Release of a lease's drop: what was done under it happened before.
        match self.leases.load(canary!("lease_count_relaxed", Ordering::Acquire, Ordering::Relaxed)) {
            0 => Ok(ExclusiveCore(self)),
            leases => Err(leases),
        }
    }
}

#[cold]
fn refused(leases: usize) -> AllocError {
    AllocError::new(AllocErrorKind::Leased { leases })
}

impl<'a> ExclusiveCore<'a> {
    #[inline(always)]
    fn stage(&self, stage: Stage) -> Option<Staged<'a>> {
        self.0.governor().map(|governor| Staged::enter(governor, stage))
    }

    /// Ends the only frame there is, whose stamp has been left behind, and reclaims its memory.
    #[inline(always)]
    fn reclaim_frame(&self) {
        let mut boundary = Boundary::new();
        self.collect::<true>(&mut boundary);
        if boundary.seal.is_empty() {
            self.finish(boundary.surplus);
        } else {
            self.reclaim_sealed(&boundary);
        }
    }

    /// Ends the frame, whose stamp has been left behind, keeps its memory as that of a frame in flight, and reclaims the oldest
    /// one's.
    #[inline(never)]
    fn retain_frame(&self, stamp: Stamp) {
        let mut boundary = Boundary::new();
        self.collect::<false>(&mut boundary);
        let sealed = SealedFrame::new(boundary.seal, self.store.clone(), stamp, self.exclusive().last, None);
        self.exclusive_mut().ring.push_back(sealed);
        let mut panicked = None;
        let destructors = self.reclaim_expired(&mut panicked);
        self.exclusive_mut().last.destructors = destructors;
        self.finish(boundary.surplus);
        resume(panicked);
    }

    /// Asks the governor for the frame to be sealed, all of whose chunks will be kept. Whether it is beyond a limit, if it is to be told of the drop.
    fn ask_to_seal(&self) -> Result<Option<bool>, AllocError> {
        if !self.governed {
            return Ok(None);
        }
        let mut bytes = 0;
        // SAFETY: exclusive, by this type's proof.
        unsafe { self.slots.boundary(|slot| bytes += slot.arena.bytes_to_detach()) };
        if bytes == 0 { Ok(None) } else { self.store.source().seal(bytes) }
    }

    #[allow(clippy::mut_from_ref, reason = "the exclusivity is that of the `&mut SmartAlloc` behind this proof")]
    fn exclusive_mut(&self) -> &mut Exclusive {
        // SAFETY: `&mut SmartAlloc` and no lease: nobody else reads it. The callers keep no two of these, and none while
        // a destructor or the governor runs that could read it: these have no way to this core.
        unsafe { &mut *self.exclusive.get() }
    }

    /// Leaves the frame behind: advances its number first, then moves every thread's chunks out and sums up the figures. Where
    /// the frame is to be reclaimed at once (`RECLAIMED`), the chunks of threads that have no destructors to run stay, and
    /// are empty.
    #[inline(always)]
    fn collect<const RECLAIMED: bool>(&self, boundary: &mut Boundary) {
        let state = self.exclusive_mut();
        self.begun.store(false, Ordering::Relaxed);
        let (now, peak) = (state.frame, state.last.peak);
        state.frame += 1;
        // Summed up in place: the figures are too many for registers.
        state.last = FrameStats { frame: now, ..FrameStats::default() };
        state.clear_lists();
        // SAFETY: exclusive, by this type's proof, and the frame's stamp has been left behind: nobody uses what lies in it.
        unsafe {
            self.slots.boundary(|slot| {
                let plain = RECLAIMED && !self.governed && slot.is_plain();
                if plain && slot.arena.is_used() {
                    state.last.add(&slot.arena.stats(), slot.arena.refused());
                    slot.arena.reset_used();
                } else if !(plain && slot.arena.is_idle()) {
                    self.collect_from::<RECLAIMED>(slot, state, boundary);
                }
                if slot.arena.has_spares() {
                    slot.arena.take_surplus(self.store.trim, now, &mut boundary.surplus);
                }
            });
        }
        state.last.peak = peak.max(state.last.bytes_allocated);
    }

    /// One thread's share, whatever it has.
    ///
    /// # Safety
    ///
    /// As for [`Stash::boundary`](crate::frame::Stash::boundary).
    #[inline(never)]
    unsafe fn collect_from<const RECLAIMED: bool>(
        &self,
        slot: &FrameSlot,
        state: &mut Exclusive,
        boundary: &mut Boundary,
    ) {
        if slot.arena.is_untouched() {
            // SAFETY: nothing lies in it.
            unsafe { slot.arena.reset() };
        } else {
            let share = ThreadStats { arena: slot.index, ..slot.arena.stats() };
            state.last.add(&share, slot.arena.refused());
            if self.governed {
                state.threads.push(share);
            }
            let drops = slot.drops.take();
            if RECLAIMED && drops.is_null() {
                // SAFETY: exclusive, so that nobody uses what was handed out.
                unsafe { slot.arena.reset() };
            } else if let Some(first) = slot.arena.detach(ptr::from_ref(slot).cast(), drops) {
                boundary.seal.add(first);
            }
        }
        if self.bounded {
            slot.arena.bound_thread();
        }
        #[cfg(feature = "sample")]
        if self.governed {
            slot.arena.begin_sampling();
        }
        slot.tags.drain_into(&mut state.tags);
        // SAFETY: this function's contract.
        state.last.scratch_peak +=
            unsafe { slot.stash.boundary(self.store.trim, state.last.frame, &mut boundary.surplus) };
    }

    /// Runs a frame's destructors and gives its chunks back to the arenas they came from; how many destructors.
    ///
    /// # Safety
    ///
    /// The frame's handles are no longer honoured, and nobody uses its memory.
    unsafe fn reclaim(&self, seal: Seal, panicked: &mut Option<Panic>) -> usize {
        // SAFETY: by this function's contract, and the caller passes each seal once.
        let destructors = unsafe { seal.run_destructors(panicked) };
        // SAFETY: the hauls came from this core's slots, and nobody uses their memory after the destructors.
        unsafe { attach(seal.hauls()) };
        destructors
    }

    /// Reclaims the only frame there is, of which something was detached, and ends the boundary.
    #[inline(never)]
    fn reclaim_sealed(&self, boundary: &Boundary) {
        let mut panicked = None;
        // SAFETY: the frame's stamp has been left behind, so that no handle to it is honoured any more, and nothing else of it
        // is borrowed, since the allocator is borrowed exclusively and no lease is out.
        let destructors = unsafe { self.reclaim(boundary.seal, &mut panicked) };
        self.exclusive_mut().last.destructors = destructors;
        self.finish(boundary.surplus);
        resume(panicked);
    }

    /// Reclaims the frames that have been in flight for long enough.
    fn reclaim_expired(&self, panicked: &mut Option<Panic>) -> usize {
        let mut destructors = 0;
        loop {
            let state = self.exclusive_mut();
            let (now, in_flight) = (state.frame, state.in_flight as u64);
            let Some(expired) = state.ring.pop_front_if(|oldest| oldest.frame() + in_flight <= now) else { break };
            // SAFETY: taken off the ring, so that no handle to it is honoured any more; nothing else of it is borrowed.
            destructors += unsafe { self.reclaim(expired.into_seal(), panicked) };
        }
        destructors
    }

    /// Hands chunks that came back to the arenas they came from.
    #[inline(always)]
    fn take_back(&self) {
        if let Some(first) = self.store.take_hauls() {
            // SAFETY: hauls of this core's store, of sealed frames that were dropped.
            unsafe { attach(hauls(first)) };
        }
    }

    /// Hands chunks that came back to their threads, surplus to the store, and the figures to the governor.
    #[inline(always)]
    fn finish(&self, surplus: ChunkList) {
        self.take_back();
        let state = self.exclusive_mut();
        self.store.end_frame(state.frame, surplus);
        state.last.committed = self.store.committed();
        if let Some(governor) = self.governor() {
            let (stats, threads) = (state.last, core::mem::take(&mut state.threads));
            let end = FrameEnd { stats: &stats, threads: &threads, pool: &self.pool };
            ask(governor, (), |governor| governor.end_frame(&end));
            self.exclusive_mut().threads = threads;
            // What it gave back itself: a warm frame takes nothing, and would not tell of it.
            self.store.source().tell_untold();
            let_act(governor, |governor| governor.after_frame());
        }
    }
}

/// Gives hauls back to the slots they came from.
///
/// # Safety
///
/// The slots' core is held exclusively, and nobody uses the hauls' memory any more.
unsafe fn attach(hauls: impl Iterator<Item = crate::chunk::Haul>) {
    for haul in hauls {
        // SAFETY: a slot stays until its core is dropped, which the caller holds.
        let slot = unsafe { &*haul.slot.cast::<FrameSlot>() };
        // SAFETY: the caller's promise.
        unsafe { slot.arena.attach(&haul) };
    }
}

impl Drop for Core {
    /// Runs the destructors of everything published, and reclaims all frames.
    fn drop(&mut self) {
        let state = self.exclusive.get_mut();
        state.frame += 1;
        let ring = core::mem::take(&mut state.ring);
        let mut seal = Seal::EMPTY;
        // SAFETY: the last reference to the core is being dropped: it is exclusive.
        unsafe {
            self.slots.boundary(|slot| {
                if let Some(first) = slot.arena.detach(ptr::null(), slot.drops.take()) {
                    seal.add(first);
                }
            });
        }
        // The older frames first: locals are dropped in the reverse order. If a destructor panics, the rest is still dropped
        // while the panic goes on.
        let _current = SealedFrame::new(seal, self.store.clone(), Stamp::NONE, FrameStats::default(), None);
        let _ring = ring;
    }
}
