//! Samples: one block of frame memory now and then, told to the governor with the line that asked for it.
//!
//! Promises that which block is told of depends on the bytes handed out alone: one whose bytes reach beyond those that the governor
//! lets pass. The place is a third part of the bump bound, beside chunk and grant, so that blocks before it pay nothing; and it moves
//! down with the cursor when a block is freed, so that memory which is used again counts again.

use core::alloc::Layout;
use core::panic::Location;

use std::sync::Arc;

use super::{RawArena, Supply};
use crate::backend::ask;
use crate::governor::{Governor, Sample};

impl RawArena {
    /// Before a frame of this arena, which is one of frames: unless it is sampled, the governor is asked for an interval when memory is
    /// first needed.
    pub(crate) fn begin_sampling(&self) {
        if self.sample_at.get() == usize::MAX {
            self.pending.set(true);
            self.place_sample(0);
        }
    }

    /// The position that may be reached as far as samples go.
    #[inline(always)]
    pub(super) fn sample_at(&self) -> usize {
        self.sample_at.get()
    }

    /// Takes the sample's place out of the bound while a request is served; how many bytes there are before it. `None` if
    /// nothing is sampled here.
    pub(super) fn lift_sample(&self) -> Option<usize> {
        let at = self.sample_at.replace(usize::MAX);
        if at != usize::MAX {
            self.rebound();
        }
        if self.pending.replace(false) {
            return self.next_interval();
        }
        (at != usize::MAX).then(|| at - self.position())
    }

    /// After a request that took so many bytes, or was refused: a sample of it if it reaches beyond the `left` bytes.
    pub(super) fn sample_block(
        &self,
        left: usize,
        (size, align): (usize, usize),
        taken: Option<usize>,
        site: &'static Location<'static>,
    ) {
        let next = match (taken, Layout::from_size_align(size, align)) {
            (Some(bytes), Ok(layout)) => self.sample(left, layout, 0, bytes, site),
            _ => Some(left),
        };
        if let Some(next) = next {
            self.place_sample(next);
        }
    }

    /// Before a block grows in place by so many bytes, its gap included.
    pub(super) fn sample_growth(&self, new: Layout, before: usize, bytes: usize, site: &'static Location<'static>) {
        if let Some(left) = self.lift_sample()
            && let Some(next) = self.sample(left, new, before, bytes, site)
        {
            // Counted from behind the block, which is still to grow.
            self.place_sample(next.saturating_add(bytes));
        }
    }

    fn place_sample(&self, left: usize) {
        self.sample_at.set(self.position().saturating_add(left));
        self.rebound();
    }

    /// Tells the governor of a block if it reaches beyond the `left` bytes; how many are left behind it then.
    fn sample(
        &self,
        left: usize,
        layout: Layout,
        grown_from: usize,
        bytes: usize,
        site: &'static Location<'static>,
    ) -> Option<usize> {
        if bytes <= left {
            return Some(left - bytes);
        }
        let tag = self.innermost_tag().map(|open| open.scope);
        let sample = Sample { site: self.site_or(site), tag, layout, grown_from, bytes };
        // Should it panic, it is asked for an interval next time.
        self.pending.set(true);
        ask(self.sampler()?, (), |governor| governor.sampled(&sample));
        let next = self.next_interval();
        self.pending.set(false);
        next
    }

    /// Asks how many bytes are to pass before the next sample. `None` inside of the governor's own calls, and if it wants none.
    fn next_interval(&self) -> Option<usize> {
        ask(self.sampler()?, None, |governor| governor.sample_interval())
    }

    fn sampler(&self) -> Option<&Arc<dyn Governor>> {
        match &self.supply {
            Supply::Store(store) => Some(store.source().governor()),
            _ => None,
        }
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
