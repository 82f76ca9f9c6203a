//! Programs that must not compile: each lies in a folder beside its twin, `fail.rs` and `pass.rs`, one line apart.
//!
//! The first line of each `fail.rs` says which error is meant, and perhaps words of its text: a program that fails for
//! another reason, or in another line than the one its twin lacks, has not tested anything.

use std::fs;
use std::path::Path;

pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compile");

pub(crate) struct Program {
    pub(crate) name: String,
    /// The error's code, or the beginning of its text if it has none.
    pub(crate) code: String,
    /// Words of its text.
    pub(crate) says: String,
    fail: Vec<String>,
    pass: Vec<String>,
}

pub(crate) fn read(name: &str, file: &str) -> String {
    let path = Path::new(ROOT).join(name).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn programs() -> Vec<Program> {
    let folders = fs::read_dir(ROOT).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut names: Vec<_> = folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    let lines = |text: String| text.lines().map(String::from).collect::<Vec<_>>();
    let parse = |name: String| {
        let (mut fail, pass) = (lines(read(&name, "fail.rs")), lines(read(&name, "pass.rs")));
        let header = fail.remove(0);
        let meant = header.strip_prefix("// error: ").unwrap_or_else(|| panic!("{name}/fail.rs names no error"));
        let (code, says) = match meant.split_once(' ') {
            Some((code, says)) if code.starts_with('E') => (code.to_owned(), says.to_owned()),
            _ => (meant.to_owned(), String::new()),
        };
        Program { name, code, says, fail, pass }
    };
    names.into_iter().map(parse).collect()
}

impl Program {
    /// The line that only `fail.rs` has, or has in another place; `None` if it lacks one of its twin's.
    pub(crate) fn odd_line(&self) -> Option<&str> {
        let (mut fail, mut pass) = (&self.fail[..], &self.pass[..]);
        while !fail.is_empty() && fail.first() == pass.first() {
            (fail, pass) = (&fail[1..], &pass[1..]);
        }
        while !fail.is_empty() && fail.last() == pass.last() {
            (fail, pass) = (&fail[..fail.len() - 1], &pass[..pass.len() - 1]);
        }
        match (fail, pass) {
            ([], [_]) => None,
            ([odd], [] | [_]) => Some(odd),
            ([kept @ .., odd], [_, moved @ ..]) | ([odd, kept @ ..], [moved @ .., _]) if kept == moved => Some(odd),
            _ => panic!("{}: the twins are more than a line apart:\n{fail:#?}\n{pass:#?}", self.name),
        }
    }
}

#[test]
fn every_twin_is_run() {
    let twins = fs::read_to_string(Path::new(ROOT).join("twins.rs")).unwrap();
    let list = twins.split_once("twins! {").unwrap().1;
    let listed: Vec<_> = list.split_whitespace().filter(|name| *name != "}").collect();
    let names: Vec<_> = programs().into_iter().map(|program| program.name).collect();
    assert_eq!(listed, names);
}
