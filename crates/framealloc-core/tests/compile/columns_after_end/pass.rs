// No columns in a frame outlive it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let bodies = alloc.frame_columns::<([f32; 3], u32)>(10);
    drop(bodies);
    alloc.end_frame();
}
