//! Steady updates ask the heap for nothing on the plugins' account: an app with them makes as many calls as one without.

#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use bevy_app::prelude::*;
#[cfg(feature = "budget")]
use bevy_ecs::message::{MessageUpdateSystems, MessageWriter};
#[cfg(feature = "budget")]
use bevy_ecs::prelude::*;
use framealloc_bevy::prelude::*;
use support::MinimalPlugins;

struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// The calls of an update that nine of ten do not exceed: what a thread of the pool does now and then is nobody's.
fn calls(mut app: App) -> u64 {
    for _ in 0..200 {
        app.update();
        app.world_mut().run_schedule(bevy_app::FixedMain);
    }
    let update = |app: &mut App| {
        let before = CALLS.load(Ordering::Relaxed);
        app.update();
        app.world_mut().run_schedule(bevy_app::FixedMain);
        CALLS.load(Ordering::Relaxed) - before
    };
    let mut calls: Vec<_> = (0..200).map(|_| update(&mut app)).collect();
    calls.sort_unstable();
    calls[180]
}

#[test]
fn a_steady_update_takes_nothing_from_the_heap() {
    let bare = || {
        let mut app = App::new();
        app.add_plugins(MinimalPlugins);
        app
    };
    let without = calls(bare());
    let mut plain = bare();
    plain.add_plugins((FrameAllocPlugin::default(), FixedFrameAllocPlugin::default()));
    // The task of one more system is Bevy's: the same with an empty one in both.
    assert_eq!(calls(plain), without);

    let system = |memory: FrameMemory| {
        memory.with_tag("tag", |a| {
            let mut list = a.frame().vec();
            list.extend(0..5_000u64);
            a.publish_vec(list);
        });
    };
    let mut empty = bare();
    empty.add_plugins(FrameAllocPlugin::default());
    empty.add_systems(Update, |memory: FrameMemory| assert!(memory.is_frame_open()));
    let mut busy = bare();
    busy.add_plugins(FrameAllocPlugin::default());
    busy.add_systems(Update, system);
    assert_eq!(calls(busy), calls(empty));

    #[cfg(feature = "budget")]
    {
        let budget = Budget::new().with_history(60).with_frame(Limit::soft(1)).with_tag("tag", Limit::hard(1 << 20));
        let mut governed = bare();
        governed.add_plugins((FrameAllocPlugin::default().with_budget(budget), FixedFrameAllocPlugin::default()));
        governed.add_systems(Update, system);
        // The system that writes messages is one, too.
        let mut empty = bare();
        empty.add_message::<FramePressure>();
        empty.add_systems(Update, || {});
        empty.add_systems(First, (|_: MessageWriter<FramePressure>| {}).after(MessageUpdateSystems));
        assert_eq!(calls(governed), calls(empty));
    }
}
