// No uninitialised place in a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let place = alloc.frame_alloc::<[f32; 16]>();
    place.write([0.0; 16]);
    alloc.end_frame();
}
