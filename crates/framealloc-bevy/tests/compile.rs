//! Programs that must not compile: frame memory where Bevy keeps things for longer. Each beside a twin, one line apart, that compiles and runs.

#[path = "../../framealloc-core/tests/compile/harness.rs"]
mod harness;
#[path = "compile/twins.rs"]
mod twins;
