//! Frame memory in a Bevy schedule: temporary memory that costs a pointer bump, dies with the frame, and cannot be used after it.
//!
//! [`FrameAllocPlugin`] puts a [`FrameAlloc`] into the world and ends its frame at the top of each update. Systems take
//! [`FrameMemory`], from any number of threads at a time, without a lock; what they pass on to others they publish, and a
//! [`FrameHandle`](framealloc::FrameHandle) to it goes through messages, commands, components and resources.
//!
//! ```
//! use bevy_app::prelude::*;
//! use bevy_ecs::prelude::*;
//! use framealloc_bevy::prelude::*;
//!
//! #[derive(Message)]
//! struct Contacts(FrameHandle<[(u32, u32)]>);
//!
//! fn narrow_phase(memory: FrameMemory, mut out: MessageWriter<Contacts>) {
//!     let mut found = memory.frame().vec();
//!     found.extend((0..100u32).map(|body| (body, body + 1)));
//!     out.write(Contacts(memory.publish_vec(found))); // moved, not copied
//! }
//!
//! fn sounds(memory: FrameMemory, mut contacts: MessageReader<Contacts>) {
//!     for Contacts(handle) in contacts.read() {
//!         // A message lives for two updates, and what it names for one: then this is an `Err`.
//!         if let Ok(contacts) = memory.get(*handle) {
//!             assert_eq!(contacts[99], (99, 100));
//!         }
//!     }
//! }
//!
//! App::new()
//!     .add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::new(AllocConfig::default)))
//!     .add_message::<Contacts>()
//!     .add_systems(Update, (narrow_phase, sounds).chain())
//!     .update();
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `budget` | [`FrameBudget`]: limits that hold, from code or a file; [`FramePressure`] as a message and an event |
//! | `count` | counts allocations, which costs up to a twentieth of a loop that does nothing else |
//! | `diagnostics` (default) | figures of each frame among Bevy's diagnostics: [`FrameAllocPlugin::FRAME_BYTES`] and others |
//! | `hotpatching` | needed beside `system_tags` where Bevy is built with its feature of this name: this crate does not compile there without it |
//! | `reflect` | [`FrameAllocSettings`] and [`FrameAllocStats`] for inspectors; handles stay opaque |
//! | `render` | [`RenderHandOffPlugin`]: a frame is sealed after extraction, and read by the render world while the next one is filled |
//! | `system_tags` | [`FrameAllocPlugin::with_system_tags`]: what each system takes, under its name |
//! | `tracy` | frames, tags and memory in Tracy, with the client that Bevy started: told by a budget, which is made, without limits, where there is neither one nor another governor |

#![deny(unsafe_code)]

#[cfg(feature = "budget")]
mod budget;
#[cfg(feature = "diagnostics")]
mod diagnostics;
mod frame_alloc;
mod period;
mod plugin;
#[cfg(feature = "render")]
mod render;
#[cfg(feature = "reflect")]
mod stats;
#[cfg(feature = "system_tags")]
#[allow(unsafe_code, reason = "Bevy runs systems by an unsafe method, and so must a system around another one")]
mod system_tags;
mod turn;

#[cfg(feature = "budget")]
pub use budget::{FrameBudget, FramePressure};
pub use frame_alloc::{FixedFrameAlloc, FixedFrameMemory, FrameAlloc, FrameMemory};
pub use period::{EachFixedStep, EachUpdate, Period};
pub use plugin::{FixedFrameAllocPlugin, FrameAllocPlugin, FrameAllocSettings, FrameAllocSystems, FrameBoundary};
#[cfg(feature = "render")]
pub use render::{ExtractedFrame, NotExtracted, RenderHandOffPlugin};
#[cfg(feature = "reflect")]
pub use stats::FrameAllocStats;

/// What a program with Bevy names every day: this crate's and framealloc's.
pub mod prelude {
    pub use crate::{
        EachFixedStep, EachUpdate, FixedFrameAlloc, FixedFrameAllocPlugin, FixedFrameMemory, FrameAlloc,
        FrameAllocPlugin, FrameAllocSettings, FrameAllocSystems, FrameBoundary, FrameMemory,
    };
    #[cfg(feature = "render")]
    pub use crate::{ExtractedFrame, NotExtracted, RenderHandOffPlugin};
    #[cfg(feature = "budget")]
    pub use crate::{FrameBudget, FramePressure};
    pub use framealloc::prelude::*;
}

#[cfg(doctest)]
mod misuse;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(all(doctest, feature = "budget", feature = "render"))]
#[doc = include_str!("../../../docs/bevy.md")]
mod recipes {}
