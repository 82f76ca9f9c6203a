//! Everything the core does, on several threads at once, with a fixed number of operations: what sanitizers look at.
//!
//! Promises that every block keeps its content for as long as it lives, that every value is dropped once, and that the
//! figures add up; otherwise it panics. The same seed gives each thread the same choices; how threads interleave is left to the
//! machine.

#![expect(unreachable_pub, reason = "a program has no outside: `pub` means the module's face")]

mod board;
mod crew;
mod late;
mod parcel;
mod random;
mod rounds;
mod work;

use std::process::ExitCode;

use rounds::Settings;

const USAGE: &str = "usage: stress [--threads 1..64] [--frames N] [--seed N]";

fn settings(words: impl Iterator<Item = String>) -> Option<Settings> {
    let mut settings = Settings { threads: 4, frames: 100, seed: 1 };
    let mut words = words.skip(1);
    while let Some(word) = words.next() {
        let value: u64 = words.next()?.parse().ok()?;
        match word.as_str() {
            "--threads" => {
                settings.threads = usize::try_from(value).ok().filter(|threads| (1..=64).contains(threads))?;
            }
            "--frames" => settings.frames = value,
            "--seed" => settings.seed = value,
            _ => return None,
        }
    }
    Some(settings)
}

fn main() -> ExitCode {
    let Some(settings) = settings(std::env::args()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    println!("{}", rounds::play(&settings));
    ExitCode::SUCCESS
}
