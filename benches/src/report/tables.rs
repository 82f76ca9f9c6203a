//! Figures as Markdown tables.

use std::fmt::Write;

use super::verdicts::Verdict;
use super::{arguments, judgement};
use crate::measure::{Data, counting, game, scaling, time};
use crate::row::{Group, Row};

/// One row: every contender's time and instructions, and its time against the first's.
pub(super) fn row(row: &Row, data: &Data) -> String {
    let mut out = format!("**{}** (`cargo performance {}`)\n\n", super::work(row, &data.machine), row.id);
    let counts = data.counts.get(row.id);
    let counted = if counts.is_some() { " instructions |" } else { "" };
    writeln!(out, "| | ns a {} | processes | against {} |{counted}", row.unit, row.contenders[0].name)
        .expect("a string");
    writeln!(out, "|---|---:|---|---:|{}", if counts.is_some() { "---:|" } else { "" }).expect("a string");
    for contender in &row.contenders {
        let Some(time) = time::nanoseconds(&data.times, row.id, contender.name) else { continue };
        let ratio = time::ratio(&data.times, row.id, contender.name, row.contenders[0].name);
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{:.2}", ratio.median));
        let (median, low, high) = (digits(time.median), digits(time.low), digits(time.high));
        write!(out, "| {} | {median} | {low} to {high} | {ratio} |", contender.name).expect("a string");
        if let Some(counts) = counts {
            let count = counts.get(contender.name).map_or_else(String::new, |&count| digits(count));
            write!(out, " {count} |").expect("a string");
        }
        out.push('\n');
    }
    out
}

/// All rows of a group.
pub(super) fn group(group: Group, rows: &[Row], data: &Data) -> String {
    let tables: Vec<String> = rows.iter().filter(|row| row.group == group).map(|one| row(one, data)).collect();
    tables.join("\n")
}

/// The value rows in debug builds.
pub(super) fn debug(rows: &[Row], data: &Data) -> String {
    let mut out = String::new();
    for (level, samples) in &data.debug {
        writeln!(out, "Opt-level {level}, nanoseconds a value (`cargo performance debug`):\n").expect("a string");
        let rows: Vec<&Row> = rows.iter().filter(|row| row.group == Group::Values).collect();
        let heads: Vec<String> = rows.iter().map(|row| format!("`{}` |", row.id)).collect();
        writeln!(out, "| | {}\n|---|{}", heads.join(" "), "---:|".repeat(rows.len())).expect("a string");
        let mut names: Vec<&str> = Vec::new();
        for contender in rows.iter().flat_map(|row| &row.contenders) {
            if !names.contains(&contender.name) {
                names.push(contender.name);
            }
        }
        for name in names {
            let cell = |row: &&Row| {
                time::nanoseconds(samples, row.id, name).map_or_else(String::new, |time| digits(time.median))
            };
            let cells: Vec<String> = rows.iter().map(|row| format!("{} |", cell(row))).collect();
            writeln!(out, "| {name} | {}", cells.join(" ")).expect("a string");
        }
        out.push('\n');
    }
    out
}

/// What the pools' programs took.
#[cfg(feature = "heaps")]
pub(super) fn resident(data: &Data) -> String {
    let mut out = String::from(
        "`cargo performance memory`\n\n| program | heap | peak live, MiB | peak resident, MiB | resident / live | resident after, MiB |\n|---|---|---:|---:|---:|---:|\n",
    );
    for outcome in &data.resident {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (live, peak, after) =
            (mebibytes(outcome.peak_live), mebibytes(outcome.peak_resident), mebibytes(outcome.resident_after));
        writeln!(
            out,
            "| {} | {} | {live:.1} | {peak:.1} | {:.2} | {after:.1} |",
            outcome.program,
            outcome.heap,
            peak / live
        )
        .expect("a string");
    }
    out
}

/// The game's stages.
pub(super) fn game(game: &game::Summary) -> String {
    let mut out = String::from(
        "`cargo performance game`\n\n| variant | p50, ms | p90 | p99 | p99.9 | worst | processor p50, ms | processor p99 | heap calls a frame |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for figures in &game.variants {
        let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        writeln!(
            out,
            "| {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.1} |",
            figures.variant,
            milliseconds(figures.p50_ns),
            milliseconds(figures.p90_ns),
            milliseconds(figures.p99_ns),
            milliseconds(figures.p999_ns),
            milliseconds(figures.worst_ns),
            milliseconds(figures.cpu_p50_ns),
            milliseconds(figures.cpu_p99_ns),
            figures.heap_calls_per_frame
        )
        .expect("a string");
    }
    writeln!(out, "\n{} frames each, one run of each variant.", game.settings.frames).expect("a string");
    out
}

/// The value rows without and with the feature `count`.
pub(super) fn counting(rows: &[Row], counting: &counting::Counting) -> String {
    let mut out = String::from(
        "`cargo performance count`\n\n| | ns a value without `count` | with it | ratio | processes |\n|---|---:|---:|---:|---|\n",
    );
    for row in rows.iter().filter(|row| row.group == Group::Values) {
        let ours = row.contenders[0].name;
        let time = |samples| time::nanoseconds(samples, row.id, ours);
        let (Some(without), Some(with)) = (time(&counting.without), time(&counting.with)) else { continue };
        let Some(ratio) = time::between(&counting.with, &counting.without, row.id, ours) else { continue };
        let (without, with) = (digits(without.median), digits(with.median));
        writeln!(
            out,
            "| `{}` | {without} | {with} | {:.2} | {:.2} to {:.2} |",
            row.id, ratio.median, ratio.low, ratio.high
        )
        .expect("a string");
    }
    out
}

/// More threads than cores: what was measured, simulated, counted.
pub(super) fn scaling(rows: &[Row], data: &Data, scaling: &scaling::Scaling) -> String {
    let scaling::Costs { object_ns, exchange_ns, exchanges, draw_ns, fill_ns } = scaling.costs;
    let mut out = format!(
        "Measured on one thread (`cargo performance scaling`): {} ns to make and free an object, {} ns for an exchange with the \
         depot, of which there are {exchanges} for {} objects made and freed; {} ns to draw a chunk, {} ns to fill it.\n\n",
        digits(object_ns),
        digits(exchange_ns),
        scaling::OBJECTS,
        digits(draw_ns),
        digits(fill_ns)
    );
    out.push_str(
        "Simulated (`cargo performance scaling`): the part of the time that the lock is held at most, and the time as a multiple of what \
         a thread takes alone.\n\n",
    );
    let heads: Vec<String> = scaling::THREADS.iter().map(|threads| format!(" {threads} |")).collect();
    let rule = "---:|".repeat(heads.len());
    writeln!(
        out,
        "| each thread, threads: | held at most |{} slower by a tenth |\n|---|---:|{rule}---|",
        heads.concat()
    )
    .expect("a string");
    let mut first = (usize::MAX, "nothing");
    for load in &scaling.loads {
        let cell = |(held, time): &(f64, f64)| format!(" {:.0} %, {time:.2} |", held * 100.0);
        let cells: Vec<String> = load.outcomes.iter().map(cell).collect();
        let slow = scaling::THREADS.iter().zip(&load.outcomes).find(|(_, (_, time))| *time >= 1.1);
        first = first.min(slow.map_or(first, |(threads, _)| (*threads, &load.work)));
        let slow = slow.map_or_else(|| "not up to 64".to_owned(), |(threads, _)| format!("with {threads} threads"));
        writeln!(out, "| {} | {} ns |{} {slow} |", load.work, digits(load.held_ns), cells.concat()).expect("a string");
    }
    if let (threads @ ..=64, work) = first {
        writeln!(out, "\nSlower by a tenth before all others: {work}, with {threads} threads.").expect("a string");
    }
    out.push_str(&boundaries(rows, data));
    out.push_str("\nCounted (`cargo performance scaling`), with that many threads of this machine:\n\n");
    out.push_str("| threads | chunks drawn, first frame | all later frames | objects alive, MiB | slabs, MiB | objects kept by a thread | ns an object |\n");
    out.push_str("|---:|---:|---:|---:|---:|---:|---:|\n");
    for crowd in &scaling.crowds {
        let alive = (crowd.threads * scaling::OBJECTS * 64) as f64 / f64::from(1 << 20);
        let slabs = crowd.slabs as f64 / 16.0;
        let (threads, (first, later)) = (crowd.threads, crowd.draws);
        let (kept, time) = (crowd.kept, digits(crowd.object_ns));
        writeln!(out, "| {threads} | {first} | {later} | {alive:.2} | {slabs:.2} | {kept:.0} | {time} |")
            .expect("a string");
    }
    out
}

/// The end of a frame in which many threads have allocated, where the rows of it were measured.
fn boundaries(rows: &[Row], data: &Data) -> String {
    let line = |threads: usize| {
        let row = rows.iter().find(|row| row.id == format!("frame-threads-{threads}"))?;
        let microseconds = time::nanoseconds(&data.times, row.id, row.contenders[0].name)?.median / 1e3;
        Some(format!("| {threads} | {} | {:.3} % |\n", digits(microseconds), microseconds * 60.0 / 1e4))
    };
    let lines: Vec<String> = scaling::THREADS.into_iter().filter_map(line).collect();
    if lines.is_empty() {
        return String::new();
    }
    format!(
        "\nMeasured (`cargo performance boundary`): the end of a frame and the beginning of the next, by one thread while the \
         others wait.\n\n| threads that have allocated | µs | part of a frame at 60 Hz |\n|---:|---:|---:|\n{}",
        lines.concat()
    )
}

/// Which bars hold.
pub(super) fn bars(verdicts: &[Verdict]) -> String {
    let mut out =
        String::from("| work | what is compared | measured | processes | bar | |\n|---|---|---:|---|---:|---|\n");
    for verdict in verdicts {
        let span = verdict.span.map_or_else(String::new, |(low, high)| format!("{low:.2} to {high:.2}"));
        let holds = match (verdict.holds(), verdict.is_near()) {
            (true, false) => "holds",
            (true, true) => "holds, just",
            (false, true) => "**missed**, just",
            (false, false) => "**missed**",
        };
        writeln!(
            out,
            "| {} | {} | {} | {span} | {} | {holds} |",
            verdict.work,
            verdict.pair(),
            exact(verdict.figure),
            exact(verdict.at_most)
        )
        .expect("a string");
    }
    let missed = verdicts.iter().filter(|verdict| !verdict.holds()).count();
    write!(out, "\n{} of {} hold.", verdicts.len() - missed, verdicts.len()).expect("a string");
    match verdicts.iter().filter(|verdict| verdict.is_near()).count() {
        0 => out.push('\n'),
        near => writeln!(
            out,
            " Of {near}, marked *just*, the processes lie on both sides of the bar: another run may say otherwise."
        )
        .expect("a string"),
    }
    out
}

/// Which bars are missed, and why; and what is said of bars that held.
pub(super) fn misses(verdicts: &[Verdict]) -> String {
    let mut out = String::new();
    for verdict in verdicts.iter().filter(|verdict| !verdict.holds()) {
        let because = verdict.argument().map_or_else(
            || if verdict.is_near() { "not explained, and not missed in every process." } else { "not explained." },
            |argument| argument.because,
        );
        let (figure, at_most) = (exact(verdict.figure), exact(verdict.at_most));
        writeln!(out, "- `{}`, {}, {figure} where {at_most} is the most: {because}", verdict.id, verdict.pair())
            .expect("a string");
    }
    let spare: Vec<String> = judgement::spare(arguments::ALL, verdicts).map(|it| format!("`{}`", it.name())).collect();
    if !spare.is_empty() {
        writeln!(out, "\nHeld in this run, though there is an argument for a miss: {}.", spare.join("; "))
            .expect("a string");
    }
    out
}

/// Digits enough to see on which side of a bar a figure lies.
pub(super) fn exact(value: f64) -> String {
    if value < 10.0 { format!("{value:.3}") } else { digits(value) }
}

/// Three digits or so.
fn digits(value: f64) -> String {
    match value.abs() {
        10_000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
