// error: E0277 the trait `Clone` is not implemented
// Whoever ends a frame has the only one.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use framealloc_bevy::prelude::*;

fn system(alloc: Res<FrameAlloc>) {
    let _another = FrameAlloc::clone(&alloc);
}

pub fn main() {
    App::new()
        .add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::default()))
        .add_systems(Update, system)
        .update();
}
