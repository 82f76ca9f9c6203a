//! A command line, whose mistakes are one line on stderr and exit code 2.

use clap::Parser;
use clap::error::ErrorKind;

/// Reads a command line.
///
/// # Errors
///
/// What to tell the user, and the exit code: 0 for help, 2 for a mistake, which is one line.
pub fn read_arguments<A: Parser>(words: impl IntoIterator<Item = String>) -> Result<A, (String, u8)> {
    A::try_parse_from(words).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp => (error.to_string().trim_end().to_owned(), 0),
        _ => (one_line(&error.to_string()), 2),
    })
}

/// What clap says about the mistake, without the usage that follows after an empty line.
fn one_line(message: &str) -> String {
    let said: Vec<&str> = message.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    said.join(" ")
}
