//! Steady updates ask the heap for nothing on the plugins' account: an app with them makes as many calls as one without.
//!
//! For Tracy each plugin has a budget, and with it a system, whose tasks are calls of Bevy's.

#![cfg(not(feature = "tracy"))]
#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bevy_app::prelude::*;
#[cfg(feature = "budget")]
use bevy_ecs::message::{MessageUpdateSystems, MessageWriter};
#[cfg(feature = "budget")]
use bevy_ecs::prelude::*;
use framealloc_bevy::prelude::*;
use support::MinimalPlugins;

struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

/// Tests of one process count each other's calls.
static ONE: Mutex<()> = Mutex::new(());

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

/// The calls of 200 updates, warm.
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
    (0..200).map(|_| update(&mut app)).sum()
}

/// Whether 200 updates of one app make no more calls than those of another one. Now and then a thread of the pool makes some, on a machine that
/// is busy: what the plugins made in every tenth update would be seen each time.
fn no_more_than(app: impl Fn() -> App, without: impl Fn() -> App) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let tries: Vec<_> = (0..5).map(|_| (calls(app()), calls(without()))).collect();
    assert!(tries.iter().any(|&(with, without)| with < without + 20), "calls with and without: {tries:?}");
}

fn bare() -> App {
    let mut app = App::new();
    app.add_plugins(MinimalPlugins);
    app
}

fn updates() -> App {
    let mut app = bare();
    app.add_plugins((FrameAllocPlugin::default(), FixedFrameAllocPlugin::default()));
    app
}

fn makes_lists(memory: FrameMemory) {
    memory.with_tag("tag", |a| {
        let mut list = a.frame().vec();
        list.extend(0..5_000u64);
        a.publish_vec(list);
    });
}

#[test]
fn a_steady_update_takes_nothing_from_the_heap() {
    no_more_than(updates, bare);
}

#[test]
fn nor_does_a_system_that_makes_lists() {
    // The task of one more system is Bevy's: an empty one in the other app.
    let with = |system: fn(FrameMemory)| {
        let mut app = updates();
        app.add_systems(Update, system);
        app
    };
    no_more_than(|| with(makes_lists), || with(|memory| assert!(memory.is_frame_open())));
}

#[cfg(feature = "budget")]
#[test]
fn nor_does_a_budget_whose_history_is_full() {
    let governed = || {
        let budget = Budget::new().with_history(60).with_frame(Limit::soft(1)).with_tag("tag", Limit::hard(1 << 20));
        let mut app = bare();
        app.add_plugins((FrameAllocPlugin::default().with_budget(budget), FixedFrameAllocPlugin::default()));
        app.add_systems(Update, makes_lists);
        app
    };
    // The system that writes messages is one, too.
    let empty = || {
        let mut app = bare();
        app.add_message::<FramePressure>();
        app.add_systems(Update, || {});
        app.add_systems(First, (|_: MessageWriter<FramePressure>| {}).after(MessageUpdateSystems));
        app
    };
    no_more_than(governed, empty);
}
