//! Samples: one block of frame memory now and then, told to the governor with the line that asked for it.
//!
//! Promises that which block is told of depends on the bytes handed out alone: one whose bytes reach beyond those that the governor
//! lets pass. The place is a third part of the bump bound, beside chunk and grant, so that blocks before it pay nothing; and it moves
//! down with the cursor when a block is freed, so that memory which is used again counts again.

use core::alloc::Layout;
use core::mem;
use core::panic::Location;
use std::sync::Arc;

use super::{RawArena, Supply};
use crate::backend::ask;
use crate::bump;
use crate::governor::{Governor, Sample};

/// What a request asked for, and what it takes of the frame's memory.
pub(super) struct Taken {
    pub(super) layout: Layout,
    /// The bytes that the block had before.
    pub(super) grown_from: usize,
    pub(super) bytes: usize,
    /// Of these, bytes that are still to be handed out.
    pub(super) ahead: usize,
    pub(super) site: &'static Location<'static>,
}

/// The sample's place, out of the bound while a request is served. Unless it is put back, the governor is asked for an interval when
/// memory is next needed: so also if something unwinds.
pub(super) struct Lifted<'a> {
    arena: &'a RawArena,
    /// Bytes before it; `None` if that is to be asked, and could not be just now.
    left: Option<usize>,
}

impl Drop for Lifted<'_> {
    fn drop(&mut self) {
        self.arena.pend();
    }
}

impl Lifted<'_> {
    /// The request was refused.
    pub(super) fn put_back(self) {
        if let Some(left) = self.left {
            self.put(left);
        }
    }

    /// The request was served, or is going to be: tells the governor of the block if it reaches beyond the place.
    pub(super) fn settle(self, taken: &Taken) {
        let Some(left) = self.left else { return };
        if taken.bytes <= left {
            return self.put(left - taken.bytes + taken.ahead);
        }
        let arena = self.arena;
        let sample = Sample {
            site: arena.site_or(taken.site),
            tag: arena.innermost_tag().map(|open| open.scope),
            layout: taken.layout,
            grown_from: taken.grown_from,
            bytes: taken.bytes,
        };
        if let Some(sampler) = arena.sampler() {
            ask(sampler, (), |governor| governor.sampled(&sample));
        }
        match arena.next_interval() {
            Interval::Bytes(next) => self.put(next.saturating_add(taken.ahead)),
            Interval::None => mem::forget(self),
            Interval::Unasked => {}
        }
    }

    fn put(self, left: usize) {
        self.arena.place_sample(left);
        mem::forget(self);
    }
}

/// A governor's answer.
enum Interval {
    Bytes(usize),
    /// It wants no sample.
    None,
    /// It is being called already.
    Unasked,
}

impl RawArena {
    /// Before a frame of this arena, which is one of frames: unless it is sampled, the governor is asked for an interval when memory is
    /// first needed.
    pub(crate) fn begin_sampling(&self) {
        if self.sample_at.get() == usize::MAX {
            self.pend();
        }
    }

    /// The next request comes to the cold path, and asks.
    fn pend(&self) {
        self.pending.set(true);
        self.place_sample(0);
    }

    /// Takes the sample's place out of the bound while a request is served. `None` if nothing is sampled here.
    pub(super) fn lift_sample(&self) -> Option<Lifted<'_>> {
        let at = self.sample_at.replace(usize::MAX);
        if at == usize::MAX {
            return None;
        }
        self.rebound();
        let mut lifted = Lifted { arena: self, left: None };
        if self.pending.replace(false) {
            match self.next_interval() {
                Interval::Bytes(left) => lifted.left = Some(left),
                Interval::None => {
                    mem::forget(lifted);
                    return None;
                }
                Interval::Unasked => {}
            }
        } else {
            lifted.left = Some(at - self.position());
        }
        Some(lifted)
    }

    fn place_sample(&self, left: usize) {
        self.sample_at.set(self.position().saturating_add(left));
        self.rebound();
    }

    /// Asks how many bytes are to pass before the next sample.
    fn next_interval(&self) -> Interval {
        let Some(sampler) = self.sampler() else { return Interval::None };
        match ask(sampler, None, |governor| Some(governor.sample_interval())) {
            Some(Some(bytes)) => Interval::Bytes(bytes),
            Some(None) => Interval::None,
            None => Interval::Unasked,
        }
    }

    fn sampler(&self) -> Option<&Arc<dyn Governor>> {
        match &self.supply {
            Supply::Store(store) => Some(store.source().governor()),
            _ => None,
        }
    }

    /// Bytes that fit below the nearer of chunk and grant: what is asked for must not depend on where the next sample is.
    pub(super) fn room_without_sample(&self) -> usize {
        let start = self.start.get().addr().get();
        let bound = bump::bound(start, self.end.get(), self.base.get(), self.grant.get(), self.min_align);
        bound.saturating_sub(self.cursor.get().addr().get())
    }

    /// After the position fell by so many bytes: the place falls with it.
    #[inline(always)]
    pub(super) fn fell_by(&self, bytes: usize) {
        if self.sample_at.get() != usize::MAX {
            self.sample_at.set(self.sample_at.get() - bytes);
            self.rebound();
        }
    }

    /// Before the position becomes 0. Whoever moves the cursor computes the bound anew.
    #[inline]
    pub(super) fn samples_restart(&self) {
        if self.sample_at.get() != usize::MAX {
            self.sample_at.set(self.sample_at.get() - self.position());
        }
    }
}
