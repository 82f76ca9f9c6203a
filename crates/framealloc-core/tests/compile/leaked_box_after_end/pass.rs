// A leaked box leaks for the frame, and no longer.

use framealloc_core::{FrameBox, SmartAlloc};

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let hits = FrameBox::leak(alloc.frame_box(1));
    *hits += 1;
    alloc.end_frame();
}
