//! Which bars hold.

use crate::arenas::names::{BLINK, BUMP_SCOPE, BUMPALO, FRAME};
use crate::measure::{Data, time};
use crate::row::{Bar, Figure, Group, Row};

/// A bar, and what was measured.
pub(super) struct Verdict {
    /// The work.
    pub(super) what: String,
    /// Who is held against whom, and in what.
    pub(super) pair: String,
    /// What was measured: the worst, where there are several rivals.
    pub(super) figure: f64,
    /// The lowest and highest process, where there were several.
    pub(super) span: Option<(f64, f64)>,
    /// What passes.
    pub(super) at_most: f64,
}

impl Verdict {
    /// Whether it passes.
    pub(super) fn holds(&self) -> bool {
        self.figure <= self.at_most
    }
}

/// All bars of which something was measured.
pub(super) fn all(rows: &[Row], data: &Data) -> Vec<Verdict> {
    let of_rows = rows.iter().flat_map(|row| row.bars.iter().filter_map(|bar| of_row(row, bar, data)));
    let mut verdicts: Vec<Verdict> = of_rows.collect();
    verdicts.extend(of_debug(rows, data));
    #[cfg(feature = "heaps")]
    verdicts.extend(of_memory(data));
    verdicts.extend(data.game.iter().flat_map(of_game));
    verdicts
}

fn of_row(row: &Row, bar: &Bar, data: &Data) -> Option<Verdict> {
    let counts = data.counts.get(row.id);
    let count = |name: &str| counts?.get(name).copied();
    let one = |rival: &&'static str| match bar.figure {
        Figure::Time => {
            let ratio = time::ratio(&data.times, row.id, bar.ours, rival)?;
            Some((*rival, ratio.median, Some((ratio.low, ratio.high))))
        }
        Figure::Instructions => Some((*rival, count(bar.ours)? / count(rival)?, None)),
        Figure::Count => None,
    };
    let (pair, figure, span) = if bar.figure == Figure::Count {
        (format!("{}, instructions a {}", bar.ours, row.unit), count(bar.ours)?, None)
    } else {
        let worst = bar.rivals.iter().filter_map(one).max_by(|a, b| a.1.total_cmp(&b.1));
        let (rival, ratio, span) = worst?;
        let what = if bar.figure == Figure::Time { "time" } else { "instructions" };
        (format!("{} / {rival}, {what}", bar.ours), ratio, span)
    };
    Some(Verdict { what: row.work.to_owned(), pair, figure, span, at_most: bar.at_most })
}

/// A debug build may take half as long again as the best peer's.
const DEBUG: f64 = 1.5;

fn of_debug<'a>(rows: &'a [Row], data: &'a Data) -> impl Iterator<Item = Verdict> + 'a {
    data.debug.iter().flat_map(move |(level, samples)| {
        rows.iter().filter(|row| row.group == Group::Values).filter_map(move |row| {
            let rivals = [BUMPALO, BUMP_SCOPE, BLINK];
            let ratio = |rival| Some((rival, time::ratio(samples, row.id, FRAME, rival)?));
            let (rival, worst) =
                rivals.into_iter().filter_map(ratio).max_by(|a, b| a.1.median.total_cmp(&b.1.median))?;
            Some(Verdict {
                what: format!("{}, debug build, opt-level {level}", row.work),
                pair: format!("{FRAME} / {rival}, time"),
                figure: worst.median,
                span: Some((worst.low, worst.high)),
                at_most: DEBUG,
            })
        })
    })
}

/// A pool may hold a tenth more than mimalloc.
#[cfg(feature = "heaps")]
const MEMORY: f64 = 1.1;

#[cfg(feature = "heaps")]
fn of_memory(data: &Data) -> impl Iterator<Item = Verdict> + '_ {
    use crate::pools::names::{MIMALLOC, POOL};
    let of = |outcome: &&crate::measure::resident::Outcome, heap: &str| outcome.heap == heap;
    data.resident.iter().filter(move |outcome| of(outcome, POOL)).filter_map(move |ours| {
        let theirs = data.resident.iter().find(|other| other.program == ours.program && of(other, MIMALLOC))?;
        Some(Verdict {
            what: ours.program.clone(),
            pair: format!("{POOL} / {MIMALLOC}, peak resident"),
            figure: ours.peak_resident as f64 / theirs.peak_resident as f64,
            span: None,
            at_most: MEMORY,
        })
    })
}

fn of_game(game: &crate::measure::game::Summary) -> Vec<Verdict> {
    let of = |name: &str| game.variants.iter().find(|figures| figures.variant == name);
    let Some(ours) = of("framealloc") else { return Vec::new() };
    let bar = |rival: &str, what: &str, at_most, read: fn(&crate::measure::game::Figures) -> u64| {
        let rival_figures = of(rival)?;
        Some(Verdict {
            what: "the headless game's memory stages".to_owned(),
            pair: format!("framealloc / {rival}, {what}"),
            figure: read(ours) as f64 / read(rival_figures) as f64,
            span: None,
            at_most,
        })
    };
    let all = [
        bar("vec", "p99", 0.5, |figures| figures.p99_ns),
        bar("bumpalo", "p50", 1.02, |figures| figures.p50_ns),
        bar("reuse", "p50", 1.02, |figures| figures.p50_ns),
    ];
    all.into_iter().flatten().collect()
}
