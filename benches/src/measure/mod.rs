//! How rows are measured: each kind of measurement in processes of its own, which the main one starts anew.

pub mod count;
pub mod counting;
pub mod debug;
pub mod game;
pub mod machine;
#[cfg(feature = "heaps")]
pub mod resident;
pub mod scaling;
pub mod time;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::row::Row;
pub use time::Effort;

/// All that was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Data {
    /// Where, when, with what.
    pub machine: machine::Machine,
    /// Times of optimised builds: a sample a process.
    pub times: Vec<time::Sample>,
    /// Instructions an operation, by row and contender.
    pub counts: BTreeMap<String, BTreeMap<String, f64>>,
    /// Times of the value rows in debug builds, by optimisation level.
    pub debug: BTreeMap<u8, Vec<time::Sample>>,
    /// Memory of the pools' programs.
    #[cfg(feature = "heaps")]
    pub resident: Vec<resident::Outcome>,
    /// The headless game.
    pub game: Option<game::Summary>,
    /// More threads than cores.
    pub scaling: Option<scaling::Scaling>,
    /// The value rows with and without the feature `count`.
    pub counting: Option<counting::Counting>,
}

impl Data {
    /// These figures with those of some rows in place of the old ones.
    #[must_use]
    pub fn updated(mut self, newer: Self) -> Self {
        for sample in &mut self.times {
            sample.rows.retain(|row, _| newer.times.iter().all(|newer| !newer.rows.contains_key(row)));
        }
        self.times.resize_with(self.times.len().max(newer.times.len()), time::Sample::default);
        for (sample, newer) in self.times.iter_mut().zip(newer.times) {
            sample.rows.extend(newer.rows);
        }
        self.counts.extend(newer.counts);
        #[cfg(feature = "heaps")]
        if !newer.resident.is_empty() {
            self.resident = newer.resident;
        }
        self.machine = newer.machine;
        self
    }
}

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Processes each row is timed in.
    pub processes: usize,
    /// What each process spends on a row.
    pub effort: Effort,
    /// The same for debug builds.
    pub debug_processes: usize,
    /// Optimisation levels of debug builds.
    pub debug_levels: &'static [u8],
    /// Frames of the game.
    pub game_frames: u32,
}

impl Plan {
    /// For the page.
    #[must_use]
    pub const fn full(processes: usize) -> Self {
        let effort = Effort { rounds: 15, slice: std::time::Duration::from_millis(2) };
        Self { processes, effort, debug_processes: 5, debug_levels: &[0, 1], game_frames: 10_000 }
    }

    /// To see that everything still works.
    #[must_use]
    pub const fn short() -> Self {
        let effort = Effort { rounds: 3, slice: std::time::Duration::from_micros(500) };
        Self { processes: 1, effort, debug_processes: 1, debug_levels: &[0], game_frames: 60 }
    }
}

/// The rows that are named by id or group; all of them if none is.
///
/// # Errors
///
/// Names what is no row and no group.
pub fn select(names: &[String]) -> Result<Vec<Row>, String> {
    let rows = crate::rows();
    if let Some(name) = names.iter().find(|name| !rows.iter().any(|row| row.is_called(name))) {
        let known: Vec<&str> =
            crate::Group::ALL.iter().map(|group| group.name()).chain(rows.iter().map(|row| row.id)).collect();
        return Err(format!("there is no row or group \"{name}\"; there are {}", known.join(", ")));
    }
    Ok(rows.into_iter().filter(|row| names.is_empty() || names.iter().any(|name| row.is_called(name))).collect())
}

/// Everything that the plan asks for, of the rows named.
///
/// # Errors
///
/// What could not be started, or has failed.
pub fn everything(plan: &Plan, names: &[String]) -> Result<Data, String> {
    let rows = select(names)?;
    let mut data = Data { machine: machine::Machine::look()?, ..Data::default() };
    for process in 0..plan.processes {
        say(&format!("times, process {} of {}", process + 1, plan.processes));
        data.times.push(time::in_a_process(&this(), names, plan.effort)?);
    }
    say("instructions");
    data.counts = count::rows(&rows)?;
    #[cfg(feature = "heaps")]
    if names.is_empty() || names.iter().any(|name| name == crate::Group::Pools.name()) {
        say("memory of pools");
        data.resident = resident::outcomes()?;
    }
    if names.is_empty() {
        for &level in plan.debug_levels {
            say(&format!("debug build, opt-level {level}"));
            data.debug.insert(level, debug::samples(level, plan)?);
        }
        say(&format!("the headless game, {} frames", plan.game_frames));
        data.game = Some(game::play(plan.game_frames)?);
        say("more threads than cores");
        data.scaling = Some(scaling::outcome(plan.effort)?);
        say("the feature count");
        data.counting = Some(counting::samples(plan)?);
    }
    Ok(data)
}

/// What a child process does, and prints as JSON.
///
/// # Errors
///
/// If there is no such task or row.
pub fn child(what: &str, names: &[String], effort: Effort) -> Result<(), String> {
    match what {
        "time" => {
            let rows = select(names)?;
            let sample =
                time::Sample { rows: rows.iter().map(|row| (row.id.to_owned(), time::row(row, effort))).collect() };
            print_json(&sample)
        }
        "count" => print_json(&count::child(&select(names)?)),
        "scaling" => print_json(&scaling::child(effort)),
        #[cfg(feature = "heaps")]
        "resident" => print_json(&resident::child(names)?),
        _ => Err(format!("no such measurement: {what}")),
    }
}

fn print_json(value: &impl Serialize) -> Result<(), String> {
    println!("{}", serde_json::to_string(value).map_err(|error| error.to_string())?);
    Ok(())
}

/// This program, to be started once more.
fn this() -> Command {
    Command::new(std::env::current_exe().expect("a running program has a path"))
}

fn say(what: &str) {
    eprintln!("... {what}");
}

/// Runs a command, and reads the last line it prints.
fn last_line<T: DeserializeOwned>(command: &mut Command) -> Result<T, String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().ok_or_else(|| format!("{command:?} printed nothing"))?;
    serde_json::from_str(line).map_err(|error| format!("{command:?}: {error}"))
}

/// Cargo, in the workspace.
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo
}

/// Runs a command whose output nobody reads.
fn run(command: &mut Command) -> Result<(), String> {
    let status = command.stdout(Stdio::null()).status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}
