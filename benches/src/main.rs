//! Measures everything and rewrites `docs/performance.md`: `cargo performance`, in the workspace's root.
//!
//! That is an alias (`.cargo/config.toml`) of a release build whose loops lie where `placement.toml` has them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use benches::measure::{self, Data, Effort, Plan};
use benches::report;
use clap::Parser;

/// framealloc against its peers: times, instructions, memory.
#[derive(Debug, Parser)]
#[command(name = "benches")]
struct Args {
    /// Measure only these rows, groups or parts (memory, debug, count, game, scaling), and print what comes out instead of
    /// writing the page
    names: Vec<String>,
    /// Everything once, in under three minutes: that it works, and that bars hold whose figures are the same in each run
    #[arg(long, conflicts_with = "names")]
    short: bool,
    /// Processes that each row is timed in
    #[arg(long, default_value_t = 7)]
    processes: usize,
    /// With names: put their figures in place of the last run's, and write the page again
    #[arg(long)]
    update: bool,
    /// Write the page of the last run's figures again, without measuring
    #[arg(long)]
    render: bool,
    /// Measure for the process that asked
    #[arg(long, hide = true, value_name = "WHAT")]
    child: Option<String>,
    /// Rounds a process, for the child
    #[arg(long, hide = true, default_value_t = 15)]
    rounds: usize,
    /// Microseconds a contender has in a round, for the child
    #[arg(long, hide = true, default_value_t = 2_000)]
    slice_us: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let effort = Effort { rounds: args.rounds, slice: Duration::from_micros(args.slice_us) };
    if let Some(what) = &args.child {
        return measure::child(what, &args.names, effort);
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let (docs, target) = (root.join("docs"), root.join("target"));
    let cache = target.join("performance.json");
    if args.render {
        return report::write(&docs, &kept(&cache)?);
    }
    let start = Instant::now();
    let plan = if args.short { Plan::short() } else { Plan::full(args.processes) };
    let data = measure::everything(&plan, &args.names)?;
    report::print(&data, &mut std::io::stdout().lock()).map_err(|error| error.to_string())?;
    if args.short {
        // The whole way, but to where nobody reads it, and nothing lies that an earlier run wrote.
        let page = target.join("short");
        if page.exists() {
            std::fs::remove_dir_all(&page).map_err(|error| format!("{}: {error}", page.display()))?;
        }
        report::write(&page, &data)?;
        println!("measured in {} s, builds of other kinds included", start.elapsed().as_secs());
        return report::judge(&data);
    }
    if !args.names.is_empty() && !args.update {
        return Ok(());
    }
    let data = if args.names.is_empty() { data } else { kept(&cache)?.updated(data)? };
    keep(&cache, &data)?;
    report::write(&docs, &data)
}

fn kept(cache: &std::path::Path) -> Result<Data, String> {
    let text = std::fs::read_to_string(cache).map_err(|error| format!("no figures of an earlier run: {error}"))?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn keep(cache: &std::path::Path, data: &Data) -> Result<(), String> {
    let text = serde_json::to_string(data).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(cache.parent().expect("a file in a folder")).map_err(|error| error.to_string())?;
    std::fs::write(cache, text).map_err(|error| format!("{}: {error}", cache.display()))
}
