// error: E0502
// No boxed trait object in a frame outlives it.

use framealloc_core::{SmartAlloc, unsize};

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let add = unsize!(alloc.frame_box(|a: i32| a + 1) => dyn Fn(i32) -> i32);
    alloc.end_frame();
    drop(add);
}
