//! What the page says of the figures: which bars hold, tables, plots.

mod page;
mod plots;
mod tables;
mod verdicts;

use std::io::{self, Write};
use std::path::Path;

use crate::measure::{self, Data};

/// Writes `docs/performance.md` and its plots.
///
/// # Errors
///
/// If a file cannot be read or written, or the page's text asks for something that was not measured.
pub fn write(root: &Path, data: &Data) -> Result<(), String> {
    let rows = measure::select(&[])?;
    let docs = root.join("docs");
    plots::write(&docs.join("performance"), &rows, data)?;
    let source = root.join("benches").join("page.md");
    let text = std::fs::read_to_string(&source).map_err(|error| format!("{}: {error}", source.display()))?;
    let page = page::fill(&text, &rows, data)?;
    let target = docs.join("performance.md");
    std::fs::write(&target, page).map_err(|error| format!("{}: {error}", target.display()))
}

/// Prints all tables of what was measured, and the bars.
///
/// # Errors
///
/// If it cannot be written.
pub fn print(data: &Data, out: &mut impl Write) -> io::Result<()> {
    let rows = measure::select(&[]).map_err(io::Error::other)?;
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
    writeln!(out, "{}", tables::bars(&verdicts::all(&rows, data)))
}
