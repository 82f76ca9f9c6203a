//! Watches the frames of a running program that uses framealloc, in a terminal.
//!
//! The program has a budget and [shows](framealloc_budget::Budget::serve_live) its frames:
//!
//! ```no_run
//! use framealloc_budget::{Budget, live};
//! let budget = Budget::new();
//! let _view = budget.serve_live(live::ADDRESS)?;
//! # Ok::<(), framealloc_budget::LiveError>(())
//! ```
//!
//! and `framealloc-top` on the same machine shows them: bytes of each tag against its limits, pressure, refusals, the worst frame, and how
//! it came to be so. When the program ends, it waits for the next one. `framealloc-top --once` prints one frame as text, for scripts.
//!
//! ```text
#![doc = include_str!("picture.txt")]
//! ```
//!
//! This library is that program's, for its `main` and its tests.

#![forbid(unsafe_code)]

mod cli;
mod client;
mod model;
mod once;
mod screen;
mod table;
mod view;

use std::ffi::OsString;
use std::process::ExitCode;

use cli::Args;

/// Runs the program with the words of its command line, the first of which is its name. Exit code 0 if all is well, 1 if there was nothing
/// to be shown, 2 for a mistake on the command line.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::read(words) {
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
    let result = if args.once { once::print(args.address) } else { screen::watch(args.address) };
    result.map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
