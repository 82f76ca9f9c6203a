//! How many programs made by chance a property is tried on: 64 in plain `cargo test`, as many as `PROPTEST_CASES` says where it is set.

use proptest::prelude::ProptestConfig;

pub(crate) fn config() -> ProptestConfig {
    // The default is what the variable says.
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 64 };
    // The shrunk program is printed as the steps that it is.
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20_000, ..default }
}
