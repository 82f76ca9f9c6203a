// No box in a frame outlives its allocator.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let name = alloc.frame_box(String::from("crate"));
    drop(name);
    drop(alloc);
}
