//! The same systems on several kinds of memory.
//!
//! Each module has the broad phase, which gathers and sorts the bodies; the narrow phase, whose contact lists three systems read side by side; and
//! looking around, which makes a list for each body, a component, that two systems read. What they compute is the model's; here is where it
//! lies.

pub mod frame;
pub mod fresh;
pub mod parallel;
pub mod reused;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleConfigs;
use bevy_ecs::system::ScheduleSystem;
use bevy_tasks::ComputeTaskPool;

use crate::clock;
use crate::heap::{Pieces, ours};
use crate::model::{Buffer, PARTS};

/// The systems of a variant, in their order. Those that read run side by side.
pub struct Systems {
    pub broad_phase: ScheduleConfigs<ScheduleSystem>,
    pub narrow_phase: ScheduleConfigs<ScheduleSystem>,
    pub look: ScheduleConfigs<ScheduleSystem>,
    pub readers: ScheduleConfigs<ScheduleSystem>,
    pub steering: ScheduleConfigs<ScheduleSystem>,
}

impl Systems {
    pub fn add_to(self, app: &mut App) {
        let Self { broad_phase, narrow_phase, look, readers, steering } = self;
        app.add_systems(
            Update,
            (clock::start, broad_phase, narrow_phase, look, readers, steering, clock::stop)
                .chain()
                .after(crate::game::advance_bodies),
        );
    }
}

/// What the loudest contacts make.
#[derive(Resource, Default)]
pub struct Heard(pub u64);

/// How many bodies see more than they can bear.
#[derive(Resource, Default)]
pub struct Crowded(pub u64);

/// How many bodies have more contacts than is good for them.
#[derive(Resource, Default)]
pub struct Worn(pub u64);

/// What a task that looks around has of its own.
#[derive(Default)]
struct Scratch {
    buffer: Buffer,
    pieces: Pieces,
}

/// Does each part of a system's work in a task of its own; the results in their order. The list of them is Bevy's.
fn in_parts<R: Send + 'static>(work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    ComputeTaskPool::get().scope(|scope| {
        for part in 0..PARTS {
            let work = &work;
            scope.spawn(async move { ours(|| work(part)) });
        }
    })
}

/// The same where each part has something to write to.
fn in_parts_of<T: Send>(of: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
    ComputeTaskPool::get().scope(|scope| {
        for (part, mine) in of.iter_mut().enumerate() {
            let work = &work;
            scope.spawn(async move { ours(|| work(part, mine)) });
        }
    });
}
