// error: E0502
// No vector in a frame outlives it.

use framealloc_core::{SmartAlloc, frame_vec};

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let hits = frame_vec![in alloc; 1, 2];
    alloc.end_frame();
    assert_eq!(hits.into_boxed_slice().len(), 2);
}
