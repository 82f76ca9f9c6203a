//! Figures as files: JSON and CSV for programs, a page of HTML for people.

mod csv;
mod html;
#[cfg(feature = "svg")]
mod svg;
mod trace;

use serde::{Deserialize, Serialize};

use crate::figures::{FrameRecord, Metrics};
use crate::sites::Sites;

/// The schema of [`Recording`]: raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// The frames of a history, with tags and limits: what a report is drawn from, on this machine or another.
///
/// Its JSON is this struct: names are those of the fields; times are nanoseconds, limits that are not set are `null`.
///
/// ```
/// use framealloc_budget::{Budget, Limit, Recording};
/// use framealloc_core::{AllocConfig, SmartAlloc};
///
/// let budget = Budget::new().with_tag("ui", Limit::hard(4096));
/// let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
/// for _ in 0..10 {
///     alloc.with_tag("ui", |a| a.frame().alloc([0u8; 100]).len());
///     alloc.end_frame();
/// }
/// let recording = budget.metrics().recording("a test");
/// assert_eq!(Recording::from_json(&recording.to_json()).unwrap(), recording);
/// let html = recording.to_html();            // one file that needs no other: write it and open it
/// assert!(html.starts_with("<!doctype html>"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recording {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it is of.
    pub title: String,
    /// Frames since the start, of which the last ones are here.
    pub all_frames: u64,
    /// The tags, by their number in the frames. The first one is what lies in no tag.
    pub tags: Vec<TagEntry>,
    /// The accounts that have limits or were used, judged by all frames since the start.
    pub accounts: Vec<AccountEntry>,
    /// The frames, the oldest first.
    pub frames: Vec<FrameRecord>,
    /// What was held from the backends when the last frame had ended, by address.
    #[serde(default)]
    pub blocks: Vec<BlockEntry>,
    /// Where frame memory was asked for, if samples were taken.
    #[serde(default)]
    pub sites: Option<Sites>,
}

/// A block of memory that was held from a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BlockEntry {
    /// What it is for: `chunk`, `slab` or `large block`.
    pub kind: String,
    /// Its first byte.
    pub address: usize,
    /// Its length.
    pub bytes: usize,
}

/// A tag of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TagEntry {
    /// Its path; empty for what lies in no tag.
    pub path: String,
    /// The soft limit.
    pub soft: Option<usize>,
    /// The hard limit.
    pub hard: Option<usize>,
}

/// An account of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AccountEntry {
    /// Its name: `committed`, `pools`, `sealed`, `frame`, `thread`, or `tag` and a path.
    pub account: String,
    /// The most bytes it used.
    pub peak: usize,
    /// The frame in which that was.
    pub worst_frame: u64,
    /// The soft limit.
    pub soft: Option<usize>,
    /// The hard limit.
    pub hard: Option<usize>,
    /// Requests that were refused.
    pub refused: usize,
    /// The most bytes that were granted beyond the hard limit in a frame.
    pub over: usize,
    /// What to do about the limit, in words.
    pub verdict: String,
}

impl Metrics {
    /// The frames of the history, with tags and limits, under a title.
    #[must_use]
    pub fn recording(&self, title: impl Into<String>) -> Recording {
        let report = self.report();
        let row = |path: &str| report.accounts.iter().find(|row| row.account == crate::Account::tag(path));
        let tags = self.tags().into_iter().map(|path| TagEntry {
            soft: row(&path).and_then(|row| row.soft),
            hard: row(&path).and_then(|row| row.hard),
            path: path.to_string(),
        });
        let accounts = report.accounts.iter().map(|row| AccountEntry {
            account: row.account.to_string(),
            peak: row.peak,
            worst_frame: row.worst_frame,
            soft: row.soft,
            hard: row.hard,
            refused: row.refused,
            over: row.over,
            verdict: row.advice.to_string(),
        });
        Recording {
            schema: SCHEMA,
            title: title.into(),
            all_frames: report.all_frames,
            tags: tags.collect(),
            accounts: accounts.collect(),
            frames: self.frames(),
            blocks: self.blocks(),
            #[cfg(feature = "sample")]
            sites: self.sites(),
            #[cfg(not(feature = "sample"))]
            sites: None,
        }
    }
}

impl Metrics {
    fn blocks(&self) -> Vec<BlockEntry> {
        let held = self.inner().held.lock().last.clone();
        let mut blocks: Vec<_> = held
            .into_iter()
            .map(|block| BlockEntry { kind: block.resource.to_string(), address: block.address, bytes: block.bytes })
            .collect();
        blocks.sort_unstable_by_key(|block| block.address);
        blocks
    }
}

impl Recording {
    /// As JSON.
    ///
    /// # Panics
    ///
    /// Never: nothing in it can fail to be written.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain numbers, texts and lists")
    }

    /// From JSON, as [`to_json`](Self::to_json) writes it.
    ///
    /// # Errors
    ///
    /// If it is none, or of another schema; the text names line and field, or both schemas.
    pub fn from_json(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let Schema { schema } = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if schema != SCHEMA {
            return Err(format!("the recording has schema {schema}, but this version reads {SCHEMA}"));
        }
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// The frames as CSV, one a line, for spreadsheets. Columns: `frame`, `interval_ns`, `bytes`, `waste`, `chunk_bytes`, `committed`,
    /// `pools`, `heap`, `sealed`, `scratch_peak`, `chunks`, `refused`, `refused_memory`, `over`, `traffic`, `threads`, and for each tag `own PATH` and `peak PATH`, of
    /// which the first ones are of what lies in no tag.
    #[must_use]
    pub fn to_csv(&self) -> String {
        csv::write(self)
    }

    /// A page that shows it: one file without any other, for a browser, with or without a network.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::page(self)
    }
}
