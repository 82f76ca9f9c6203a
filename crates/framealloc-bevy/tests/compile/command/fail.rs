// error: E0521
// A command runs when the system is over: it captures a handle.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use framealloc_bevy::prelude::*;

fn system(memory: FrameMemory, mut commands: Commands) {
    let points: &[f32] = memory.frame().alloc_slice_fill(3, 0.0);
    let own: &[f32] = Vec::leak(points.to_vec());
    assert_eq!(points, own);
    commands.queue(move |_: &mut World| assert_eq!(points.len(), 3));
}

pub fn main() {
    App::new()
        .add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::default()))
        .add_systems(Update, system)
        .update();
}
