// A box does not outlive its frame by being unsized.

use framealloc_core::{FrameBox, SmartAlloc, unsize};

fn list<'f>(array: FrameBox<'f, [u8; 3]>) -> FrameBox<'f, [u8]> {
    unsize!(array)
}

pub fn main() {
    let alloc = SmartAlloc::default();
    assert_eq!(list(alloc.frame_box([1, 2, 3])).len(), 3);
}
