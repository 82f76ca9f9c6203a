//! The command line. A bad argument is one line on stderr and exit code 2.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum, value_parser};
use framealloc::Budget;

use crate::game::Settings;

/// A headless game on real physics, played once on every kind of memory.
#[derive(Debug, Parser)]
#[command(name = "game")]
pub struct Args {
    /// Frames to play; the middle one bursts to twenty times the data
    #[arg(long, default_value_t = 600, value_parser = value_parser!(u32).range(1..))]
    frames: u32,
    /// Bodies that collide
    #[arg(long, default_value_t = 2_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    bodies: u32,
    /// Worker threads that build a frame
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u64).range(1..=64))]
    threads: u64,
    /// The same seed gives the same game
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The memory to play on
    #[arg(long, value_enum, default_value_t = Memory::All)]
    pub variant: Memory,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub books: Books,
    /// Instead of all that, play this many short frames on framealloc, with bursts and threads that come and go, and check
    /// that memory stays flat
    #[arg(long, value_name = "FRAMES", value_parser = value_parser!(u32).range(1_000..))]
    pub soak: Option<u32>,
    /// Play in this process and print what was seen, for the process that asked
    #[arg(long, hide = true)]
    pub child: bool,
}

/// What is noted of framealloc's frames.
#[derive(Debug, Default, clap::Args)]
pub struct Books {
    /// Hold framealloc to the budget in this file, TOML or JSON, and print what became of it; an empty one counts only
    #[arg(long, value_name = "FILE")]
    pub budget: Option<PathBuf>,
    /// Also write a page about framealloc's frames to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show framealloc's frames, as they end, at this address of this machine, such as 127.0.0.1:4627, to framealloc-top; 600 of
    /// them are over in half a minute
    #[arg(long, value_name = "ADDRESS", value_parser = own_address)]
    pub live: Option<SocketAddr>,
    /// Take a sample of framealloc's frame memory every so many bytes on average, such as 64KiB, and print which lines ask for it
    #[cfg(feature = "sample")]
    #[arg(long, value_name = "SIZE", value_parser = interval)]
    pub sample: Option<usize>,
}

#[cfg(feature = "sample")]
fn interval(text: &str) -> Result<usize, String> {
    let bytes = framealloc::bytes::parse(text)?;
    Budget::new().set_sampling(Some(framealloc::Sampling::every(bytes))).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// One of this machine alone, with a port.
fn own_address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "it is not an address and a port".to_owned())?;
    // A free port would be found by nobody.
    if !address.ip().is_loopback() || address.port() == 0 {
        return Err("frames are shown on this machine only: an address such as 127.0.0.1, and a port from 1".to_owned());
    }
    Ok(address)
}

impl Books {
    fn is_asked_for(&self) -> bool {
        #[cfg(feature = "sample")]
        let sampled = self.sample.is_some();
        #[cfg(not(feature = "sample"))]
        let sampled = false;
        self.budget.is_some() || self.html.is_some() || self.live.is_some() || sampled
    }

    /// The budget, without limits if only figures are asked for; `None` if nothing is.
    ///
    /// # Errors
    ///
    /// What is wrong with the budget's file.
    pub fn open(&self) -> Result<Option<Budget>, String> {
        let budget = match &self.budget {
            Some(path) => Some(Budget::load(path).map_err(|error| error.to_string())?),
            None => (self.is_asked_for() || cfg!(feature = "tracy")).then(Budget::new),
        };
        #[cfg(feature = "sample")]
        if let (Some(budget), Some(interval)) = (&budget, self.sample) {
            let sampling = framealloc::Sampling::every(interval);
            budget.set_sampling(Some(sampling)).map_err(|error| error.to_string())?;
        }
        Ok(budget)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Memory {
    All,
    Vec,
    Reuse,
    Bumpalo,
    Framealloc,
}

impl Memory {
    const EACH: [Self; 4] = [Self::Vec, Self::Reuse, Self::Bumpalo, Self::Framealloc];

    /// The variants to play.
    pub fn variants(self) -> Vec<Self> {
        if self == Self::All { Self::EACH.to_vec() } else { vec![self] }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Vec => "vec",
            Self::Reuse => "reuse",
            Self::Bumpalo => "bumpalo",
            Self::Framealloc => "framealloc",
        }
    }
}

impl Args {
    /// Reads and checks the command line.
    ///
    /// # Errors
    ///
    /// A line for the user and the exit code: 0 for help, 2 for a mistake.
    pub fn read(words: impl IntoIterator<Item = String>) -> Result<Self, (String, u8)> {
        let args: Self = meter::read_arguments(words)?;
        if args.books.is_asked_for() && (args.soak.is_some() || !args.variant.variants().contains(&Memory::Framealloc))
        {
            return Err((
                "error: '--budget', '--html', '--live' and '--sample' are for framealloc, which is not played"
                    .to_owned(),
                2,
            ));
        }
        // Read again by the process that plays; here for the mistakes in it.
        args.books.open().map_err(|error| (format!("error: {error}"), 2))?;
        for path in args.json.iter().chain(&args.books.html) {
            // Opened without truncating: an older file survives a game that fails.
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map_err(|error| (format!("error: cannot write '{}': {error}", path.display()), 2))?;
        }
        Ok(args)
    }

    /// What a process that plays one variant is started with.
    pub fn of_child(&self, variant: Memory) -> Vec<OsString> {
        let mut words: Vec<OsString> = ["--child", "--variant", variant.name()].map(OsString::from).into();
        let mut add = |flag: &str, value: OsString| words.extend([flag.into(), value]);
        for (flag, value) in [
            ("--frames", u64::from(self.frames)),
            ("--bodies", u64::from(self.bodies)),
            ("--threads", self.threads),
            ("--seed", self.seed),
        ] {
            add(flag, value.to_string().into());
        }
        if variant == Memory::Framealloc {
            let books = &self.books;
            for (flag, path) in [("--budget", &books.budget), ("--html", &books.html)] {
                if let Some(path) = path {
                    add(flag, path.into());
                }
            }
            if let Some(address) = books.live {
                add("--live", address.to_string().into());
            }
            #[cfg(feature = "sample")]
            if let Some(interval) = books.sample {
                add("--sample", interval.to_string().into());
            }
        }
        words
    }

    pub fn settings(&self) -> Settings {
        Settings { frames: self.frames, bodies: self.bodies, threads: self.threads as usize, seed: self.seed }
    }
}

#[cfg(test)]
mod tests {
    use super::{Args, Memory};

    fn read(words: &[&str]) -> Result<Args, (String, u8)> {
        Args::read(["game"].iter().chain(words).map(ToString::to_string))
    }

    #[test]
    fn the_defaults_are_the_main_job() {
        let args = read(&[]).unwrap();
        let settings = args.settings();
        assert_eq!((settings.frames, settings.bodies, settings.threads), (600, 2_000, 2));
        assert_eq!(args.variant.variants().len(), 4);
    }

    #[test]
    fn one_variant_can_be_asked_for() {
        assert_eq!(read(&["--variant", "reuse"]).unwrap().variant.variants(), [Memory::Reuse]);
    }

    #[test]
    fn a_mistake_is_one_line_and_code_2() {
        let missing = std::env::temp_dir().join("no-such-folder").join("out.json");
        let mistakes: [&[&str]; 16] = [
            &["--frames", "0"],
            &["--bodies", "0"],
            &["--threads", "0"],
            &["--threads", "65"],
            &["--variant", "gc"],
            &["--seed", "x"],
            &["--no-such-flag"],
            &["--soak", "999"],
            &["--soak", "2000", "--html", "page.html"],
            &["--variant", "vec", "--budget", "budget.toml"],
            &["--variant", "vec", "--live", "127.0.0.1:4627"],
            &["--live", "4627"],
            &["--live", "localhost"],
            &["--live", "0.0.0.0:4627"],
            &["--live", "127.0.0.1:0"],
            &["--json", missing.to_str().unwrap()],
        ];
        for mistake in mistakes {
            let (message, code) = read(mistake).unwrap_err();
            assert_eq!((code, message.lines().count()), (2, 1), "{mistake:?}: {message}");
            assert!(message.starts_with("error: "), "{message}");
        }
    }

    #[test]
    fn an_unknown_variant_names_the_known_ones() {
        assert!(read(&["--variant", "gc"]).unwrap_err().0.contains("all, vec, reuse, bumpalo, framealloc"));
    }
}
