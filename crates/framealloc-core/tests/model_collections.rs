//! Collections against those of the standard library: `support/models/collections.rs`.

#[path = "support/models/mod.rs"]
mod models;
#[path = "support/programs.rs"]
mod programs;

use proptest::prelude::*;

use models::collections;
use programs::{config, programs};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn collections_do_as_those_of_std(program in programs(150)) {
        collections::run(&program);
    }
}
