// error: E0133
// The macro runs no code of its user in an unsafe block.

use framealloc_core::{FrameBox, SmartAlloc, unsize};

unsafe fn seven() -> u32 {
    7
}

pub fn main() {
    let alloc = SmartAlloc::default();
    let list: FrameBox<'_, [u32]> = unsize!(alloc.frame_box([seven()]));
    assert_eq!(*list, [7]);
}
