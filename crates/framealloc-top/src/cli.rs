//! The command line. A bad argument is one line on stderr and exit code 2.

use std::ffi::OsString;
use std::net::SocketAddr;

use clap::Parser;
use clap::error::ErrorKind;
use framealloc_budget::live;

/// Watches the frames of a running program that uses framealloc.
///
/// The program shows them with `Budget::serve_live`. Keys: ? in the view.
#[derive(Debug, Parser)]
#[command(name = "framealloc-top", version)]
pub(crate) struct Args {
    /// Where the program shows them
    #[arg(default_value_t = live::ADDRESS)]
    pub(crate) address: SocketAddr,
    /// Print one frame as text, and exit; with code 1 if there is none
    #[arg(long)]
    pub(crate) once: bool,
}

impl Args {
    /// Reads the command line.
    ///
    /// # Errors
    ///
    /// Text for the user and the exit code: 0 for help and the version, 2 for a mistake.
    pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, (String, u8)> {
        Self::try_parse_from(words).map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => (error.to_string().trim_end().to_owned(), 0),
            _ => (one_line(&error.to_string()), 2),
        })
    }
}

/// What clap says about the mistake, without the usage that follows after an empty line.
fn one_line(message: &str) -> String {
    let said: Vec<&str> = message.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Args, (String, u8)> {
        Args::read(["framealloc-top"].iter().chain(words).map(OsString::from))
    }

    #[test]
    fn the_address_is_that_of_a_live_view_unless_given() {
        let args = read(&[]).unwrap();
        assert_eq!((args.address, args.once), (live::ADDRESS, false));
        let args = read(&["[::1]:9", "--once"]).unwrap();
        assert_eq!((args.address.to_string().as_str(), args.once), ("[::1]:9", true));
    }

    #[test]
    fn help_and_version_are_no_mistakes() {
        for (word, part) in [("--help", "--once"), ("--version", env!("CARGO_PKG_VERSION"))] {
            let (text, code) = read(&[word]).unwrap_err();
            assert!(code == 0 && text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_one_line_and_code_2() {
        for mistake in [&["4627"][..], &["localhost"], &["--twice"], &["127.0.0.1:1", "127.0.0.1:2"]] {
            let (line, code) = read(mistake).unwrap_err();
            assert!(code == 2 && line.starts_with("error: ") && line.lines().count() == 1, "{line}");
        }
    }
}
