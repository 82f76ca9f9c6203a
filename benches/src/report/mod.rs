//! What the page says of the figures: which bars hold, tables, plots.

mod arguments;
mod complete;
mod judgement;
mod page;
mod plots;
mod tables;
mod verdicts;

use std::io::{self, Write};
use std::path::Path;

use crate::measure::Data;
use crate::measure::machine::Machine;
use crate::row::Row;

/// Writes `performance.md` and its plots into a folder, and looks whether all that was to be measured is there.
///
/// # Errors
///
/// If a file cannot be read or written, the page's text asks for something that was not measured, or something is missing.
pub fn write(folder: &Path, data: &Data) -> Result<(), String> {
    let rows = crate::rows();
    plots::write(&folder.join("performance"), &rows, data)?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("page.md");
    let page = page::fill(&read(&source)?, &rows, data)?;
    let target = folder.join("performance.md");
    std::fs::write(&target, page).map_err(|error| format!("{}: {error}", target.display()))?;
    complete::check(folder, &rows)
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Says which arguments are spare, and refuses bars that are missed without one, where figures are the same in each run.
///
/// # Errors
///
/// A line for each bar that is missed, and for each argument about none.
pub fn judge(data: &Data) -> Result<(), String> {
    let verdicts: Vec<_> = verdicts::all(&crate::rows(), data);
    let mut faults = judgement::faults(arguments::ALL, &verdicts);
    let stray = judgement::stray(arguments::ALL, &verdicts).filter(|it| data.game.is_some() || !it.is_of_the_game());
    faults.extend(stray.map(|it| format!("an argument about no bar: {}", it.name())));
    let judged: Vec<_> = verdicts.into_iter().filter(|verdict| verdict.repeats).collect();
    for argument in judgement::spare(arguments::ALL, &judged) {
        eprintln!("holds now: take the argument out: {}", argument.name());
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// A row's work, with a word where threads wait for each other's cores.
fn work(row: &Row, machine: &Machine) -> String {
    let more = if row.threads() > machine.cores { " (more threads than cores)" } else { "" };
    format!("{}{more}", row.work)
}

/// Prints all tables of what was measured, and the bars.
///
/// # Errors
///
/// If it cannot be written.
pub fn print(data: &Data, out: &mut impl Write) -> io::Result<()> {
    let rows = crate::rows();
    for row in rows.iter().filter(|row| data.times.iter().any(|sample| sample.rows.contains_key(row.id))) {
        writeln!(out, "{}", tables::row(row, data))?;
    }
    if !data.debug.is_empty() {
        writeln!(out, "{}", tables::debug(&rows, data))?;
    }
    #[cfg(feature = "heaps")]
    if !data.resident.is_empty() {
        writeln!(out, "{}", tables::resident(data))?;
    }
    if let Some(game) = &data.game {
        writeln!(out, "{}", tables::game(game))?;
    }
    if let Some(scaling) = &data.scaling {
        writeln!(out, "{}", tables::scaling(&rows, data, scaling))?;
    }
    if let Some(counting) = &data.counting {
        writeln!(out, "{}", tables::counting(&rows, counting))?;
    }
    let verdicts = verdicts::all(&rows, data);
    if !verdicts.is_empty() {
        writeln!(out, "{}\n{}", tables::bars(&verdicts), tables::misses(&verdicts))?;
    }
    Ok(())
}
