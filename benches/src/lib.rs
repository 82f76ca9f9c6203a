//! framealloc and its peers at identical work: every value is written and read back, arenas are reused and reset in every
//! row, threads are persistent. `benches/speed.rs` times the rows with criterion, `src/bin/ratios.rs` pairs them.

pub mod arenas;
pub mod pools;
