// No boxed slice in a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let list = alloc.frame_slice::<u32>(3);
    assert_eq!(list.into_iter().sum::<u32>(), 0);
    let _sealed = alloc.seal_frame();
}
