//! The report: averages, percentiles, and what to do about limits.

use std::fmt;
use std::sync::Arc;

use hdrhistogram::Histogram;

use super::history::{ACCOUNTS, Track, Worst};
use crate::bytes;
use crate::inner::Inner;
use crate::ledger::NONE;
use crate::limit::Account;
use crate::sync::Ordering;
use crate::tree::ROOT;

/// Frames over which the weight of a frame in an exponential average falls to an eighth or so: half a second at 60 Hz.
const EMA_FRAMES: f64 = 30.0;

/// Frames without which it is too early to say that a limit is too high.
const ENOUGH: u64 = 600;

/// A figure of a frame over the frames of the history. Percentiles are within a thousandth of the value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// The average.
    pub mean: f64,
    /// The exponential moving average, of about the last 30 frames.
    pub ema: f64,
    /// What half of the frames did not exceed.
    pub p50: u64,
    /// What 95 of 100 frames did not exceed.
    pub p95: u64,
    /// What 99 of 100 frames did not exceed.
    pub p99: u64,
    /// The most.
    pub max: u64,
}

impl Summary {
    fn of(values: impl Iterator<Item = u64> + Clone) -> Self {
        let Some(max) = values.clone().max() else { return Self::default() };
        let mut histogram =
            Histogram::<u32>::new_with_bounds(1, max.max(2), 3).expect("bounds and digits are in their range");
        let (mut ema, mut sum, mut count) = (None, 0.0, 0.0);
        for value in values {
            histogram.saturating_record(value);
            let value = value as f64;
            let before = ema.unwrap_or(value);
            ema = Some(before + (value - before) * (2.0 / (EMA_FRAMES + 1.0)));
            sum += value;
            count += 1.0;
        }
        // The highest value of a bucket may lie above all that are in it.
        let at = |quantile| histogram.value_at_quantile(quantile).min(max);
        Self { mean: sum / count, ema: ema.unwrap_or(0.0), p50: at(0.5), p95: at(0.95), p99: at(0.99), max }
    }
}

/// What to do about an account's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// There are none.
    NoLimit,
    /// Nothing.
    Fits,
    /// Something was refused, or granted beyond it, or use came within 5 % of it: to this many bytes.
    Raise {
        /// A quarter above the most that was used or, where something was refused, above the limit.
        to: usize,
    },
    /// Less than half of it was ever used, in 600 frames at least: to this many bytes.
    Lower {
        /// A quarter above the most that was used.
        to: usize,
    },
    /// Less than half of it was ever used, but in too few frames to tell.
    TooEarly,
    /// It was kept, or there is none; but more was used than the soft limit: use less, or raise that to this many bytes.
    Soft {
        /// A quarter above the most that was used.
        to: usize,
    },
}

impl Advice {
    /// `apart` says whether what is beyond the limit is not in what was used.
    fn of(worst: &Worst, soft: usize, hard: usize, frames: u64, apart: bool) -> Self {
        // A quarter above, in whole units of 4 KiB.
        let above = |bytes: usize| (bytes.saturating_add(bytes / 4)).div_ceil(4096).saturating_mul(4096);
        if hard != NONE && (worst.refused != 0 || worst.over != 0) {
            let beyond = if apart { worst.over } else { 0 };
            return Self::Raise { to: above(worst.used.saturating_add(beyond).max(hard)) };
        }
        if hard != NONE && worst.used as f64 > 0.95 * hard as f64 {
            return Self::Raise { to: above(worst.used) };
        }
        if worst.used > soft {
            return Self::Soft { to: above(worst.used) };
        }
        if hard == NONE {
            return if soft == NONE { Self::NoLimit } else { Self::Fits };
        }
        match above(worst.used) {
            to if worst.used >= hard / 2 || to >= hard => Self::Fits,
            _ if frames < ENOUGH => Self::TooEarly,
            to => Self::Lower { to },
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NoLimit => "no limit".into(),
            Self::Fits => "fits".into(),
            Self::Raise { to } => format!("raise to {}", bytes::display(*to)),
            Self::Lower { to } => format!("lower to {}", bytes::display(*to)),
            Self::TooEarly => "low so far".into(),
            Self::Soft { to } => format!("above soft; less, or {}", bytes::display(*to)),
        };
        f.pad(&text)
    }
}

/// An account against its limits, since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountReport {
    /// The account.
    pub account: Account,
    /// The most bytes it used.
    pub peak: usize,
    /// The frame in which that was.
    pub worst_frame: u64,
    /// The soft limit.
    pub soft: Option<usize>,
    /// The hard limit.
    pub hard: Option<usize>,
    /// Requests that were refused, since the hard limit was last moved.
    pub refused: usize,
    /// The most bytes that were granted beyond the hard limit in a frame, since then.
    pub over: usize,
    /// What to do about the limits.
    pub advice: Advice,
}

/// A tag over the frames of the history.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TagReport {
    /// Its path; empty for what lies in no tag.
    pub path: Arc<str>,
    /// Bytes of a frame, of tags inside, too: [`TagRecord::peak`](super::TagRecord::peak).
    pub bytes: Summary,
    /// Bytes that its own scopes kept, without tags inside, of all frames.
    pub own_bytes: u64,
    /// Bytes handed out a second, at least, of tags inside, too: the most at a time in each scope, summed, as limits count them. What a scope
    /// frees and uses again counts once: of that, samples tell. 0 if no time passed.
    pub bandwidth: f64,
}

/// What the frames of the history used, and how the limits fit. Made by [`Metrics::report`](super::Metrics::report); its `Display`
/// is a table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Frames in the history.
    pub frames: u64,
    /// Frames since the start.
    pub all_frames: u64,
    /// Seconds from the end of the first frame of the history to the end of the last one.
    pub seconds: f64,
    /// Bytes of frame memory that a frame used.
    pub bytes: Summary,
    /// Nanoseconds from the end of a frame to that of the next.
    pub interval: Summary,
    /// The most that was held from the backends, within frames too.
    pub peak_committed: usize,
    /// Frame memory used of the chunks held when the frame had ended, those of scratch arenas and sealed frames among them, on the
    /// average: 0 to 1.
    pub efficiency: f64,
    /// Frame memory lost at the ends of chunks, of what was used and lost: 0 to 1.
    pub waste: f64,
    /// Bytes of frame memory handed out a second, at least: of all threads the most at a time, or what the outermost scopes used, whichever
    /// is more. 0 if no time passed.
    pub bandwidth: f64,
    /// The frame that used the most, of the history.
    pub worst_frame: u64,
    /// What each tag used then: path and [`TagRecord::peak`](super::TagRecord::peak), the largest first.
    pub worst_tags: Vec<(Arc<str>, usize)>,
    /// Each tag that was seen.
    pub tags: Vec<TagReport>,
    /// Each account that has a limit or was used.
    pub accounts: Vec<AccountReport>,
}

impl Report {
    /// The tag of this path.
    #[must_use]
    pub fn tag(&self, path: &str) -> Option<&TagReport> {
        self.tags.iter().find(|tag| *tag.path == *path)
    }

    /// The row of an account.
    #[must_use]
    pub fn account(&self, account: &Account) -> Option<&AccountReport> {
        self.accounts.iter().find(|row| row.account == *account)
    }
}

impl Report {
    /// Whether all accounts, or this one, kept their limits since the start: nothing was refused or granted beyond a hard limit, and
    /// nothing was above a soft one.
    ///
    /// # Errors
    ///
    /// If one did not, or this one was never used and has no limit: the text names it, with its figures.
    pub fn kept(&self, only: Option<&Account>) -> Result<(), String> {
        if let Some(account) = only.filter(|account| self.account(account).is_none()) {
            return Err(format!("{account} is not known: it was never used and has no limit"));
        }
        for row in self.accounts.iter().filter(|row| only.is_none_or(|account| row.account == *account)) {
            let AccountReport { account, peak, refused, over, worst_frame, .. } = row;
            if *refused != 0 || *over != 0 {
                let hard = row.hard.unwrap_or(NONE);
                return Err(format!(
                    "{account}: {refused} requests were refused, and {over} bytes granted beyond the hard limit of {hard}"
                ));
            }
            if let Some(soft) = row.soft.filter(|soft| peak > soft) {
                return Err(format!(
                    "{account}: {peak} bytes in frame {worst_frame} are above the soft limit of {soft}"
                ));
            }
        }
        Ok(())
    }
}

fn account(account: Account, track: &Track, soft: usize, hard: usize, frames: u64) -> Option<AccountReport> {
    let worst = &track.worst;
    let limit = |bytes| (bytes != NONE).then_some(bytes);
    let apart = matches!(account, Account::Committed | Account::Pools | Account::Sealed);
    (worst.used != 0 || worst.refused != 0 || soft != NONE || hard != NONE).then(|| AccountReport {
        account,
        peak: worst.used,
        worst_frame: worst.frame,
        soft: limit(soft),
        hard: limit(hard),
        refused: worst.refused,
        over: worst.over,
        advice: Advice::of(worst, soft, hard, frames, apart),
    })
}

pub(super) fn report(inner: &Inner) -> Report {
    let nodes = inner.tree.nodes_from(0);
    // A copy of the list, of which the records are shared: a frame's end waits for the lock.
    let (records, all_frames, accounts, tracks) = {
        let history = inner.history.lock();
        let records: Vec<_> = history.frames().cloned().collect();
        (records, history.frames, history.accounts, history.tags.clone())
    };
    let frames = || records.iter().map(|record| &**record);
    let seconds: f64 = frames().skip(1).map(|record| record.interval.as_secs_f64()).sum();
    // What was handed out in that time: the first frame's end begins it.
    let rate = |bytes: f64| if seconds > 0.0 { bytes / seconds } else { 0.0 };
    let bytes: usize = frames().map(|record| record.bytes).sum();
    let held: usize = frames().map(|record| record.chunk_bytes).sum();
    let waste: usize = frames().map(|record| record.waste).sum();
    let ratio = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };

    // What scopes that follow one another use again counts for each of them, in what lies around them, too.
    let outermost = |record: &super::FrameRecord| {
        let inside = nodes.iter().zip(&record.tags).skip(1).filter(|(node, _)| node.parent == ROOT);
        record.bytes.max(inside.map(|(_, tag)| tag.peak).sum())
    };

    let tags = nodes.iter().enumerate().map(|(at, node)| {
        let of = |record: &super::FrameRecord| record.tags.get(at).copied().unwrap_or_default();
        let own = |record| u64::try_from(of(record).own).unwrap_or(0);
        let peak = |record: &super::FrameRecord| of(record).peak as u64;
        let all = |record: &super::FrameRecord| outermost(record) as u64;
        TagReport {
            path: node.path.clone(),
            bytes: Summary::of(frames().map(|record| of(record).peak as u64)),
            own_bytes: frames().map(own).sum(),
            bandwidth: rate(
                frames().skip(1).map(if at == 0 { &all as &dyn Fn(_) -> u64 } else { &peak }).sum::<u64>() as f64
            ),
        }
    });
    // The first of several.
    let worst = frames().rev().max_by_key(|record| record.bytes);
    let handed_out: usize = frames().skip(1).map(outermost).sum();
    let mut worst_tags: Vec<_> = worst
        .into_iter()
        .flat_map(|record| record.tags.iter().zip(&nodes).skip(1))
        .filter(|(tag, _)| tag.peak != 0)
        .map(|(tag, node)| (node.path.clone(), tag.peak))
        .collect();
    worst_tags.sort_by_key(|&(_, peak)| std::cmp::Reverse(peak));

    let plain = ACCOUNTS.into_iter().zip(&accounts).filter_map(|(name, track)| {
        let (soft, hard) = inner.limit(&name);
        account(name, track, soft, hard, all_frames)
    });
    // A tag may be newer than the last frame's end.
    let tracks = tracks.iter().copied().chain(std::iter::repeat(Track::default()));
    let tagged = nodes.iter().zip(tracks).skip(1).filter_map(|(node, track)| {
        let soft = node.soft.load(Ordering::Relaxed);
        account(Account::Tag(node.path.clone()), &track, soft, node.ledger.limit(), all_frames)
    });
    Report {
        frames: frames().len() as u64,
        all_frames,
        seconds,
        bytes: Summary::of(frames().map(|record| record.bytes as u64)),
        interval: Summary::of(frames().skip(1).map(|record| record.interval.as_nanos() as u64)),
        peak_committed: accounts[0].worst.used.max(inner.committed.peak()),
        efficiency: ratio(bytes, held),
        waste: ratio(waste, bytes + waste),
        bandwidth: rate(handed_out as f64),
        worst_frame: worst.map_or(0, |record| record.frame),
        worst_tags,
        tags: tags.collect(),
        accounts: plain.chain(tagged).collect(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = |bytes: u64| bytes::display(usize::try_from(bytes).unwrap_or(usize::MAX)).to_string();
        let millis = |nanos: u64| nanos as f64 / 1e6;
        writeln!(f, "{} frames of {}, {:.1} s", self.frames, self.all_frames, self.seconds)?;
        writeln!(
            f,
            "interval ms: {:.2} mean, {:.2} p50, {:.2} p95, {:.2} p99, {:.2} max",
            self.interval.mean / 1e6,
            millis(self.interval.p50),
            millis(self.interval.p95),
            millis(self.interval.p99),
            millis(self.interval.max)
        )?;
        writeln!(
            f,
            "held at most {}; of the chunks {:.0} % used; of what was taken of them {:.1} % lost at their ends; {}/s handed out",
            bytes::display(self.peak_committed),
            self.efficiency * 100.0,
            self.waste * 100.0,
            amount(self.bandwidth as u64)
        )?;
        writeln!(f, "\n{:<32} {:>10} {:>10} {:>10} {:>10} {:>12}", "a frame", "mean", "p50", "p99", "max", "a second")?;
        for tag in self.tags.iter().filter(|tag| tag.bytes.max != 0) {
            let name = if tag.path.is_empty() { "all" } else { &*tag.path };
            let Summary { mean, p50, p99, max, .. } = tag.bytes;
            let (mean, p50, p99, max) = (amount(mean as u64), amount(p50), amount(p99), amount(max));
            writeln!(f, "{name:<32} {mean:>10} {p50:>10} {p99:>10} {max:>10} {:>12}", amount(tag.bandwidth as u64))?;
        }
        writeln!(f, "\n{:<32} {:>10} {:>10} {:>10} {:>8}  verdict", "account", "most", "limit", "in frame", "refused")?;
        for row in &self.accounts {
            let limit = match (row.hard, row.soft) {
                (Some(hard), _) => amount(hard as u64),
                // As in `framealloc-top`.
                (None, Some(soft)) => format!("~{}", amount(soft as u64)),
                (None, None) => "-".to_owned(),
            };
            let (account, peak) = (row.account.to_string(), amount(row.peak as u64));
            writeln!(
                f,
                "{account:<32} {peak:>10} {limit:>10} {:>10} {:>8}  {}",
                row.worst_frame, row.refused, row.advice
            )?;
        }
        Ok(())
    }
}
