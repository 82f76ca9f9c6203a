//! What the tests have in common.

#![allow(dead_code, unreachable_pub, reason = "each test program uses some of it")]

use bevy_app::prelude::*;
use bevy_app::{PluginGroupBuilder, ScheduleRunnerPlugin, TaskPoolThreadAssignmentPolicy};
use bevy_diagnostic::FrameCountPlugin;
use bevy_ecs::prelude::*;
use bevy_time::TimePlugin;
use framealloc_bevy::prelude::*;

/// Compute threads: what the machine has would be one on two cores.
pub const THREADS: usize = 4;

/// Bevy's `MinimalPlugins`, which are in its meta crate, with so many compute threads. The pools are the process's: the first app has them made.
pub struct MinimalPlugins;

/// The pools with so many compute threads.
pub fn task_pools() -> TaskPoolPlugin {
    let defaults = TaskPoolOptions::default();
    let compute = TaskPoolThreadAssignmentPolicy { min_threads: THREADS, max_threads: THREADS, ..defaults.compute };
    TaskPoolPlugin { task_pool_options: TaskPoolOptions { compute, ..defaults } }
}

impl PluginGroup for MinimalPlugins {
    fn build(self) -> PluginGroupBuilder {
        PluginGroupBuilder::start::<Self>()
            .add(task_pools())
            .add(FrameCountPlugin)
            .add(TimePlugin)
            .add(ScheduleRunnerPlugin::default())
    }
}

/// An app with frame memory of each update.
pub fn app() -> App {
    app_with(FrameAllocPlugin::default())
}

pub fn app_with(plugin: FrameAllocPlugin) -> App {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, plugin));
    app
}

/// The number of the open frame.
pub fn frame(app: &App) -> u64 {
    app.world().resource::<FrameAlloc>().stats().frame
}

/// What the last frame used.
pub fn last(app: &App) -> FrameStats {
    app.world().resource::<FrameAlloc>().stats().last_frame
}

/// Takes so many bytes of the frame.
pub fn take(bytes: usize) -> impl Fn(FrameMemory) + Clone + Send + Sync + 'static {
    move |memory| {
        memory.frame().alloc_slice_fill(bytes, 1u8);
    }
}

#[derive(Resource)]
pub struct Named<T: Send + Sync + 'static>(pub FrameHandle<T>);
