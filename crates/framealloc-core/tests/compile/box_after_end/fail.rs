// error: E0502
// No box in a frame outlives it, and its destructor runs before.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let name = alloc.frame_box(String::from("crate"));
    alloc.end_frame();
    drop(name);
}
