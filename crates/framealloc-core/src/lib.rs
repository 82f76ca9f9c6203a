//! Frame memory for real-time loops.
//!
//! Temporary memory that costs a pointer bump, dies with its frame, and cannot be used after it: [`SmartAlloc`] gives every
//! thread a bump arena behind one shared door, [`Frame`] is a thread's view of the current frame, [`FrameHandle`] names a
//! value across systems and threads, [`SealedFrame`] carries a whole frame to a renderer, and [`Pool`] holds what lives
//! longer. [`Arena`] is a single arena for those who want one alone.
//!
//! ```
//! use framealloc_core::SmartAlloc;
//!
//! let mut alloc = SmartAlloc::default();
//! for _ in 0..3 {
//!     alloc.begin_frame();
//!     let frame = alloc.frame();
//!     let contacts = frame.alloc_slice_fill_with(1_000, |i| i as f32);
//!     assert_eq!(contacts[999], 999.0);
//!     alloc.end_frame();
//! }
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `std` (default) | threads: [`SmartAlloc`], pools, the operating system's backends |
//! | `count` | counts allocations, at one more instruction for each |
//! | `debug_fill` | fills memory that is handed out with `FRESH_FILL` (`0xcd`), and memory that was freed, rewound, reset or whose frame ended with `FREED_FILL` (`0xdd`) |
//! | `trace` | allocators that are asked to know where pooled objects came from, and name the line whose block was overrun |
//! | `sample` | samples of frame memory for governors, with the line that asked for it |
//! | `hardened` | pools find double frees, foreign memory, wrong layouts and overruns when memory is freed: one line on stderr, then an abort |
//!
//! A build with `--cfg asan` under the address sanitizer, or one with `--cfg memcheck` under valgrind, has all memory that is not
//! handed out marked as such, what lies behind a pool's object included; `--cfg redzone` adds a gap behind each block of a frame.
//!
//! The rooms, from the bottom: [`mod@bump`] (arithmetic), `governor` (the hook upward), `backend`, `chunk`, `thread`, `arena`,
//! `pool`, `frame`, `smart_alloc`. Each knows only those before it.

#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[macro_use]
mod canary;

mod annotate;
mod arena;
mod backend;
pub mod bump;
mod chunk;
mod error;
mod fallible;
mod frame;
mod governor;
#[cfg(all(test, loom, feature = "std"))]
mod loom;
#[cfg(feature = "std")]
mod pool;
mod prefetch;
#[cfg(feature = "std")]
mod reentry;
#[cfg(feature = "std")]
mod smart_alloc;
mod stats;
#[cfg(feature = "std")]
mod sync;
#[cfg(feature = "std")]
mod thread;
#[cfg(feature = "trace")]
mod trace;
mod unwind;
#[cfg(feature = "hardened")]
mod watch;

#[cfg(feature = "debug_fill")]
pub use annotate::{FREED_FILL, FRESH_FILL};
pub use arena::{Arena, Scope};
pub use backend::*;
pub use chunk::TrimPolicy;
pub use error::{AllocError, AllocErrorKind, InitError};
pub use fallible::Fallible;
pub use frame::*;
#[cfg(feature = "sample")]
pub use governor::Sample;
pub use governor::{
    Governor, HeldBlock, Outcome, Release, Request, Resource, Scarce, Shortage, Stage, Tag, TagScope, TagUse,
    Ungoverned, Verdict,
};
#[cfg(feature = "std")]
pub use pool::{HeapBox, Pool, PoolBox};
#[cfg(feature = "std")]
pub use smart_alloc::*;
#[cfg(feature = "std")]
pub use stats::FrameEnd;
pub use stats::{AllocStats, ClassStats, FrameStats, POOL_SIZES, PoolStats, PoolSurvey, SlabStats, ThreadStats};
#[cfg(feature = "trace")]
pub use trace::{Census, LiveBlock};
