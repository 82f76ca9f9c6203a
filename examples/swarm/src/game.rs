//! The app of one variant, and what is noted of its frames.

use std::time::Instant;

use bevy_app::prelude::*;
use bevy_app::{Main, TaskPoolThreadAssignmentPolicy};
use bevy_diagnostic::FrameCountPlugin;
use bevy_ecs::prelude::*;
use bevy_time::TimePlugin;
use framealloc_bevy::prelude::*;
use meter::{heap_bytes, wait_for_turn};
use serde::{Deserialize, Serialize};

use crate::cli::Memory;
use crate::clock::{self, Clock};
use crate::heap::take_ours;
use crate::model::{BURST, Body, Reach, advance, bodies};
use crate::variants::{Crowded, Heard, Worn, frame, fresh, parallel, reused};

/// Frames after the burst at which its memory should be gone.
pub const FORGOTTEN: u32 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub frames: u32,
    pub bodies: u32,
    pub threads: usize,
    pub seed: u64,
}

/// What one variant has shown.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub checksum: u64,
    /// Nanoseconds of each update.
    pub update_ns: Vec<u64>,
    /// Nanoseconds of the stages that use memory, in each.
    pub stages_ns: Vec<u64>,
    /// Heap calls of the game's systems, in each.
    pub calls: Vec<u64>,
    /// Bytes of the heap in use before the burst, after its frame, and when it should be forgotten; if the heap tells.
    pub held: Option<[u64; 3]>,
}

/// Bevy's `MinimalPlugins`, without a runner, which this program is itself.
pub fn minimal(app: &mut App, threads: usize) {
    let defaults = TaskPoolOptions::default();
    let policy = TaskPoolThreadAssignmentPolicy { min_threads: threads, max_threads: threads, ..defaults.compute };
    let task_pool_options = TaskPoolOptions { compute: policy, ..defaults };
    app.add_plugins((TaskPoolPlugin { task_pool_options }, FrameCountPlugin, TimePlugin));
}

pub fn advance_bodies(mut bodies: Query<&mut Body>) {
    bodies.iter_mut().for_each(|mut body| advance(&mut body));
}

fn spawn<S: Component + Default>(app: &mut App, settings: &Settings) {
    let bodies = bodies(settings.bodies, settings.seed).map(|body| (body, S::default()));
    app.world_mut().spawn_batch(bodies.collect::<Vec<_>>());
}

fn app(variant: Memory, settings: &Settings) -> App {
    let mut app = App::new();
    minimal(&mut app, settings.threads);
    #[cfg(feature = "tracy")]
    app.add_plugins(bevy_log::LogPlugin::default());
    app.init_resource::<Clock>().init_resource::<Heard>().init_resource::<Worn>().init_resource::<Crowded>();
    app.insert_resource(Reach::of(0, settings.bodies));
    app.add_systems(Update, advance_bodies);
    match variant {
        Memory::Vec => {
            app.init_resource::<fresh::Shared>();
            spawn::<fresh::Seen>(&mut app, settings);
            fresh::systems().add_to(&mut app);
        }
        Memory::Local | Memory::Shrunk | Memory::Parallel => {
            app.init_resource::<reused::Shared>();
            spawn::<reused::Seen>(&mut app, settings);
            match variant {
                Memory::Local => reused::systems::<false>(),
                Memory::Shrunk => reused::systems::<true>(),
                _ => parallel::systems(),
            }
            .add_to(&mut app);
        }
        Memory::Framealloc => {
            app.add_plugins(FrameAllocPlugin::default()).init_resource::<frame::SharedNow>();
            spawn::<frame::Seen>(&mut app, settings);
            // The frame's end is a part of what its memory costs.
            app.add_systems(Main, clock::start.before(FrameAllocSystems));
            app.add_systems(Main, clock::stop.after(FrameAllocSystems).before(Main::run_main));
            frame::systems().add_to(&mut app);
        }
        Memory::All => unreachable!("one variant is played at a time"),
    }
    app
}

fn fold(sum: u64, app: &mut App) -> u64 {
    let world = app.world_mut();
    let found = [world.resource::<Heard>().0, world.resource::<Worn>().0, world.resource::<Crowded>().0];
    found.into_iter().fold(sum, |sum, found| sum.wrapping_mul(0x0100_0000_01b3).wrapping_add(found))
}

/// Plays one variant. Waits for its turn on stdin where another process gives turns.
///
/// # Errors
///
/// When that process is gone.
pub fn play(variant: Memory, settings: &Settings, in_turns: bool) -> Result<Outcome, String> {
    let mut app = app(variant, settings);
    app.finish();
    app.cleanup();
    let frames = settings.frames as usize;
    let mut outcome = Outcome {
        update_ns: Vec::with_capacity(frames),
        stages_ns: Vec::with_capacity(frames),
        calls: Vec::with_capacity(frames),
        ..Outcome::default()
    };
    let mut held = [None; 3];
    for frame in 0..settings.frames {
        if in_turns {
            wait_for_turn(frame)?;
        }
        app.insert_resource(Reach::of(frame, settings.bodies));
        take_ours();
        let start = Instant::now();
        app.update();
        outcome.update_ns.push(start.elapsed().as_nanos() as u64);
        outcome.stages_ns.push(std::mem::take(&mut app.world_mut().resource_mut::<Clock>().ns));
        outcome.calls.push(take_ours());
        outcome.checksum = fold(outcome.checksum, &mut app);
        for (at, noted) in [BURST - 1, BURST, BURST + FORGOTTEN].into_iter().zip(&mut held) {
            if frame == at {
                *noted = heap_bytes();
            }
        }
    }
    if let [Some(before), Some(burst), Some(after)] = held {
        outcome.held = Some([before, burst, after]);
    }
    let mut query = app.world_mut().query::<&Body>();
    let bits = query.iter(app.world()).flat_map(|body| body.at).map(|at| u64::from(at.cast_unsigned()));
    outcome.checksum = bits.fold(outcome.checksum, |sum, bits| sum.rotate_left(7) ^ bits);
    Ok(outcome)
}
