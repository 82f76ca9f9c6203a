//! How long the stages that use memory take: from before the first to behind the last, and the frame's end where there is one.

use std::time::Instant;

use bevy_ecs::prelude::*;

#[derive(Resource, Default)]
pub struct Clock {
    started: Option<Instant>,
    /// Nanoseconds of the stages since they were last taken.
    pub ns: u64,
}

pub fn start(mut clock: ResMut<Clock>) {
    clock.started = Some(Instant::now());
}

pub fn stop(mut clock: ResMut<Clock>) {
    if let Some(started) = clock.started.take() {
        clock.ns += started.elapsed().as_nanos() as u64;
    }
}
