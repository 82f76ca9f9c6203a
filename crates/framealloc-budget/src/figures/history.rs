//! The ring of the last frames, and what is kept of all of them.

use std::collections::VecDeque;
use std::time::Instant;

use super::FrameRecord;
use crate::limit::Account;
use crate::pressure::Watch;

/// The most that an account ever used, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Worst {
    pub(crate) used: usize,
    pub(crate) frame: u64,
    /// Requests refused since the start.
    pub(crate) refused: usize,
    /// Bytes granted beyond the limit since the start: in the frame in which they were most.
    pub(crate) over: usize,
}

impl Worst {
    pub(crate) fn note(&mut self, used: usize, frame: u64, refused: usize, over: usize) {
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
    ring: VecDeque<FrameRecord>,
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

    pub(crate) fn frames(&self) -> impl DoubleEndedIterator<Item = &FrameRecord> + ExactSizeIterator + Clone {
        self.ring.iter()
    }

    /// A record to fill, which the oldest one's memory serves once there are as many as are kept.
    pub(crate) fn blank(&mut self) -> FrameRecord {
        if self.ring.len() < self.capacity {
            return FrameRecord::default();
        }
        let oldest = self.ring.pop_front().unwrap_or_default();
        let FrameRecord { mut sizes, mut threads, mut tags, .. } = oldest;
        sizes.clear();
        threads.clear();
        tags.clear();
        FrameRecord { sizes, threads, tags, ..FrameRecord::default() }
    }

    pub(crate) fn push(&mut self, record: FrameRecord) {
        // At once, lest a frame pay for moving thousands of them; the system gives the pages when they are used. Where there is no memory
        // for it, the ring grows as it is filled.
        if self.ring.capacity() < self.capacity {
            let _ = self.ring.try_reserve_exact(self.capacity - self.ring.len());
        }
        self.ring.push_back(record);
        self.frames += 1;
    }
}
