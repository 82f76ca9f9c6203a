// Unsizing is no cast.

use framealloc_core::{SmartAlloc, unsize};

pub fn main() {
    let alloc = SmartAlloc::default();
    let list = unsize!(alloc.frame_box(7u32) => u32);
    assert_eq!(size_of_val(&*list), 4);
}
