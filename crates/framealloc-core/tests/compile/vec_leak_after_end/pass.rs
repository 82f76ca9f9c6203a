// The vector underneath leaks for the frame, and no longer.

use framealloc_core::{SmartAlloc, frame_vec};

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let hits = frame_vec![in alloc; 1, 2].into_inner().leak();
    hits[0] += 1;
    alloc.end_frame();
}
