//! The ring of the last frames, and what is kept of all of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::FrameRecord;
use crate::limit::Account;
use crate::pressure::Watch;

/// The most that an account ever used, and when; and what it used last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Worst {
    pub(crate) last: usize,
    pub(crate) used: usize,
    pub(crate) frame: u64,
    /// Requests refused since the start, or since the hard limit was moved.
    pub(crate) refused: usize,
    /// The most bytes granted beyond the limit in a frame, since then.
    pub(crate) over: usize,
}

impl Worst {
    /// Another hard limit holds: what the one before refused says nothing about it.
    pub(crate) fn forget_refusals(&mut self) {
        (self.refused, self.over) = (0, 0);
    }

    pub(crate) fn note(&mut self, used: usize, frame: u64, refused: usize, over: usize) {
        self.last = used;
        if used > self.used || self.frame == 0 {
            (self.used, self.frame) = (used, frame);
        }
        self.refused += refused;
        self.over = self.over.max(over);
    }
}

/// What is kept of an account from frame to frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Track {
    pub(crate) worst: Worst,
    pub(crate) watch: Watch,
}

#[derive(Debug)]
pub(crate) struct History {
    /// Counted, so that whoever reads them holds nobody up.
    ring: VecDeque<Arc<FrameRecord>>,
    capacity: usize,
    pub(crate) last_end: Option<Instant>,
    /// Frames since the start.
    pub(crate) frames: u64,
    /// The accounts that are no tags, in the order of [`ACCOUNTS`].
    pub(crate) accounts: [Track; ACCOUNTS.len()],
    /// By number of the tag.
    pub(crate) tags: Vec<Track>,
}

pub(crate) const ACCOUNTS: [Account; 5] =
    [Account::Committed, Account::Pools, Account::Sealed, Account::Frame, Account::Thread];

impl History {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            ring: VecDeque::new(),
            capacity: capacity.max(1),
            last_end: None,
            frames: 0,
            accounts: [Track::default(); ACCOUNTS.len()],
            tags: Vec::new(),
        }
    }

    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity.max(1);
        let surplus = self.ring.len().saturating_sub(self.capacity);
        self.ring.drain(..surplus);
    }

    #[cfg(feature = "live")]
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn frames(&self) -> impl DoubleEndedIterator<Item = &Arc<FrameRecord>> + ExactSizeIterator + Clone {
        self.ring.iter()
    }

    /// A record to fill, which the oldest one's memory serves once there are as many as are kept, and nobody is reading it.
    pub(crate) fn blank(&mut self) -> Arc<FrameRecord> {
        if self.ring.len() >= self.capacity
            && let Some(mut oldest) = self.ring.pop_front()
            && let Some(record) = Arc::get_mut(&mut oldest)
        {
            let FrameRecord { mut sizes, mut threads, mut tags, .. } = std::mem::take(record);
            sizes.clear();
            threads.clear();
            tags.clear();
            *record = FrameRecord { sizes, threads, tags, ..FrameRecord::default() };
            return oldest;
        }
        Arc::default()
    }

    pub(crate) fn push(&mut self, record: Arc<FrameRecord>) {
        // At once, lest a frame pay for moving thousands of them; the system gives the pages when they are used. Where there is no memory
        // for it, the ring grows as it is filled.
        if self.ring.capacity() < self.capacity {
            let _ = self.ring.try_reserve_exact(self.capacity - self.ring.len());
        }
        self.ring.push_back(record);
        self.frames += 1;
    }
}
