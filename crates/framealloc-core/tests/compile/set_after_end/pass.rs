// No set in a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let seen = alloc.frame_set::<u8>();
    assert_eq!(seen.into_iter().count(), 0);
    alloc.end_frame();
}
