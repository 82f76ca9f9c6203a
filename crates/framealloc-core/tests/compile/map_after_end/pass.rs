// No map in a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let owners = alloc.frame_map_with_capacity::<u8, u8>(4);
    assert_eq!(owners.into_iter().count(), 0);
    alloc.end_frame();
}
