//! Instructions: one warm pass of each contender under callgrind, which counts between entering and leaving [`counted`].

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::row::{Pass, Row};

/// Reserves more address space than there is under valgrind, and ends the process.
const UNCOUNTED: &str = "snmalloc";

/// What the child has run, in this order: a dump each.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order(Vec<(String, String)>);

/// Runs every contender of the rows once, counted, after two passes that are not.
#[must_use]
pub fn child(rows: &[Row]) -> Order {
    let mut order = Vec::new();
    for row in rows.iter().filter(|row| row.group.is_counted()) {
        for contender in row.contenders.iter().filter(|contender| contender.name != UNCOUNTED) {
            let mut pass = (contender.start)();
            pass();
            pass();
            // SAFETY: an ordinary function, exported by a name that callgrind is told.
            unsafe { benches_counted(&mut pass) };
            order.push((row.id.to_owned(), contender.name.to_owned()));
        }
    }
    Order(order)
}

/// What callgrind is told to count in.
///
/// # Safety
///
/// None is asked for: only its name is not mangled.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "Rust" fn benches_counted(pass: &mut Pass) {
    std::hint::black_box(pass());
}

/// Instructions an operation, by row and contender.
///
/// # Errors
///
/// If valgrind is not there, or fails.
pub fn rows(rows: &[Row]) -> Result<BTreeMap<String, BTreeMap<String, f64>>, String> {
    let counted: Vec<&Row> = rows.iter().filter(|row| row.group.is_counted()).collect();
    let mut counts = BTreeMap::new();
    if counted.is_empty() {
        return Ok(counts);
    }
    let folder = std::env::temp_dir().join(format!("framealloc-counts-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let result = dump(&folder, &counted);
    let order = result.and_then(|order| {
        for (number, (id, contender)) in (1..).zip(order.0) {
            let total = total(&folder.join(format!("out.{number}")))?;
            let row = counted.iter().find(|row| row.id == id).ok_or("a row that was not asked for")?;
            let count = total as f64 / row.operations as f64;
            counts.entry(id).or_insert_with(BTreeMap::new).insert(contender, count);
        }
        Ok(counts)
    });
    std::fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    order
}

fn dump(folder: &Path, rows: &[&Row]) -> Result<Order, String> {
    let program = super::this();
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", "--collect-atstart=no", "--toggle-collect=benches_counted"]);
    command
        .args(["--dump-after=benches_counted", "--zero-before=benches_start_over"])
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()));
    command.arg(program.get_program()).args(["--child", "count"]).args(rows.iter().map(|row| row.id));
    super::last_line(&mut command)
}

/// The total of one dump.
fn total(file: &Path) -> Result<u64, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    line.and_then(|line| line.trim().parse().ok()).ok_or_else(|| format!("{} has no total", file.display()))
}
