// error: lifetime may not live long enough
// A message lives for two updates: it carries a handle.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use framealloc_bevy::prelude::*;

#[derive(Message)]
struct Found(&'static [f32]);

fn system(memory: FrameMemory, mut out: MessageWriter<Found>) {
    let points: &[f32] = memory.frame().alloc_slice_fill(3, 0.0);
    let own: &[f32] = Vec::leak(points.to_vec());
    assert_eq!(points, own);
    out.write(Found(points));
}

pub fn main() {
    App::new()
        .add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::default()))
        .add_systems(Update, system)
        .add_message::<Found>()
        .update();
}
