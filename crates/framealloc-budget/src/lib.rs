//! Budgets for framealloc: limits that hold, and numbers to look at.
//!
//! A [`Budget`] governs one allocator: hard limits on what it holds, on frames, threads and tags, soft ones that are told as
//! [`Pressure`], and [`Metrics`] of each frame. An allocation pays nothing for it: a limit is a part of the bump bound, and figures
//! are differences of cursors.
//!
//! ```
//! use framealloc_budget::{Budget, Limit, bytes::{kib, mib}};
//! use framealloc_core::{AllocConfig, SmartAlloc};
//!
//! let budget = Budget::new()
//!     .with_committed(Limit::soft(mib(24)).with_hard(mib(32)))
//!     .with_tag("physics", Limit::hard(mib(1)))
//!     .with_tag("physics/contacts", Limit::soft(kib(256)))
//!     .on_pressure(|pressure| eprintln!("{pressure}"));
//! let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
//! for _ in 0..10 {
//!     alloc.begin_frame();
//!     alloc.with_tag("physics", |a| {
//!         a.with_tag("contacts", |a| a.frame().alloc_slice_fill(1000, 0u32).len());
//!     });
//!     alloc.end_frame();
//! }
//! assert_eq!(budget.metrics().last().unwrap().bytes, 4000);
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `backtrace` | who called, with each sample |
//! | `config` | budgets from TOML and JSON files, with overrides for platforms |
//! | `live` | a [`LiveView`]: the program's frames as they end, for `framealloc-top` in a terminal |
//! | `metrics` | figures of each frame as gauges of the [`metrics`](https://docs.rs/metrics) facade: `framealloc_frame_bytes` and others, listed in docs/budgets.md |
//! | `report` | recordings of frames: a page of HTML, JSON, CSV, Chrome traces, collapsed stacks |
//! | `sample` | [`Sites`]: where frame memory is asked for, in which sizes, and what alignment takes, estimated from samples |
//! | `svg` | recordings as pictures for documents |
//! | `trace` | a [`LeakReport`]: what is live in pools, by line, tag and age |
//! | `tracy` | tags as zones of [Tracy](https://github.com/wolfpld/tracy), marks and plots of frames, chunks and slabs as named memory |

#![cfg_attr(not(feature = "tracy"), forbid(unsafe_code))]
#![cfg_attr(feature = "tracy", deny(unsafe_code))]

mod asserts;
mod books;
mod budget;
pub mod bytes;
#[cfg(feature = "config")]
mod config;
mod figures;
#[cfg(feature = "metrics")]
mod gauges;
#[cfg(any(feature = "report", feature = "tracy"))]
mod held;
mod inner;
#[cfg(feature = "trace")]
mod leaks;
mod ledger;
mod limit;
#[cfg(feature = "live")]
pub mod live;
mod pressure;
#[cfg(feature = "report")]
mod recording;
mod shelf;
#[cfg(any(feature = "report", feature = "sample"))]
mod sites;
mod sync;
#[cfg(feature = "tracy")]
mod tracy;
mod tree;

#[doc(hidden)]
pub use asserts::{__compare, __within};
pub use budget::Budget;
#[cfg(feature = "config")]
pub use config::{ConfigError, Format};
pub use figures::{
    AccountReport, Advice, FrameRecord, Metrics, Report, SizeRecord, Summary, TagRecord, TagReport, ThreadRecord,
};
#[cfg(feature = "trace")]
pub use leaks::{LeakAge, LeakReport, LeakSite};
pub use limit::{Account, BudgetError, Limit, LimitUse, OverLimit};
#[cfg(feature = "live")]
pub use live::{LiveConfig, LiveError, LiveStats, LiveView};
pub use pressure::{Level, Pressure, PressurePolicy};
#[cfg(feature = "report")]
pub use recording::{AccountEntry, BlockEntry, Recording, SCHEMA, TagEntry};
#[cfg(feature = "sample")]
pub use sites::Sampling;
#[cfg(any(feature = "report", feature = "sample"))]
pub use sites::{Estimate, Site, Sites, SizeEstimate};
