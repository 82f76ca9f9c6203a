//! Times: all contenders of a row in turn, round by round, in one process; several processes.
//!
//! What drifts during a process hits all contenders of a round alike, so ratios are taken round by round. What a process is
//! dealt once (the physical pages behind its arenas, the core it runs on) is evened out by taking the median over processes.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::row::{Pass, Row, take_aside};

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds a process.
    pub rounds: usize,
    /// What a contender gets in a round.
    pub slice: Duration,
}

/// Nanoseconds an operation, by contender and round.
pub type Rounds = BTreeMap<String, Vec<f64>>;

/// What one process has seen, by row.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sample {
    /// By the row's id.
    pub rows: BTreeMap<String, Rounds>,
}

/// Times a row's contenders.
///
/// # Panics
///
/// If two contenders do not do the same work.
#[must_use]
pub fn row(row: &Row, effort: Effort) -> Rounds {
    let mut passes: Vec<(&str, Pass, u32)> = Vec::new();
    let mut expected = None;
    for contender in &row.contenders {
        let mut pass = (contender.start)();
        // Twice: the first pass makes the memory, the second may still find room to arrange it.
        for _ in 0..2 {
            let sum = pass();
            let expected = *expected.get_or_insert(sum);
            assert_eq!(sum, expected, "{}: {} does other work than the first", row.id, contender.name);
        }
        let repeats = repeats(&mut pass, effort.slice);
        passes.push((contender.name, pass, repeats));
    }
    let mut rounds: Rounds = passes.iter().map(|(name, ..)| ((*name).to_owned(), Vec::new())).collect();
    for round in 0..effort.rounds {
        let count = passes.len();
        for turn in 0..count {
            // Who goes first changes from round to round, and so does who goes after whom.
            let at = if round % 2 == 0 { round / 2 + turn } else { round / 2 + count - turn } % count;
            let (name, pass, repeats) = &mut passes[at];
            // Not timed: what ran before has left its memory in the caches, and the clock where it was, which takes milliseconds to
            // come back after a contender whose threads sleep.
            black_box(pass());
            take_aside();
            let start = Instant::now();
            for _ in 0..*repeats {
                black_box(pass());
            }
            let spent = start.elapsed().saturating_sub(take_aside());
            let nanoseconds = spent.as_nanos() as f64 / (f64::from(*repeats) * row.operations as f64);
            rounds.get_mut(*name).expect("listed above").push(nanoseconds);
        }
    }
    rounds
}

/// Passes that fill a slice of time.
fn repeats(pass: &mut Pass, slice: Duration) -> u32 {
    let start = Instant::now();
    let mut passes = 0;
    while start.elapsed() < slice {
        black_box(pass());
        passes += 1;
    }
    passes
}

/// The median, which is not `NaN`.
///
/// # Panics
///
/// If there are no values.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Times rows in a process of its own, of any build of this program.
///
/// # Errors
///
/// If the process fails.
pub fn in_a_process(program: &Command, names: &[String], effort: Effort) -> Result<Sample, String> {
    let mut command = Command::new(program.get_program());
    command.args([
        "--child",
        "time",
        "--rounds",
        &effort.rounds.to_string(),
        "--slice-us",
        &effort.slice.as_micros().to_string(),
    ]);
    super::last_line(command.args(names))
}

/// One contender's time for an operation: the median over processes of each process's median, and the span of these.
#[must_use]
pub fn nanoseconds(samples: &[Sample], row: &str, contender: &str) -> Option<Spread> {
    spread(samples, row, |rounds| Some(median(rounds.get(contender)?)))
}

/// One contender's time over another's: the median over processes of each process's median over rounds.
#[must_use]
pub fn ratio(samples: &[Sample], row: &str, ours: &str, theirs: &str) -> Option<Spread> {
    spread(samples, row, |rounds| {
        let (ours, theirs) = (rounds.get(ours)?, rounds.get(theirs)?);
        Some(median(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>()))
    })
}

/// One contender's time in one build over that in another: the median over pairs of processes, which ran one after the other.
#[must_use]
pub fn between(ours: &[Sample], theirs: &[Sample], row: &str, contender: &str) -> Option<Spread> {
    let time = |sample: &Sample| Some(median(sample.rows.get(row)?.get(contender)?));
    Spread::of(ours.iter().zip(theirs).filter_map(|(ours, theirs)| Some(time(ours)? / time(theirs)?)))
}

/// A median over processes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The lowest process.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

fn spread(samples: &[Sample], row: &str, figure: impl Fn(&Rounds) -> Option<f64>) -> Option<Spread> {
    Spread::of(samples.iter().filter_map(|sample| figure(sample.rows.get(row)?)))
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (low, high) = (*figures.first()?, *figures.last()?);
        Some(Self { median: median(&figures), low, high })
    }
}
