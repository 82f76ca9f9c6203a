//! The program: everything is in the library, where it is tested.

use std::process::ExitCode;

fn main() -> ExitCode {
    framealloc_top::run(std::env::args_os())
}
