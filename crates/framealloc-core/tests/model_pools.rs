//! Pools on three threads against the model of `support/models/pools.rs`.

#[path = "support/models/mod.rs"]
mod models;
#[path = "support/programs.rs"]
mod programs;

use proptest::prelude::*;

use models::pools;
use programs::{config, programs};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn pools_do_as_their_model(program in programs(120)) {
        pools::run(&program);
    }
}
