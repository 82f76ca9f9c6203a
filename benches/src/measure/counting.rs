//! What the feature `count` costs: the value rows of two builds, which differ in nothing else.

use std::process::Command;

use serde::{Deserialize, Serialize};

use super::time::{self, Sample};
use super::{Plan, debug};

/// A sample a process, of each build in turn.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counting {
    /// As users have it by default.
    pub without: Vec<Sample>,
    /// With the feature.
    pub with: Vec<Sample>,
}

/// Builds this program twice, without the heaps, and times the value rows with both.
///
/// # Errors
///
/// If it does not build or run.
pub fn samples(plan: &Plan) -> Result<Counting, String> {
    let build = |name, features| build(name, features, plan.count_level);
    let (without, with) = (build("without", &[])?, build("with", &["--features", "framealloc/count"])?);
    let sample = |program| time::in_a_process(program, &["values".to_owned()], plan.effort);
    let mut counting = Counting::default();
    for _ in 0..plan.processes {
        counting.without.push(sample(&without)?);
        counting.with.push(sample(&with)?);
    }
    Ok(counting)
}

/// Both builds have one folder, so that what they depend on is built once; each program is kept under a name of its own.
fn build(name: &str, features: &[&str], level: u8) -> Result<Command, String> {
    // To see that it works, what others have built will do.
    if level == 0 {
        return debug::build(level, name, features);
    }
    let target = super::target().join("count");
    let mut cargo = super::cargo();
    cargo.args(["--config", "benches/placement.toml", "build", "--quiet", "--release", "--package", "benches"]);
    cargo.args(["--bin", "benches", "--no-default-features", "--target-dir"]).arg(&target).args(features);
    cargo.args(["--config", &format!("profile.release.opt-level={level}")]);
    super::run(&mut cargo)?;
    super::keep(&target.join("release").join("benches"), name)
}
