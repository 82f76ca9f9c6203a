// error: E0502
// No set in a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let seen = alloc.frame_set::<u8>();
    alloc.end_frame();
    assert_eq!(seen.into_iter().count(), 0);
}
