//! Two allocators on one thread and on two against the model of `support/models/instances.rs`.

#[path = "support/models/mod.rs"]
mod models;
#[path = "support/programs.rs"]
mod programs;

use proptest::prelude::*;

use models::instances;
use programs::{config, programs};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn two_allocators_never_see_each_other(program in programs(120)) {
        instances::run(&program);
    }
}
