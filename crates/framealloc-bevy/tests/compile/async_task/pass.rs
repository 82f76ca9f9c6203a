// An async task may run on into the next frames: it captures a lease, or a handle.

use bevy_app::prelude::*;
use framealloc_bevy::prelude::*;
use bevy_tasks::AsyncComputeTaskPool;

fn system(memory: FrameMemory) {
    let points: &[f32] = memory.frame().alloc_slice_fill(3, 0.0);
    let own: &[f32] = Vec::leak(points.to_vec());
    assert_eq!(points, own);
    AsyncComputeTaskPool::get().spawn(async move { own.len() }).detach();
}

pub fn main() {
    App::new()
        .add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::default()))
        .add_systems(Update, system)
        .update();
}
