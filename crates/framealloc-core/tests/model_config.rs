//! Settings, lying backends and governors that answer nonsense: `support/models/config.rs`.

#[path = "support/models/mod.rs"]
mod models;
#[path = "support/programs.rs"]
mod programs;

use proptest::prelude::*;

use models::config as unreliable;
use programs::{config, programs};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_is_believed_and_all_books_are_even(program in programs(80)) {
        unreliable::run(&program);
    }
}
