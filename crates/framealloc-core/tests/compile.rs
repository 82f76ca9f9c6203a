//! Programs that must not compile, each beside a twin, one line apart, that compiles and runs.

#![cfg(all(feature = "std", not(miri)))]

#[path = "compile/harness.rs"]
mod harness;

use harness::{Program, programs, read};

/// A `const` assertion in a generic function, which only building evaluates; all others are found by checking.
const ASSERTION: &str = "E0080";

/// Adds the programs that only building shows to be wrong, or the others, to those that must not compile.
fn must_fail(cases: &trybuild::TestCases, assertions: bool) {
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
fn assertions_fail_and_twins_run() {
    let cases = trybuild::TestCases::new();
    must_fail(&cases, true);
    cases.pass("tests/compile/twins.rs");
}
