// error: E0502
// No map in a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let owners = alloc.frame_map_with_capacity::<u8, u8>(4);
    alloc.end_frame();
    assert_eq!(owners.into_iter().count(), 0);
}
