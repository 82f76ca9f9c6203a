//! framealloc and its peers at identical work.
//!
//! Every row does the same work in every contender: it writes and reads back the same values, keeps what it hands out alive
//! for as long, and starts warm: arenas are reused and reset, threads are persistent. [`rows`] lists them all;
//! `measure` times and counts them, `report` writes what came out into `docs/performance.md`.

pub mod arenas;
pub mod measure;
#[cfg(feature = "heaps")]
pub mod pools;
pub mod report;
pub mod row;

pub use row::{Bar, Contender, Figure, Group, Pass, Row};

/// Every row there is, in the order of the page.
#[must_use]
pub fn rows() -> Vec<Row> {
    #[allow(unused_mut, reason = "pools need the heaps they are compared with")]
    let mut rows = arenas::rows();
    #[cfg(feature = "heaps")]
    rows.extend(pools::rows());
    rows
}
