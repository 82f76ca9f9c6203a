//! The value rows in debug builds, which is where games are developed.

use std::process::Command;

use super::Plan;
use super::time::{self, Sample};

/// Builds this program at an optimisation level, without the heaps, and times the value rows with it.
///
/// # Errors
///
/// If it does not build or run.
pub fn samples(level: u8, plan: &Plan) -> Result<Vec<Sample>, String> {
    let program = build(level, "debug", &[])?;
    let values = ["values".to_owned()];
    (0..plan.debug_processes).map(|_| time::in_a_process(&program, &values, plan.effort)).collect()
}

/// Builds this program at an optimisation level, without the heaps, and keeps it under a name. Level 0 is that of other people's debug
/// builds, whose folder it shares.
pub(super) fn build(level: u8, name: &str, features: &[&str]) -> Result<Command, String> {
    let target = if level == 0 { super::target() } else { super::target().join(format!("debug-{level}")) };
    let mut cargo = super::cargo();
    cargo.args(["build", "--quiet", "--package", "benches", "--bin", "benches", "--no-default-features"]);
    cargo.args(features).args(["--config", &format!("profile.dev.opt-level={level}"), "--target-dir"]).arg(&target);
    super::run(&mut cargo)?;
    super::keep(&target.join("debug").join("benches"), name)
}
