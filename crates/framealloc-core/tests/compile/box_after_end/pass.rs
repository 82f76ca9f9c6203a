// No box in a frame outlives it, and its destructor runs before.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let name = alloc.frame_box(String::from("crate"));
    drop(name);
    alloc.end_frame();
}
