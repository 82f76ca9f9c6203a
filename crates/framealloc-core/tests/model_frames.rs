//! Frames in flight and handles against the model of `support/models/frames.rs`.

#[path = "support/models/mod.rs"]
mod models;
#[path = "support/programs.rs"]
mod programs;

use proptest::prelude::*;

use models::frames;
use programs::{config, programs};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn frames_and_handles_do_as_their_model(program in programs(100)) {
        frames::run(&program);
    }
}
