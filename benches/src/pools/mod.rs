//! Objects that outlive a frame: our pools, and the general-purpose heaps.

pub mod heaps;
mod larson;
mod mstress;
mod producer;
mod sharing;
mod single;
mod workers;

use crate::Row;

/// How contenders are called in all rows of pools.
pub mod names {
    /// `SmartAlloc::pool_box`, and `Pool` as an `Allocator` where sizes are known at run time only.
    pub const POOL: &str = "framealloc pool";
    /// mimalloc.
    pub const MIMALLOC: &str = "mimalloc";
    /// snmalloc.
    pub const SNMALLOC: &str = "snmalloc";
    /// jemalloc.
    pub const JEMALLOC: &str = "jemalloc";
    /// The system's own.
    pub const SYSTEM: &str = "system";
    /// No heap: what is left of ping-pong where nothing is taken or freed.
    pub const PLACE: &str = "one place, nothing freed";
    /// No heap: what is left of a producer's row where memory is never freed.
    pub const RING: &str = "a ring that frees nothing";
    /// No heap: what is left of a producer's row without any objects.
    pub const QUEUES: &str = "the queues alone, empty";
}

/// The contenders of a row: a pass over each heap, by a generic function from heap to pass.
macro_rules! contenders {
    ($start:ident $(, $size:expr)?) => {
        vec![
            contenders!(@ Pooled, $start $(, $size)?),
            contenders!(@ Mimalloc, $start $(, $size)?),
            contenders!(@ Snmalloc, $start $(, $size)?),
            contenders!(@ Jemalloc, $start $(, $size)?),
            contenders!(@ Glibc, $start $(, $size)?),
        ]
    };
    (@ $Heap:ident, $start:ident $(, $size:expr)?) => {
        $crate::Contender {
            name: <$crate::pools::heaps::$Heap as $crate::pools::heaps::Heap>::NAME,
            start: $start::<$crate::pools::heaps::$Heap $(, { $size })?>,
        }
    };
}
use contenders;

/// All rows of pools.
#[must_use]
pub fn rows() -> Vec<Row> {
    let mut rows = single::rows();
    rows.extend(producer::rows());
    rows.push(larson::row());
    rows.push(mstress::row());
    rows.extend(sharing::rows());
    rows
}
