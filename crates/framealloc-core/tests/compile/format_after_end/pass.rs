// No formatted string in a frame outlives it.

use framealloc_core::{SmartAlloc, frame_format};

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let label = frame_format!(alloc, "{}", 7).into_str();
    assert_eq!(label, "7");
    alloc.end_frame();
}
