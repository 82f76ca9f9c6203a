//! Fixed steps: each is a frame of its own, however many there are in an update.

#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

mod support;

use std::time::Duration;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_time::{Fixed, Time, TimeUpdateStrategy};
use framealloc_bevy::prelude::*;
use support::{MinimalPlugins, Named, THREADS};

fn app(steps: u32) -> App {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, FrameAllocPlugin::default(), FixedFrameAllocPlugin::default()));
    app.insert_resource(Time::<Fixed>::from_duration(Duration::from_millis(10)));
    app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_millis(10) * steps));
    // The first update is at time zero.
    app.update();
    app
}

#[test]
fn each_step_is_a_frame() {
    for steps in [0, 1, 5, 16] {
        let mut app = app(steps);
        app.add_systems(FixedUpdate, |memory: FixedFrameMemory| {
            memory.frame().alloc_slice_fill(1000, 0u8);
        });
        let before = app.world().resource::<FixedFrameAlloc>().stats();
        app.update();
        let after = app.world().resource::<FixedFrameAlloc>().stats();
        assert_eq!(after.frame - before.frame, u64::from(steps));
        if steps > 1 {
            // Each has given its memory back.
            assert_eq!(after.last_frame.peak, 1000);
            assert!(after.committed <= (THREADS + 1) * (64 << 10));
        }
    }
}

#[test]
fn what_a_step_published_is_gone_in_the_next_one_and_readable_until_then() {
    let mut app = app(3);
    app.add_systems(FixedFirst, |memory: FixedFrameMemory, named: Option<Res<Named<u64>>>| {
        assert!(named.is_none_or(|named| memory.get(named.0).is_err()));
    });
    app.add_systems(FixedUpdate, |memory: FixedFrameMemory, mut commands: Commands| {
        commands.insert_resource(Named(memory.publish(memory.stats().frame)));
    });
    app.add_systems(Update, |memory: FixedFrameMemory, named: Res<Named<u64>>| {
        assert_eq!(memory.get(named.0), Ok(&memory.stats().frame));
    });
    for _ in 0..3 {
        app.update();
    }
}

#[test]
fn steps_and_updates_do_not_see_each_others_frames() {
    let mut app = app(4);
    app.add_systems(FixedUpdate, |steps: FixedFrameMemory, updates: FrameMemory| {
        let step = steps.publish(1u32);
        // Of the update: it outlives the step.
        let update = updates.frame().alloc_slice_fill(100, 2u64);
        assert!(updates.get(step).unwrap_err().is_foreign());
        assert_eq!(update.iter().sum::<u64>(), 200);
    });
    app.update();
    app.update();
    let world = app.world();
    assert_eq!(world.resource::<FrameAlloc>().stats().last_frame.bytes_allocated, 4 * 800);
    assert_eq!(world.resource::<FixedFrameAlloc>().stats().last_frame.bytes_allocated, 8);
}
