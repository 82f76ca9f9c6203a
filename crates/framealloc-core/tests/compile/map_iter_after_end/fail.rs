// error: E0502
// What is left of a map does not outlive its frame.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let owners = alloc.frame_map::<u8, u8>().into_iter();
    alloc.end_frame();
    assert_eq!(owners.count(), 0);
}
