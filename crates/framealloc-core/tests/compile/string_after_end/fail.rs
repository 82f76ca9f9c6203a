// error: E0502
// No string in a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let label = alloc.frame_string();
    alloc.end_frame();
    assert_eq!(label.into_str(), "");
}
