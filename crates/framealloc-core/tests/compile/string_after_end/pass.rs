// No string in a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let label = alloc.frame_string();
    assert_eq!(label.into_str(), "");
    alloc.end_frame();
}
