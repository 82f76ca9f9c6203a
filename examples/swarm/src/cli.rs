//! The command line. A bad argument is one line on stderr and exit code 2.

use std::path::PathBuf;

use clap::{Parser, ValueEnum, value_parser};

use crate::game::Settings;

/// A headless Bevy game, played once on every kind of memory.
#[derive(Debug, Parser)]
#[command(name = "swarm")]
pub struct Args {
    /// Frames to play; frame 300 bursts to twenty times the data, and 300 later it should be forgotten
    #[arg(long, default_value_t = 1_200, value_parser = value_parser!(u32).range(1..))]
    frames: u32,
    /// Bodies that move
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(100..=1_000_000))]
    bodies: u32,
    /// Compute threads, beside the main one; several numbers are several games
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4], value_parser = value_parser!(u64).range(1..=64))]
    pub threads: Vec<u64>,
    /// The same seed gives the same game
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The memory to play on
    #[arg(long, value_enum, default_value_t = Memory::All)]
    pub variant: Memory,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Instead of all that, update an app without systems so many times, with and without the plugins, and print what they cost
    #[arg(long, value_name = "UPDATES", value_parser = value_parser!(u32).range(1_000..))]
    pub overhead: Option<u32>,
    /// Update one app without systems so many times, for a counter of instructions
    #[arg(long, value_name = "UPDATES", requires = "plugins")]
    pub empty: Option<u32>,
    /// What is in that app
    #[arg(long, value_enum, requires = "empty")]
    pub plugins: Option<Plugins>,
    /// Play in this process and print what was seen, for the process that asked
    #[arg(long, hide = true)]
    pub child: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Memory {
    All,
    Vec,
    Local,
    Shrunk,
    Parallel,
    Framealloc,
}

impl Memory {
    const EACH: [Self; 5] = [Self::Vec, Self::Local, Self::Shrunk, Self::Parallel, Self::Framealloc];

    /// The variants to play.
    pub fn variants(self) -> Vec<Self> {
        if self == Self::All { Self::EACH.to_vec() } else { vec![self] }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Vec => "vec",
            Self::Local => "local",
            Self::Shrunk => "shrunk",
            Self::Parallel => "parallel",
            Self::Framealloc => "framealloc",
        }
    }

    /// What the table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Vec => "`Vec`s, fresh",
            Self::Local => "`Vec`s, kept",
            Self::Shrunk => "`Vec`s, kept, shrunk by hand",
            Self::Parallel => "`Parallel<Vec>`s, kept",
            Self::Framealloc => "`FrameMemory`",
        }
    }
}

/// What an app without systems has beside Bevy's minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Plugins {
    None,
    /// Frames that are updates
    Update,
    /// Frames that are updates, without diagnostics to write to
    Quiet,
}

impl Args {
    /// Reads and checks the command line.
    ///
    /// # Errors
    ///
    /// A line for the user and the exit code: 0 for help, 2 for a mistake.
    pub fn read(words: impl IntoIterator<Item = String>) -> Result<Self, (String, u8)> {
        meter::read_arguments(words)
    }

    pub fn settings(&self, threads: u64) -> Settings {
        Settings { frames: self.frames, bodies: self.bodies, threads: threads as usize, seed: self.seed }
    }

    /// What a process that plays one variant is started with.
    pub fn of_child(&self, variant: Memory, threads: u64) -> Vec<String> {
        let mut words: Vec<String> = ["--child", "--variant", variant.name()].map(String::from).into();
        let Self { frames, bodies, seed, .. } = self;
        let values = [u64::from(*frames), u64::from(*bodies), threads, *seed];
        for (flag, value) in ["--frames", "--bodies", "--threads", "--seed"].into_iter().zip(values) {
            words.extend([flag.to_owned(), value.to_string()]);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::{Args, Memory};

    fn read(words: &[&str]) -> Result<Args, (String, u8)> {
        Args::read(["swarm"].iter().chain(words).map(ToString::to_string))
    }

    #[test]
    fn the_defaults_are_the_measured_game() {
        let args = read(&[]).unwrap();
        let settings = args.settings(2);
        assert_eq!((settings.frames, settings.bodies, settings.threads), (1_200, 10_000, 2));
        assert_eq!((args.threads.as_slice(), args.variant.variants().len()), (&[1, 2, 4][..], 5));
        let child = read(&args.of_child(Memory::Local, 4).iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!((child.settings(child.threads[0]).threads, child.variant), (4, Memory::Local));
    }

    #[test]
    fn a_mistake_is_one_line_and_code_2() {
        let mistakes: [&[&str]; 8] = [
            &["--frames", "0"],
            &["--bodies", "99"],
            &["--threads", "0"],
            &["--threads", "1,65"],
            &["--variant", "gc"],
            &["--overhead", "1"],
            &["--empty", "10"],
            &["--no-such-flag"],
        ];
        for mistake in mistakes {
            let (message, code) = read(mistake).unwrap_err();
            assert_eq!((code, message.lines().count()), (2, 1), "{mistake:?}: {message}");
            assert!(message.starts_with("error: "), "{message}");
        }
    }
}
