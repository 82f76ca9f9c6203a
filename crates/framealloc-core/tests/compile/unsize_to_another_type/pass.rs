// Unsizing changes nothing but the type of the pointer.

use framealloc_core::{FrameBox, SmartAlloc, unsize};

pub fn main() {
    let alloc = SmartAlloc::default();
    let list: FrameBox<'_, [u8]> = unsize!(alloc.frame_box([7u8]));
    assert_eq!(list.len(), 1);
}
