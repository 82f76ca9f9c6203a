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
use std::path::{Path, PathBuf};
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
    /// These figures with newer ones in place of the old.
    ///
    /// # Errors
    ///
    /// If they are of another processor or compiler.
    pub fn updated(mut self, newer: Self) -> Result<Self, String> {
        let (was, is) = (&self.machine, &newer.machine);
        for (was, is) in [(&was.processor, &is.processor), (&was.caches, &is.caches), (&was.rustc, &is.rustc)] {
            if was != is {
                return Err(format!(
                    "the other rows were measured with \"{was}\", these with \"{is}\": measure all of them"
                ));
            }
        }
        for sample in &mut self.times {
            sample.rows.retain(|row, _| newer.times.iter().all(|newer| !newer.rows.contains_key(row)));
        }
        self.times.resize_with(self.times.len().max(newer.times.len()), time::Sample::default);
        for (sample, newer) in self.times.iter_mut().zip(newer.times) {
            sample.rows.extend(newer.rows);
        }
        self.counts.extend(newer.counts);
        self.debug.extend(newer.debug);
        #[cfg(feature = "heaps")]
        if !newer.resident.is_empty() {
            self.resident = newer.resident;
        }
        self.game = newer.game.or(self.game);
        self.scaling = newer.scaling.or(self.scaling);
        self.counting = newer.counting.or(self.counting);
        self.machine = newer.machine;
        Ok(self)
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
    /// Optimisation level of the builds with and without `count`.
    pub count_level: u8,
    /// Frames of the game; none if it is not played, since its physics takes minutes to build.
    pub game_frames: u32,
}

impl Plan {
    /// For the page.
    #[must_use]
    pub const fn full(processes: usize) -> Self {
        let effort = Effort { rounds: 15, slice: std::time::Duration::from_millis(2) };
        Self { processes, effort, debug_processes: 5, debug_levels: &[0, 1], count_level: 3, game_frames: 10_000 }
    }

    /// To see that everything still works.
    #[must_use]
    pub const fn short() -> Self {
        let effort = Effort { rounds: 3, slice: std::time::Duration::from_micros(500) };
        Self { processes: 1, effort, debug_processes: 1, debug_levels: &[0], count_level: 0, game_frames: 0 }
    }
}

/// What is measured beside the rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Memory of the pools' programs.
    #[cfg(feature = "heaps")]
    Memory,
    /// The value rows in debug builds.
    Debug,
    /// The value rows with and without the feature `count`.
    Count,
    /// The headless game.
    Game,
    /// More threads than cores.
    Scaling,
}

impl Part {
    /// All of them, in the order of the page.
    pub const ALL: &[Self] = &[
        #[cfg(feature = "heaps")]
        Self::Memory,
        Self::Debug,
        Self::Count,
        Self::Game,
        Self::Scaling,
    ];

    /// As on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "heaps")]
            Self::Memory => "memory",
            Self::Debug => "debug",
            Self::Count => "count",
            Self::Game => "game",
            Self::Scaling => "scaling",
        }
    }

    fn measure(self, plan: &Plan, data: &mut Data) -> Result<(), String> {
        match self {
            #[cfg(feature = "heaps")]
            Self::Memory => {
                say("memory of pools");
                data.resident = resident::outcomes()?;
            }
            Self::Debug => {
                for &level in plan.debug_levels {
                    say(&format!("debug build, opt-level {level}"));
                    data.debug.insert(level, debug::samples(level, plan)?);
                }
            }
            Self::Count => {
                say("the feature count");
                data.counting = Some(counting::samples(plan)?);
            }
            Self::Game if plan.game_frames == 0 => say("not the headless game, which its own tests play"),
            Self::Game => {
                say(&format!("the headless game, {} frames", plan.game_frames));
                data.game = Some(game::play(plan.game_frames)?);
            }
            Self::Scaling => {
                say("more threads than cores");
                data.scaling = Some(scaling::outcome(plan.effort)?);
            }
        }
        Ok(())
    }
}

/// What was asked for.
pub struct Selection {
    /// The rows, in the order of the page.
    pub rows: Vec<Row>,
    /// What is measured beside them.
    pub parts: Vec<Part>,
}

impl Selection {
    /// What is named: rows by id or group, and parts. Everything if nothing is.
    ///
    /// # Errors
    ///
    /// Names what is none of these, or a bar that is about nobody.
    pub fn of(names: &[String]) -> Result<Self, String> {
        let (mut rows, mut parts) = (crate::rows(), Part::ALL.to_vec());
        rows.iter().try_for_each(Row::check)?;
        let is_known =
            |name: &String| rows.iter().any(|row| row.is_called(name)) || parts.iter().any(|part| part.name() == name);
        if let Some(name) = names.iter().find(|name| !is_known(name)) {
            let groups = crate::Group::ALL.iter().map(|group| group.name());
            let known = groups.chain(Part::ALL.iter().map(|part| part.name())).chain(rows.iter().map(|row| row.id));
            let known: Vec<&str> = known.collect();
            return Err(format!("nothing is called \"{name}\"; there are {}", known.join(", ")));
        }
        if !names.is_empty() {
            rows.retain(|row| names.iter().any(|name| row.is_called(name)));
            parts.retain(|part| names.iter().any(|name| part.name() == name));
        }
        Ok(Self { rows, parts })
    }
}

/// What the plan asks for, of what is named; everything if nothing is.
///
/// # Errors
///
/// What could not be started, or has failed.
pub fn everything(plan: &Plan, names: &[String]) -> Result<Data, String> {
    let Selection { rows, parts } = Selection::of(names)?;
    let mut data = Data { machine: machine::Machine::look()?, ..Data::default() };
    if !rows.is_empty() {
        let ids: Vec<String> = rows.iter().map(|row| row.id.to_owned()).collect();
        for process in 0..plan.processes {
            say(&format!("times, process {} of {}", process + 1, plan.processes));
            data.times.push(time::in_a_process(&this(), &ids, plan.effort)?);
        }
        say("instructions");
        data.counts = count::rows(&rows)?;
    }
    for part in parts {
        part.measure(plan, &mut data)?;
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
            let rows = Selection::of(names)?.rows;
            let sample =
                time::Sample { rows: rows.iter().map(|row| (row.id.to_owned(), time::row(row, effort))).collect() };
            print_json(&sample)
        }
        "count" => print_json(&count::child(&Selection::of(names)?.rows)),
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

/// The folder that builds go to.
fn target() -> PathBuf {
    let own = || concat!(env!("CARGO_MANIFEST_DIR"), "/../target").into();
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(own, PathBuf::from)
}

/// Keeps a program that was built: the next build of the same folder may be of other features.
fn keep(program: &Path, name: &str) -> Result<Command, String> {
    let kept = program.with_file_name(format!("benches-{name}"));
    std::fs::copy(program, &kept).map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(Command::new(kept))
}

/// Runs a command whose output nobody reads.
fn run(command: &mut Command) -> Result<(), String> {
    let status = command.stdout(Stdio::null()).status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured_on(processor: &str, instructions: f64) -> Data {
        let machine = machine::Machine { processor: processor.to_owned(), ..machine::Machine::default() };
        let counts = BTreeMap::from([("row".to_owned(), BTreeMap::from([("who".to_owned(), instructions)]))]);
        Data { machine, counts, ..Data::default() }
    }

    #[test]
    fn figures_of_another_processor_are_not_mixed_in() {
        let error = measured_on("one", 1.0).updated(measured_on("another", 2.0)).unwrap_err();
        assert!(error.contains("\"one\"") && error.contains("\"another\""), "{error}");
        let same = measured_on("one", 1.0).updated(measured_on("one", 2.0)).unwrap();
        assert_eq!(same.counts["row"]["who"], 2.0);
    }
}
