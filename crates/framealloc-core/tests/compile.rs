//! Programs that must not compile, each beside a twin, one line apart, that compiles and runs.

#![cfg(all(feature = "std", not(miri)))]

#[path = "compile/harness.rs"]
mod harness;

#[test]
fn assertions_fail_and_twins_run() {
    let cases = trybuild::TestCases::new();
    harness::must_fail(&cases, true);
    cases.pass("tests/compile/twins.rs");
}
