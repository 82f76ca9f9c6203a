//! The harness of programs that must not compile: each lies in a folder beside its twin, `fail.rs` and `pass.rs`, one line apart.
//!
//! The first line of each `fail.rs` says which error is meant, and perhaps words of its text: a program that fails for
//! another reason, or in another line than the one its twin lacks, has not tested anything.

use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compile");

/// A `const` assertion in a generic function, which only building evaluates; all others are found by checking.
const ASSERTION: &str = "E0080";

struct Program {
    name: String,
    /// The error's code, or the beginning of its text if it has none.
    code: String,
    /// Words of its text.
    says: String,
    fail: Vec<String>,
    pass: Vec<String>,
}

fn read(name: &str, file: &str) -> String {
    let path = Path::new(ROOT).join(name).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn programs() -> Vec<Program> {
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
    fn odd_line(&self) -> Option<&str> {
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

/// Adds the programs that only building shows to be wrong, or the others, to those that must not compile.
pub(crate) fn must_fail(cases: &trybuild::TestCases, assertions: bool) {
    for program in programs().iter().filter(|program| (program.code == ASSERTION) == assertions) {
        cases.compile_fail(format!("tests/compile/{}/fail.rs", program.name));
    }
}

#[test]
fn programs_do_not_compile() {
    must_fail(&trybuild::TestCases::new(), false);
}

#[test]
fn programs_fail_for_the_reason_meant() {
    for program in programs() {
        let Program { name, code, says, .. } = &program;
        let text = read(name, "fail.stderr");
        let errors: Vec<_> = text.lines().filter(|line| line.starts_with("error")).collect();
        let prefix = if code.starts_with('E') { format!("error[{code}]: ") } else { format!("error: {code}") };
        assert!(!errors.is_empty(), "{name}: no error");
        assert!(
            errors.iter().all(|error| error.starts_with(&prefix)),
            "{name}: {code} was meant, and found {errors:#?}"
        );
        assert!(text.contains(says.as_str()), "{name}: no error says {says:?}");
        if let Some(odd) = program.odd_line().filter(|_| code != ASSERTION) {
            assert!(text.contains(odd.trim()), "{name}: the error is not about the line {odd:?}");
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
