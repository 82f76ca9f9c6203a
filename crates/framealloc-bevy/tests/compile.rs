//! Programs that must not compile: frame memory where Bevy keeps things for longer. Each beside a twin, one line apart, that compiles and runs.
//!
//! The failing ones are tests of this crate's documentation (`src/lib.rs`): there they need no build of Bevy of their own. On a nightly toolchain
//! their errors' codes are looked at as well.

#[path = "../../framealloc-core/tests/compile/harness.rs"]
mod harness;
#[path = "compile/twins.rs"]
mod twins;

use harness::{Program, ROOT, programs, read};

#[test]
fn each_is_a_line_from_its_twin_and_a_test_of_the_documentation() {
    let source = std::fs::read_to_string(std::path::Path::new(ROOT).join("../../src/misuse.rs")).unwrap();
    for program in programs() {
        let Program { name, code, says, .. } = &program;
        assert!(program.odd_line().is_some(), "{name}: its twin lacks no line");
        let coded = code.starts_with('E').then(|| format!("{name}: \"compile_fail,{code}\";"));
        let listed = coded.unwrap_or_else(|| format!("{name}: \"compile_fail\";"));
        assert!(source.contains(&listed), "{name}, {says}: no `{listed}` in src/misuse.rs");
        assert!(read(name, "fail.rs").contains("fn main()"));
    }
}
