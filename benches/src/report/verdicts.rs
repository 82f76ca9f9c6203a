//! Which bars hold.

use super::arguments::{self, Argument};
use crate::arenas::names::{ARENA, FRAME, SUGAR};
use crate::measure::{Data, game, time};
use crate::row::{Bar, Figure, Group, Row};

/// A bar, and what was measured.
pub(super) struct Verdict {
    /// A row's id, or a program's, or the game.
    pub(super) id: String,
    /// The work.
    pub(super) work: String,
    /// Who is held to it.
    pub(super) ours: &'static str,
    /// The rival, if there is one: the one that we come off worst against.
    pub(super) rival: Option<&'static str>,
    /// What is compared or counted.
    pub(super) what: String,
    /// What was measured.
    pub(super) figure: f64,
    /// The lowest and highest process, where there were several.
    pub(super) span: Option<(f64, f64)>,
    /// What passes.
    pub(super) at_most: f64,
    /// Whether the figure is the same in each run, on a machine that others share too.
    pub(super) repeats: bool,
}

impl Verdict {
    /// Whether it passes.
    pub(super) fn holds(&self) -> bool {
        self.figure <= self.at_most
    }

    /// Whether some processes passed and others did not, so that the next run may say otherwise.
    pub(super) fn is_near(&self) -> bool {
        self.span.is_some_and(|(low, high)| low <= self.at_most && self.at_most < high)
    }

    /// Who is held against whom, and in what.
    pub(super) fn pair(&self) -> String {
        let rival = self.rival.map_or_else(String::new, |rival| format!(" / {rival}"));
        format!("{}{rival}, {}", self.ours, self.what)
    }

    /// Why it is missed, as far as somebody knows.
    pub(super) fn argument(&self) -> Option<&'static Argument> {
        arguments::ALL.iter().find(|argument| argument.is_about(self))
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
    let ratio = |rival: &&'static str| match bar.figure {
        Figure::Time => {
            let ratio = time::ratio(&data.times, row.id, bar.ours, rival)?;
            Some((Some(*rival), ratio.median, Some((ratio.low, ratio.high))))
        }
        Figure::Instructions => Some((Some(*rival), count(bar.ours)? / count(rival)?, None)),
        Figure::Count => None,
    };
    let (rival, figure, span) = match bar.figure {
        Figure::Count => (None, count(bar.ours)?, None),
        _ => bar.rivals.iter().filter_map(ratio).max_by(|a, b| a.1.total_cmp(&b.1))?,
    };
    Some(Verdict {
        id: row.id.to_owned(),
        work: super::work(row, &data.machine),
        ours: bar.ours,
        rival,
        what: match bar.figure {
            Figure::Time => "time".to_owned(),
            Figure::Instructions => "instructions".to_owned(),
            Figure::Count => format!("instructions a {}", row.unit),
        },
        figure,
        span,
        at_most: bar.at_most,
        repeats: bar.figure != Figure::Time,
    })
}

/// A debug build may take half as long again as the best peer's.
const DEBUG: f64 = 1.5;

/// Those that are no peers.
const OWN: [&str; 3] = [FRAME, SUGAR, ARENA];

fn of_debug<'a>(rows: &'a [Row], data: &'a Data) -> impl Iterator<Item = Verdict> + 'a {
    data.debug.iter().flat_map(move |(level, samples)| {
        rows.iter().filter(|row| row.group == Group::Values).filter_map(move |row| {
            let rivals = row.contenders.iter().map(|contender| contender.name).filter(|name| !OWN.contains(name));
            let ratio = |rival| Some((rival, time::ratio(samples, row.id, FRAME, rival)?));
            let (rival, worst) = rivals.filter_map(ratio).max_by(|a, b| a.1.median.total_cmp(&b.1.median))?;
            Some(Verdict {
                id: row.id.to_owned(),
                work: format!("{}, debug build", row.work),
                ours: FRAME,
                rival: Some(rival),
                what: format!("time at opt-level {level}"),
                figure: worst.median,
                span: Some((worst.low, worst.high)),
                at_most: DEBUG,
                repeats: false,
            })
        })
    })
}

/// A pool may hold a tenth more than mimalloc.
#[cfg(feature = "heaps")]
const MEMORY: f64 = 1.1;

#[cfg(feature = "heaps")]
fn of_memory(data: &Data) -> impl Iterator<Item = Verdict> + '_ {
    use crate::measure::resident::PROGRAMS;
    use crate::pools::names::{MIMALLOC, POOL};
    PROGRAMS.iter().filter_map(|program| {
        let of = |heap| data.resident.iter().find(|outcome| outcome.program == program.id && outcome.heap == heap);
        Some(Verdict {
            id: program.id.to_owned(),
            work: program.id.to_owned(),
            ours: POOL,
            rival: Some(MIMALLOC),
            what: "peak resident".to_owned(),
            figure: of(POOL)?.peak_resident as f64 / of(MIMALLOC)?.peak_resident as f64,
            span: None,
            at_most: MEMORY,
            repeats: program.repeats,
        })
    })
}

fn of_game(game: &game::Summary) -> Vec<Verdict> {
    let of = |name: &str| game.variants.iter().find(|figures| figures.variant == name);
    let bar = |rival: &'static str, what: &str, at_most, read: fn(&game::Figures) -> u64| {
        Some(Verdict {
            id: "game".to_owned(),
            work: "the headless game's memory stages".to_owned(),
            ours: "framealloc",
            rival: Some(rival),
            what: what.to_owned(),
            figure: read(of("framealloc")?) as f64 / read(of(rival)?) as f64,
            span: None,
            at_most,
            repeats: false,
        })
    };
    let all = [
        bar("vec", "p99", 0.5, |figures| figures.p99_ns),
        bar("bumpalo", "p50", 1.02, |figures| figures.p50_ns),
        bar("reuse", "p50", 1.02, |figures| figures.p50_ns),
    ];
    all.into_iter().flatten().collect()
}
