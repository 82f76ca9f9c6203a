// error: E0502
// What a vector leaves behind does not outlive its frame.

use framealloc_core::{SmartAlloc, frame_vec};

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let hits = frame_vec![in alloc; 1, 2].into_slice();
    alloc.end_frame();
    hits[0] += 1;
}
