//! What the games measure themselves with: heap calls, processor time, quantiles, and processes that take turns.

mod cost;
mod heap;
mod stats;
mod turns;

pub use cost::{Cost, metered};
pub use heap::{Counting, HeapUse, counted, heap_bytes};
pub use stats::{Quantiles, mean, median, resident_bytes};
pub use turns::{Player, TURN, wait_for_turn};
