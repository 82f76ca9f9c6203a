//! What the games measure themselves with: heap calls, processor time, quantiles, and processes that take turns; and how they read their command
//! lines.

mod arguments;
mod cost;
mod heap;
mod stats;
mod turns;

pub use arguments::read_arguments;
pub use cost::{Cost, metered};
pub use heap::{Counting, HeapUse, counted, heap_bytes};
pub use stats::{Quantiles, mean, median, resident_bytes};
pub use turns::{Player, TURN, wait_for_turn};
