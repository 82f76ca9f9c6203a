//! What the parent makes of the outcomes: a table, the bars, and the checks that may fail the run.

use std::fmt;

use meter::{Quantiles, median};
use serde::Serialize;

use crate::cli::Memory;
use crate::game::{FORGOTTEN, Outcome, Settings};
use crate::model::BURST;

/// The figures of one variant on so many threads. Times are in nanoseconds, memory in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub threads: usize,
    pub variant: &'static str,
    #[serde(skip)]
    title: &'static str,
    checksum: String,
    update_p50_ns: u64,
    update_p99_ns: u64,
    update_p999_ns: u64,
    /// Before the burst.
    stages_early_ns: u64,
    stages_p50_ns: u64,
    stages_p99_ns: u64,
    stages_p999_ns: u64,
    /// Of half of the frames: heap calls of the game's own systems.
    calls_p50: u64,
    /// Frames that made any, of those that were warm, without the burst.
    frames_with_calls: usize,
    /// Held more than before the burst: in its frame, and when it should be forgotten.
    held_at_burst: Option<i64>,
    held_after: Option<i64>,
}

impl Figures {
    fn new(variant: Memory, settings: &Settings, outcome: &Outcome) -> Self {
        // Not the start, in which everything is new.
        let warm = 60.min(outcome.update_ns.len() - 1);
        let update = Quantiles::of(outcome.update_ns[warm..].iter().copied());
        let stages = Quantiles::of(outcome.stages_ns[warm..].iter().copied());
        let more = |at: usize| outcome.held.map(|held| held[at].cast_signed() - held[0].cast_signed());
        Self {
            threads: settings.threads,
            variant: variant.name(),
            title: variant.title(),
            checksum: format!("{:016x}", outcome.checksum),
            update_p50_ns: update.p50,
            update_p99_ns: update.p99,
            update_p999_ns: update.p999,
            stages_early_ns: median(outcome.stages_ns[warm..].iter().copied().take(BURST as usize - warm)),
            stages_p50_ns: stages.p50,
            stages_p99_ns: stages.p99,
            stages_p999_ns: stages.p999,
            calls_p50: median(outcome.calls[warm..].iter().copied()),
            frames_with_calls: outcome
                .calls
                .iter()
                .enumerate()
                .filter(|&(at, &calls)| at >= warm && at != BURST as usize && calls != 0)
                .count(),
            held_at_burst: more(1),
            held_after: more(2),
        }
    }
}

/// All games that were played.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figures>,
    /// What the plugin adds to an update of an app that does nothing else, in nanoseconds.
    overhead: Option<u64>,
}

/// A figure that was promised, and what came of it.
struct Bar {
    threads: usize,
    what: &'static str,
    found: f64,
    most: f64,
    /// Whether it is the same in each run, so that missing it is a mistake.
    exact: bool,
}

impl Bar {
    fn holds(&self) -> bool {
        self.found <= self.most
    }
}

impl Report {
    pub fn add(&mut self, variant: Memory, settings: &Settings, outcome: &Outcome) {
        self.figures.push(Figures::new(variant, settings, outcome));
    }

    pub fn set_overhead(&mut self, added: u64) {
        self.overhead = Some(added);
    }

    pub fn figures(&self) -> &[Figures] {
        &self.figures
    }

    fn bars(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        for ours in self.figures.iter().filter(|figures| figures.variant == Memory::Framealloc.name()) {
            let threads = ours.threads;
            if let Some(added) = self.overhead {
                let part = added as f64 / ours.update_p50_ns as f64;
                bars.push(Bar {
                    threads,
                    what: "what the plugin adds to an empty app, of an update",
                    found: part,
                    most: 0.01,
                    exact: false,
                });
            }
            let of = |variant: Memory| {
                self.figures.iter().find(|other| other.threads == threads && other.variant == variant.name())
            };
            let mut bar = |what, found, most, exact| bars.push(Bar { threads, what, found, most, exact });
            bar("heap calls of the game's systems in half of the frames", ours.calls_p50 as f64, 0.0, true);
            let ratio = |other: &Figures| ours.stages_p50_ns as f64 / other.stages_p50_ns as f64;
            let early = |other: &Figures| ours.stages_early_ns as f64 / other.stages_early_ns as f64;
            if let Some(fresh) = of(Memory::Vec) {
                bar("p50 of the stages, of that of fresh `Vec`s", ratio(fresh), 0.8, false);
                bar("the same before the burst", early(fresh), 0.8, false);
            }
            if let Some(reused) = of(Memory::Local) {
                bar("p50 of the stages, of that of kept `Vec`s", ratio(reused), 1.02, false);
                bar("the same before the burst", early(reused), 1.02, false);
                if let (Some(held), Some(other)) = (ours.held_after, reused.held_after.filter(|&held| held > 0)) {
                    bar(
                        "what is held of the burst 300 frames later, of what kept `Vec`s hold",
                        held.max(0) as f64 / other as f64,
                        0.25,
                        // Each thread may keep a chunk of 1 MiB, which is much for a game of few bodies.
                        other >> 23 > threads as i64,
                    );
                }
            }
        }
        if let Some(added) = self.overhead {
            bars.push(Bar {
                threads: 1,
                what: "what the plugin adds to an empty app, in ns",
                found: added as f64,
                most: 2000.0,
                exact: false,
            });
        }
        bars
    }

    /// Whether all variants did the same work, and the bars hold whose figures are the same in each run.
    ///
    /// # Errors
    ///
    /// Names what differs, or the bar.
    pub fn check(&self) -> Result<(), String> {
        let first = self.figures.first().ok_or("nothing was played")?;
        if let Some(other) = self.figures.iter().find(|other| other.checksum != first.checksum) {
            return Err(format!(
                "checksums differ: {} with {} threads {}, {} with {} threads {}",
                first.variant, first.threads, first.checksum, other.variant, other.threads, other.checksum
            ));
        }
        match self.bars().iter().find(|bar| bar.exact && !bar.holds()) {
            Some(Bar { threads, what, found, most, .. }) => {
                Err(format!("{threads} threads: {what}: {found:.3}, and may be {most}"))
            }
            None => Ok(()),
        }
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn kib(bytes: Option<i64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{}", bytes.div_euclid(1024)))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Times in ms: of a whole update, and of the stages that use memory, the frame's end among them. Heap calls of the game's own systems \
             in a frame (p50), without those that Bevy makes for tasks. Heap in use, in KiB more than before the burst: in frame {BURST}, which \
             bursts, and {FORGOTTEN} frames later.\n"
        )?;
        writeln!(
            f,
            "| compute threads | memory | update p50 | p99 | p99.9 | stages p50 before the burst | p50 | p99 | p99.9 | heap calls | frames that made any | KiB at the burst | KiB later |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        for figures in &self.figures {
            let Figures { threads, title, calls_p50, frames_with_calls, held_at_burst, held_after, .. } = figures;
            let [update, update99, update999] =
                [figures.update_p50_ns, figures.update_p99_ns, figures.update_p999_ns].map(ms);
            let early = ms(figures.stages_early_ns);
            let [stages, stages99, stages999] =
                [figures.stages_p50_ns, figures.stages_p99_ns, figures.stages_p999_ns].map(ms);
            let (burst, after) = (kib(*held_at_burst), kib(*held_after));
            writeln!(
                f,
                "| {threads} | {title} | {update:.3} | {update99:.3} | {update999:.3} | {early:.3} | {stages:.3} | {stages99:.3} | {stages999:.3} \
                 | {calls_p50} | {frames_with_calls} | {burst} | {after} |"
            )?;
        }
        writeln!(f, "\n| bar for `FrameMemory` | threads | found | at most | |\n|---|---|---|---|---|")?;
        for bar in self.bars() {
            let Bar { threads, what, found, most, .. } = &bar;
            let verdict = if bar.holds() { "holds" } else { "**missed**" };
            let digits = if *found < 0.01 { 5 } else { 3 };
            writeln!(f, "| {what} | {threads} | {found:.digits$} | {most} | {verdict} |")?;
        }
        if let Some(first) = self.figures.first() {
            writeln!(f, "\nOne checksum: {}", first.checksum)?;
        }
        Ok(())
    }
}
