//! Programs of the models, made by chance.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::models::{Program, Record};

/// Programs of at most `most` steps.
pub(crate) fn programs<S: From<Record> + Debug>(most: usize) -> impl Strategy<Value = Program<S>> {
    (any::<[u8; 6]>(), vec(any::<[u8; 6]>(), 0..=most)).prop_map(|(setup, steps)| Program::new(setup, steps))
}
