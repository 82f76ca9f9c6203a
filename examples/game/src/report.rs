//! What the parent makes of the outcomes: a table, a summary for `--json`, and the checks that may fail the run.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::cli::Memory;
use crate::game::{Outcome, Settings};
use crate::tally::{Lists, Stage};
use meter::HeapUse;
use meter::{Quantiles, mean, median};

pub struct Report {
    settings: Settings,
    outcomes: Vec<(Memory, Outcome)>,
}

/// The figures of one variant. Times are in nanoseconds, memory in bytes.
#[derive(Debug, Serialize)]
pub struct Figures {
    variant: &'static str,
    checksum: String,
    frames_per_second: f64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    p999_ns: u64,
    worst_ns: u64,
    cpu_p50_ns: u64,
    cpu_p90_ns: u64,
    cpu_p99_ns: u64,
    cpu_p999_ns: u64,
    cpu_worst_ns: u64,
    read_p50_ns: u64,
    release_p50_ns: u64,
    allocations_per_frame: u64,
    bytes_per_frame: u64,
    heap_calls_per_frame: f64,
    heap_calls_p50: u64,
    heap_calls_at_burst: u64,
    resident_before_burst: u64,
    resident_at_burst: u64,
    resident_after_burst: u64,
    rapier_step_p50_ns: u64,
    rapier_query_p50_ns: u64,
    rapier_heap_calls_per_frame: f64,
    rapier_query_heap_calls: u64,
}

#[derive(Debug, Serialize)]
pub struct Summary {
    settings: Settings,
    burst_frame: u32,
    frames_after_burst: u32,
    ordinary_frame: Lists,
    burst: Lists,
    variants: Vec<Figures>,
}

impl Figures {
    fn new(variant: Memory, outcome: &Outcome, settings: &Settings) -> Self {
        let ordinary = outcome.ordinary(settings);
        let heap_calls = || outcome.ordinary_frames(settings).map(|frame| outcome.stages_cost[frame].heap.calls);
        let wall = Quantiles::of(outcome.stages_ns.iter().zip(&outcome.release_ns).map(|(build, free)| build + free));
        let cpu = Quantiles::of(outcome.stages_cost.iter().map(|cost| cost.cpu_ns));
        let rapier = |heap: HeapUse| heap.calls as f64 / f64::from(settings.frames);
        Self {
            variant: variant.name(),
            checksum: format!("{:016x}", outcome.checksum),
            frames_per_second: outcome.frames_per_second,
            p50_ns: wall.p50,
            p90_ns: wall.p90,
            p99_ns: wall.p99,
            p999_ns: wall.p999,
            worst_ns: wall.worst,
            cpu_p50_ns: cpu.p50,
            cpu_p90_ns: cpu.p90,
            cpu_p99_ns: cpu.p99,
            cpu_p999_ns: cpu.p999,
            cpu_worst_ns: cpu.worst,
            read_p50_ns: median(outcome.read_ns.iter().copied()),
            release_p50_ns: median(outcome.release_ns.iter().copied()),
            allocations_per_frame: ordinary.allocations,
            bytes_per_frame: ordinary.bytes,
            heap_calls_per_frame: mean(heap_calls()),
            heap_calls_p50: median(heap_calls()),
            heap_calls_at_burst: outcome.stages_cost[settings.burst() as usize].heap.calls,
            resident_before_burst: outcome.resident_before_burst,
            resident_at_burst: outcome.resident_at_burst(settings),
            resident_after_burst: outcome.resident_after_burst(settings),
            rapier_step_p50_ns: median(outcome.rapier_step_ns.iter().copied()),
            rapier_query_p50_ns: median(outcome.rapier_query_ns.iter().copied()),
            rapier_heap_calls_per_frame: rapier(outcome.rapier_step_heap),
            rapier_query_heap_calls: outcome.rapier_query_heap.calls,
        }
    }
}

impl Report {
    /// What became of the budget, if there was one.
    pub fn budget(&self) -> Option<&str> {
        self.outcomes.iter().find_map(|(_, outcome)| outcome.budget.as_deref())
    }

    pub fn new(settings: Settings) -> Self {
        Self { settings, outcomes: Vec::new() }
    }

    pub fn add(&mut self, variant: Memory, outcome: Outcome) {
        self.outcomes.push((variant, outcome));
    }

    /// How many there are.
    pub fn outcomes(&self) -> usize {
        self.outcomes.len()
    }

    pub fn summary(&self) -> Summary {
        let settings = self.settings;
        let first = &self.outcomes[0].1;
        Summary {
            settings,
            burst_frame: settings.burst(),
            frames_after_burst: settings.forgotten() - settings.burst(),
            ordinary_frame: first.ordinary(&settings),
            burst: first.tallies[settings.burst() as usize].total(),
            variants: self
                .outcomes
                .iter()
                .map(|(variant, outcome)| Figures::new(*variant, outcome, &settings))
                .collect(),
        }
    }

    /// Whether all variants did the same work, and framealloc has given the burst's memory back.
    ///
    /// # Errors
    ///
    /// Names the variants that differ, or the memory that was kept.
    pub fn check(&self) -> Result<(), String> {
        let (first, rest) = self.outcomes.split_first().ok_or("nothing was played")?;
        for (variant, outcome) in rest {
            let names = (first.0.name(), variant.name());
            if outcome.checksum != first.1.checksum {
                let sums = (first.1.checksum, outcome.checksum);
                return Err(format!("checksums differ: {} {:016x}, {} {:016x}", names.0, sums.0, names.1, sums.1));
            }
            if let Some(frame) =
                (0..first.1.tallies.len()).find(|&at| outcome.tallies.get(at) != first.1.tallies.get(at))
            {
                return Err(format!("{} and {} did not allocate the same lists in frame {frame}", names.0, names.1));
            }
        }
        let framealloc =
            self.summary().variants.into_iter().find(|figures| figures.variant == Memory::Framealloc.name());
        framealloc.map_or(Ok(()), |figures| self.retention().check(&figures))
    }

    fn retention(&self) -> Retention {
        Retention::after(self.settings.forgotten() - self.settings.burst())
    }
}

/// How much of what a burst added to resident memory must be gone again, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Retention {
    frames: u32,
    given_back: Option<u64>,
}

impl Retention {
    /// A chunk a frame goes back to the system: all but a tenth within 120 frames, a visible part within 25.
    fn after(frames: u32) -> Self {
        let given_back = match frames {
            120.. => Some(90),
            25.. => Some(10),
            _ => None,
        };
        Self { frames, given_back }
    }

    fn check(self, figures: &Figures) -> Result<(), String> {
        let Some(wanted) = self.given_back else { return Ok(()) };
        match given_back(figures) {
            Some(percent) if percent < wanted as f64 => Err(format!(
                "{}: {percent:.0} % of the burst's memory was given back after {} frames, wanted {wanted} %",
                figures.variant, self.frames
            )),
            _ => Ok(()),
        }
    }
}

/// The part of the burst's growth that is gone, in percent; nothing to tell under 8 MiB, where noise is as large.
fn given_back(figures: &Figures) -> Option<f64> {
    let grown = figures.resident_at_burst.saturating_sub(figures.resident_before_burst);
    let gone = figures.resident_at_burst as f64 - figures.resident_after_burst as f64;
    (grown >= 8 << 20).then(|| 100.0 * gone / grown as f64)
}

impl Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Summary { settings, burst_frame, frames_after_burst, ordinary_frame, burst, variants } = self.summary();
        let first = &self.outcomes[0].1;
        let Settings { frames, bodies, threads, seed } = settings;
        writeln!(out, "{bodies} bodies, {frames} frames, {threads} worker threads, seed {seed}")?;
        let factor = burst.bytes as f64 / ordinary_frame.bytes.max(1) as f64;
        writeln!(
            out,
            "an ordinary frame: {:.0} manifolds, {} allocations, {:.2} MB; the burst (frame {burst_frame}): {} allocations, {:.1} MB, {factor:.1} times the bytes",
            mean(first.ordinary_frames(&settings).map(|frame| first.tallies[frame].manifolds)),
            ordinary_frame.allocations,
            ordinary_frame.bytes as f64 / 1e6,
            burst.allocations,
            burst.bytes as f64 / 1e6,
        )?;
        let stages = first.tallies[first.tallies.len() - 1].stages;
        let stages = Stage::NAMES.iter().zip(stages);
        let stages: Vec<String> = stages
            .map(|(name, lists)| format!("{name} {} in {:.2} MB", lists.allocations, lists.bytes as f64 / 1e6))
            .collect();
        writeln!(out, "allocations by stage, last frame: {}", stages.join(", "))?;
        for figures in &variants {
            writeln!(
                out,
                "Rapier's own beside {:<10}: step {:.2} ms, {:.0} heap calls a frame; queries {:.2} ms, {} heap calls in all",
                figures.variant,
                milliseconds(figures.rapier_step_p50_ns),
                figures.rapier_heap_calls_per_frame,
                milliseconds(figures.rapier_query_p50_ns),
                figures.rapier_query_heap_calls,
            )?;
        }
        writeln!(out)?;
        times(out, &variants)?;
        writeln!(out)?;
        memory(out, &variants)?;
        writeln!(out)?;
        let shares: Vec<String> = variants
            .iter()
            .filter_map(|figures| given_back(figures).map(|percent| format!("{} {percent:.0} %", figures.variant)))
            .collect();
        if !shares.is_empty() {
            writeln!(
                out,
                "of the burst's memory, given back {frames_after_burst} frames later: {}",
                shares.join(", ")
            )?;
        }
        if variants.iter().any(|figures| figures.variant == Memory::Framealloc.name()) {
            match self.retention().given_back {
                Some(wanted) => writeln!(out, "framealloc must give back {wanted} % by then")?,
                None => writeln!(out, "too few frames after the burst to ask framealloc for its memory")?,
            }
        }
        if self.outcomes.iter().all(|(_, outcome)| outcome.checksum == first.checksum) {
            writeln!(out, "checksum {:016x}, the same in all variants", first.checksum)?;
        }
        Ok(())
    }
}

/// The times of the memory-using stages: how long a frame waited, and what all threads together did.
fn times(out: &mut Formatter<'_>, variants: &[Figures]) -> fmt::Result {
    writeln!(
        out,
        "{:<10} | {:^44} | {:^44} | {:^15} |",
        "", "memory stages, wall ms", "memory stages, processor ms", "render p50, ms"
    )?;
    let quantiles = format!("{:>8} {:>8} {:>8} {:>8} {:>8}", "p50", "p90", "p99", "p99.9", "worst");
    writeln!(out, "{:<10} | {quantiles} | {quantiles} | {:>7} {:>7} | {:>5}", "variant", "read", "release", "fps")?;
    for figures in variants {
        let row =
            |quantiles: [u64; 5]| quantiles.map(|nanoseconds| format!("{:>8.3}", milliseconds(nanoseconds))).join(" ");
        writeln!(
            out,
            "{:<10} | {} | {} | {:>7.3} {:>7.3} | {:>5.1}",
            figures.variant,
            row([figures.p50_ns, figures.p90_ns, figures.p99_ns, figures.p999_ns, figures.worst_ns]),
            row([
                figures.cpu_p50_ns,
                figures.cpu_p90_ns,
                figures.cpu_p99_ns,
                figures.cpu_p999_ns,
                figures.cpu_worst_ns
            ]),
            milliseconds(figures.read_p50_ns),
            milliseconds(figures.release_p50_ns),
            figures.frames_per_second,
        )?;
    }
    let is_framealloc = |figures: &&Figures| figures.variant == Memory::Framealloc.name();
    if let Some(own) = variants.iter().find(is_framealloc) {
        for other in variants.iter().filter(|figures| !is_framealloc(figures)) {
            let ratio = |own: u64, other: u64| own as f64 / other.max(1) as f64;
            writeln!(
                out,
                "framealloc to {}: wall p50 {:.2}, p99 {:.2}; processor p50 {:.2}, p99 {:.2}",
                other.variant,
                ratio(own.p50_ns, other.p50_ns),
                ratio(own.p99_ns, other.p99_ns),
                ratio(own.cpu_p50_ns, other.cpu_p50_ns),
                ratio(own.cpu_p99_ns, other.cpu_p99_ns),
            )?;
        }
    }
    Ok(())
}

/// What the frames hold, what they ask of the heap, and what stays resident.
fn memory(out: &mut Formatter<'_>, variants: &[Figures]) -> fmt::Result {
    writeln!(out, "{:<10} | {:^16} | {:^19} | {:^26}", "", "a frame", "heap calls", "resident, MiB")?;
    writeln!(
        out,
        "{:<10} | {:>8} {:>7} | {:>10} {:>8} | {:>8} {:>8} {:>8}",
        "variant", "allocs", "MB", "a frame", "burst", "before", "burst", "after"
    )?;
    for figures in variants {
        writeln!(
            out,
            "{:<10} | {:>8} {:>7.2} | {:>10.1} {:>8} | {:>8.1} {:>8.1} {:>8.1}",
            figures.variant,
            figures.allocations_per_frame,
            figures.bytes_per_frame as f64 / 1e6,
            figures.heap_calls_per_frame,
            figures.heap_calls_at_burst,
            mebibytes(figures.resident_before_burst),
            mebibytes(figures.resident_at_burst),
            mebibytes(figures.resident_after_burst),
        )?;
    }
    Ok(())
}

fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::{Figures, Memory, Outcome, Report, Retention, given_back};
    use crate::game::Settings;
    use crate::tally::Tally;
    use meter::Cost;

    const SETTINGS: Settings = Settings { frames: 4, bodies: 10, threads: 1, seed: 1 };

    fn outcome(checksum: u64) -> Outcome {
        Outcome {
            checksum,
            stages_cost: vec![Cost::default(); 4],
            tallies: vec![Tally::default(); 4],
            resident: vec![0; 4],
            ..Outcome::default()
        }
    }

    #[test]
    fn differing_checksums_fail_by_name() {
        let mut report = Report::new(SETTINGS);
        report.add(Memory::Vec, outcome(1));
        report.add(Memory::Reuse, outcome(1));
        assert_eq!(report.check(), Ok(()));
        report.add(Memory::Bumpalo, outcome(2));
        assert!(report.check().unwrap_err().contains("bumpalo 0000000000000002"));
    }

    #[test]
    fn differing_books_fail_by_frame() {
        let mut report = Report::new(SETTINGS);
        report.add(Memory::Vec, outcome(1));
        let mut other = outcome(1);
        other.tallies[2].manifolds = 9;
        report.add(Memory::Reuse, other);
        assert!(report.check().unwrap_err().contains("frame 2"));
    }

    #[test]
    fn kept_memory_fails_after_120_frames() {
        let mut figures = Figures::new(Memory::Framealloc, &outcome(1), &SETTINGS);
        figures.resident_before_burst = 50 << 20;
        figures.resident_at_burst = 150 << 20;
        figures.resident_after_burst = 70 << 20;
        assert_eq!(given_back(&figures), Some(80.0));
        assert!(Retention::after(120).check(&figures).is_err());
        assert!(Retention::after(25).check(&figures).is_ok());
        figures.resident_after_burst = 55 << 20;
        assert!(Retention::after(120).check(&figures).is_ok());
        figures.resident_after_burst = 149 << 20;
        assert!(Retention::after(25).check(&figures).is_err());
        assert!(Retention::after(3).check(&figures).is_ok());
    }
}
