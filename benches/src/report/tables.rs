//! Figures as Markdown tables.

use std::fmt::Write;

use super::verdicts::Verdict;
use crate::measure::{Data, game, time};
use crate::row::{Group, Row};

/// One row: every contender's time and instructions, and its time against the first's.
pub(super) fn row(row: &Row, data: &Data) -> String {
    let mut out = format!("**{}** (`{}`)\n\n", row.work, row.id);
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
        writeln!(out, "Opt-level {level}, nanoseconds a value:\n").expect("a string");
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
        "| program | heap | peak live, MiB | peak resident, MiB | resident / live | resident after, MiB |\n|---|---|---:|---:|---:|---:|\n",
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
        "| variant | p50, ms | p90 | p99 | p99.9 | worst | heap calls a frame |\n|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for figures in &game.variants {
        let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        writeln!(
            out,
            "| {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.1} |",
            figures.variant,
            milliseconds(figures.p50_ns),
            milliseconds(figures.p90_ns),
            milliseconds(figures.p99_ns),
            milliseconds(figures.p999_ns),
            milliseconds(figures.worst_ns),
            figures.heap_calls_per_frame
        )
        .expect("a string");
    }
    out
}

/// Which bars hold.
pub(super) fn bars(verdicts: &[Verdict]) -> String {
    let mut out =
        String::from("| work | what is compared | measured | processes | bar | |\n|---|---|---:|---|---:|---|\n");
    for verdict in verdicts {
        let span = verdict.span.map_or_else(String::new, |(low, high)| format!("{low:.2} to {high:.2}"));
        let holds = if verdict.holds() { "holds" } else { "**missed**" };
        writeln!(
            out,
            "| {} | {} | {} | {span} | {} | {holds} |",
            verdict.what,
            verdict.pair,
            digits(verdict.figure),
            digits(verdict.at_most)
        )
        .expect("a string");
    }
    let missed = verdicts.iter().filter(|verdict| !verdict.holds()).count();
    writeln!(out, "\n{} of {} hold.", verdicts.len() - missed, verdicts.len()).expect("a string");
    out
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
