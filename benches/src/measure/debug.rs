//! The value rows in debug builds, which is where games are developed.

use std::path::PathBuf;
use std::process::Command;

use super::Plan;
use super::time::{self, Sample};

/// Builds this program at an optimisation level, without the heaps, and times the value rows with it.
///
/// # Errors
///
/// If it does not build or run.
pub fn samples(level: u8, plan: &Plan) -> Result<Vec<Sample>, String> {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join("target").join(format!("debug-{level}"));
    let mut cargo = super::cargo();
    cargo.args(["build", "--quiet", "--package", "benches", "--bin", "benches", "--no-default-features"]);
    cargo.args(["--config", &format!("profile.dev.opt-level={level}"), "--target-dir"]).arg(&target);
    super::run(&mut cargo)?;
    let program = Command::new(target.join("debug").join("benches"));
    let values = ["values".to_owned()];
    (0..plan.debug_processes).map(|_| time::in_a_process(&program, &values, plan.effort)).collect()
}
