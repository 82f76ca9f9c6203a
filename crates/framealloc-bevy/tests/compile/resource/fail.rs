// error: lifetime may not live long enough
// A resource is there in the next frame, too: it keeps a handle.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use framealloc_bevy::prelude::*;

#[derive(Resource, Default)]
struct Kept(Option<&'static [f32]>);

fn system(memory: FrameMemory, mut kept: ResMut<Kept>) {
    let points: &[f32] = memory.frame().alloc_slice_fill(3, 0.0);
    let own: &[f32] = Vec::leak(points.to_vec());
    assert_eq!(points, own);
    kept.0 = Some(points);
}

pub fn main() {
    App::new()
        .add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::default()))
        .add_systems(Update, system)
        .init_resource::<Kept>()
        .update();
}
