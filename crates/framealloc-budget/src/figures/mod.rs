//! Figures of the last frames: kept when each ends, summed up when somebody asks.

mod history;
mod report;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use history::{ACCOUNTS, History, Track};
pub use report::{AccountReport, Advice, Report, Summary, TagReport};

use crate::inner::Inner;

/// Durations as whole nanoseconds, in recordings.
#[cfg(feature = "report")]
mod nanoseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(interval: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_nanos)
    }
}

/// What a frame used. Bytes unless said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "report", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct FrameRecord {
    /// Number of the frame.
    pub frame: u64,
    /// Time since the end of the frame before; nothing for the first one.
    #[cfg_attr(feature = "report", serde(with = "nanoseconds"))]
    pub interval: Duration,
    /// The most frame memory that was handed out at a time, by each thread, summed.
    pub bytes: usize,
    /// Frame memory lost at the ends of chunks.
    pub waste: usize,
    /// Frame and scratch chunks held from the backends when the frame had ended.
    pub chunk_bytes: usize,
    /// Everything held from the backends when the frame had ended.
    pub committed: usize,
    /// The part of it that pools hold.
    pub pools: usize,
    /// What is held beyond limits, from the program's allocator.
    pub heap: usize,
    /// Frames that were sealed by hand and not dropped when the frame had ended.
    pub sealed: usize,
    /// The most that scratch arenas handed out at a time, by each thread, summed.
    pub scratch_peak: usize,
    /// Chunks that were used.
    pub chunks: usize,
    /// Requests for frame memory that were refused.
    pub refused: usize,
    /// Chunks, slabs, large blocks and seals that were refused. Of a chunk, the frame memory that it was for is, too.
    pub refused_memory: usize,
    /// Bytes granted beyond hard limits of accounts that are no tags.
    pub over: usize,
    /// How often memory was taken from the backends or given back.
    pub traffic: usize,
    /// The pools' objects, by size, as far as there are slabs.
    pub sizes: Vec<SizeRecord>,
    /// What each thread used: the most that was handed out at a time, by number of its arena.
    pub threads: Vec<ThreadRecord>,
    /// What each tag used, by its number in [`Metrics::tags`]. The first one is what lies in no tag, and its total everything.
    pub tags: Vec<TagRecord>,
}

/// Pooled objects of one size at the end of a frame. Numbers of objects unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "report", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SizeRecord {
    /// Bytes of an object.
    pub size: usize,
    /// What there is room for in the slabs.
    pub slots: usize,
    /// Live, or in a thread's cache, of which there are at most 512, or 256 KiB, for each thread.
    pub outstanding: usize,
    /// Free, for any thread.
    pub free: usize,
}

/// What one thread used in a frame. Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "report", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ThreadRecord {
    /// Number of its arena.
    pub arena: usize,
    /// The most that was handed out at a time.
    pub peak: usize,
    /// Lost at the ends of chunks.
    pub waste: usize,
    /// Bytes of the chunks that it used.
    #[cfg_attr(feature = "report", serde(default))]
    pub chunk_bytes: usize,
    /// Requests that were refused. A number.
    #[cfg_attr(feature = "report", serde(default))]
    pub refused: usize,
}

/// What one tag used in a frame, on all threads. Bytes unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "report", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TagRecord {
    /// What was handed out in its own scopes and not freed: the difference that they made to the cursors. Less than 0 where they
    /// freed more than they were given. These of all tags, with the first one, are all that was handed out when the frame ended.
    pub own: isize,
    /// The same with that of the tags inside.
    pub total: isize,
    /// The most that was handed out at a time in each of its scopes, summed: what its limits are held against. What was freed and
    /// used again by scopes that follow one another counts for each of them.
    pub peak: usize,
    /// Scopes that were closed.
    pub scopes: usize,
    /// Handed out beyond its hard limit.
    pub over: usize,
    /// Requests that were refused.
    pub refused: usize,
    /// Lost at the ends of chunks that its scopes left, those inside included. Of what lies in no tag: all that was lost.
    #[cfg_attr(feature = "report", serde(default))]
    pub waste: usize,
}

/// The figures of a [`Budget`](crate::Budget)'s allocator: a handle, which may be cloned and sent to another thread.
///
/// ```
/// use framealloc_budget::Budget;
/// use framealloc_core::{AllocConfig, SmartAlloc};
///
/// let budget = Budget::new();
/// let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
/// for frame in 0..100 {
///     alloc.begin_frame();
///     alloc.with_tag("physics", |a| a.frame().alloc_slice_fill(10 * frame, 0u64).len());
///     alloc.end_frame();
/// }
/// let report = budget.metrics().report();
/// assert_eq!(report.frames, 100);
/// assert_eq!(report.tag("physics").unwrap().bytes.max, 7920);
/// println!("{report}");
/// ```
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

impl Metrics {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    #[cfg(feature = "report")]
    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The frames of the history, the oldest first.
    #[must_use]
    pub fn frames(&self) -> Vec<FrameRecord> {
        let frames: Vec<_> = self.inner.history.lock().frames().cloned().collect();
        // Without the lock: a frame's end waits for it.
        frames.iter().map(|frame| FrameRecord::clone(frame)).collect()
    }

    /// The last frame that ended.
    #[must_use]
    pub fn last(&self) -> Option<FrameRecord> {
        let last = self.inner.history.lock().frames().next_back().cloned();
        last.map(|frame| FrameRecord::clone(&frame))
    }

    /// The paths of all tags that were seen or have limits, by their number. The first one, which is empty, is what lies in no tag.
    #[must_use]
    pub fn tags(&self) -> Vec<Arc<str>> {
        self.inner.tree.nodes_from(0).iter().map(|node| node.path.clone()).collect()
    }

    /// Sums up the frames of the history, and judges the limits by all frames since the start.
    #[must_use]
    pub fn report(&self) -> Report {
        report::report(&self.inner)
    }

    /// Where frame memory was asked for since sampling began, if it did: see [`Budget::with_sampling`](crate::Budget::with_sampling).
    #[cfg(feature = "sample")]
    #[must_use]
    pub fn sites(&self) -> Option<crate::Sites> {
        self.inner.sites()
    }

    /// Whether in the last `frames` frames nothing was taken from the backends or given back, nothing was refused, and nothing went beyond a
    /// limit.
    ///
    /// # Errors
    ///
    /// If `frames` is 0 or there are fewer in the history, or one of them was not like that: the text names it and its figures.
    pub fn steady(&self, frames: usize) -> Result<(), String> {
        if frames == 0 {
            return Err("0 frames were to be looked at, which says nothing".to_owned());
        }
        let history = self.inner.history.lock();
        let there = history.frames().len();
        if there < frames {
            return Err(format!("{frames} frames were to be looked at, but {there} are in the history"));
        }
        for record in history.frames().skip(there - frames) {
            let FrameRecord { frame, traffic, refused, refused_memory, committed, .. } = &**record;
            let over = record.over + record.tags.iter().map(|tag| tag.over).sum::<usize>();
            if *traffic != 0 {
                return Err(format!(
                    "in frame {frame} memory was taken or given back {traffic} times, and {committed} bytes are held"
                ));
            }
            if *refused != 0 || *refused_memory != 0 || over != 0 {
                return Err(format!(
                    "in frame {frame} {refused} requests for frame memory were refused, {refused_memory} for other memory, and {over} bytes \
                     went beyond limits"
                ));
            }
        }
        Ok(())
    }
}
