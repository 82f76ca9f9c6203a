// Whoever ends a frame by hand has nothing of it any more.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use framealloc_bevy::prelude::*;

fn system(world: &mut World) {
    let mut list = world.resource::<FrameAlloc>().frame().vec();
    list.push(1u32);
    assert_eq!(world.resource::<FrameAlloc>().stats().frame, 2);
    assert_eq!(list.len(), 1);
}

pub fn main() {
    App::new()
        .add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::default()))
        .add_systems(Update, system)
        .update();
}
