//! Programs of the models, made by chance: 64 of each in plain `cargo test`, as many as `PROPTEST_CASES` says where it is set.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::models::{Program, Record};

pub(crate) fn config() -> ProptestConfig {
    // The default is what the variable says.
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 64 };
    // The shrunk program is printed as the steps that it is.
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20_000, ..default }
}

/// Programs of at most `most` steps.
pub(crate) fn programs<S: From<Record> + Debug>(most: usize) -> impl Strategy<Value = Program<S>> {
    (any::<[u8; 6]>(), vec(any::<[u8; 6]>(), 0..=most)).prop_map(|(setup, steps)| Program::new(setup, steps))
}
