//! The door to framealloc: everything of `framealloc-core` and `framealloc-budget`, and a prelude.
//!
//! ```
//! use framealloc::prelude::*;
//!
//! let mut alloc = SmartAlloc::new(AllocConfig::default());
//! alloc.begin_frame();
//! let mut hits = alloc.frame_vec();
//! hits.push(frame_format!(alloc, "hit {}", 7));
//! assert_eq!(hits[0], "hit 7");
//! drop(hits);
//! alloc.end_frame();
//! ```

#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "budget")]
pub use framealloc_budget::*;
pub use framealloc_core::*;

/// What a program that uses frame memory names every day.
pub mod prelude {
    #[cfg(feature = "budget")]
    pub use framealloc_budget::{
        Account, Budget, FrameRecord, Level, Limit, Metrics, OverLimit, Pressure, PressurePolicy, Report,
        assert_budget, assert_frame_bytes, assert_steady, bytes,
    };
    #[cfg(feature = "std")]
    pub use framealloc_core::{
        AllocConfig, AllocStats, FrameHandle, FrameStats, HeapBox, Lease, Pool, PoolBox, Scratch, SealedFrame,
        SmartAlloc, StaleHandle,
    };
    pub use framealloc_core::{
        AllocError, AllocErrorKind, AllocationResult, AllocatorBackend, Arena, FixedBackend, Frame, FrameBox,
        FrameDeque, FrameMap, FrameSet, FrameString, FrameVec, Governor, InitError, OnceFn, Request, Scope, Shortage,
        SystemBackend, Tag, TrimPolicy, Verdict, frame_format, frame_vec, unsize,
    };
    #[cfg(all(feature = "std", target_os = "linux"))]
    pub use framealloc_core::{HugePages, MmapBackend, NumaBackend, NumaRouter};
}

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide.md")]
mod guide {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/migration.md")]
mod migration {}

#[cfg(all(doctest, feature = "budget-live", feature = "budget-sample", feature = "budget-trace"))]
#[doc = include_str!("../../../docs/profiling.md")]
mod profiling {}

#[cfg(all(doctest, feature = "budget-config"))]
#[doc = include_str!("../../../docs/budgets.md")]
mod budgets {}
