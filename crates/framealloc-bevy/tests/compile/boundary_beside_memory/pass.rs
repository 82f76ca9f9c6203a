// The allocator may be replaced only when nothing of it is in use.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use framealloc_bevy::prelude::*;

fn system(mut alloc: ResMut<FrameAlloc>) {
    let list = alloc.frame().alloc_slice_fill(3, 0u8);
    assert_eq!(alloc.stats().frame, 2);
    assert_eq!(list.len(), 3);
}

pub fn main() {
    App::new()
        .add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::default()))
        .add_systems(Update, system)
        .update();
}
