//! A headless Bevy game whose systems share lists of varying length, on several kinds of memory.
//!
//! Ten thousand bodies move on a torus. A broad phase sorts them into a grid; a narrow phase finds contacts, in tasks; each body looks around, in a
//! parallel query, and keeps the list; four systems read contacts and lists side by side; another parallel query steers. Frame 300 makes twenty
//! times the data. Each kind of memory is played in a process of its own, ten frames in turn; all must come to the same result.

#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]
#![expect(unreachable_pub, reason = "a program has no outside: `pub` means the module's face")]

mod cli;
mod clock;
mod game;
mod heap;
mod model;
mod overhead;
mod report;
mod variants;

use std::process::ExitCode;

use cli::{Args, Memory};
use game::{Outcome, play};
use meter::Player;
use report::Report;

#[global_allocator]
static HEAP: meter::Counting = meter::Counting;

fn main() -> ExitCode {
    let args = match Args::read(std::env::args()) {
        Ok(args) => args,
        Err((text, 0)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err((line, code)) => {
            eprintln!("{line}");
            return ExitCode::from(code);
        }
    };
    let result = if let (Some(updates), Some(plugins)) = (args.empty, args.plugins) {
        overhead::run_empty(plugins, updates);
        Ok(())
    } else if let Some(updates) = args.overhead {
        print!("{}", overhead::measure(updates));
        Ok(())
    } else if args.child {
        play_here(&args)
    } else {
        play_each(&args)
    };
    result.map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

/// The child: one variant, its outcome as JSON on stdout.
fn play_here(args: &Args) -> Result<(), String> {
    let [threads] = args.threads[..] else { return Err("a child plays with one number of threads".to_owned()) };
    if args.variant == Memory::All {
        return Err("a child plays one variant".to_owned());
    }
    let outcome = play(args.variant, &args.settings(threads), true)?;
    serde_json::to_writer(std::io::stdout().lock(), &outcome).map_err(|error| error.to_string())
}

/// The parent: every variant in a process of its own, in turns, then the next number of threads; then the report.
fn play_each(args: &Args) -> Result<(), String> {
    let mut report = Report::default();
    for &threads in &args.threads {
        let settings = args.settings(threads);
        let start = |variant| Player::<Memory, Outcome>::start(variant, args.of_child(variant, threads));
        let mut players = args.variant.variants().into_iter().map(start).collect::<Result<Vec<_>, _>>()?;
        let mut over = 0;
        while over < players.len() {
            for player in &mut players {
                let outcome = player.turn().map_err(|error| format!("{}: {error}", player.variant.name()))?;
                if let Some(outcome) = outcome {
                    report.add(player.variant, &settings, &outcome);
                    over += 1;
                }
            }
        }
    }
    report.set_overhead(overhead::measure(5_000).added());
    print!("{report}");
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(report.figures()).map_err(|error| error.to_string())?;
        std::fs::write(path, text + "\n").map_err(|error| format!("cannot write '{}': {error}", path.display()))?;
    }
    report.check()
}
