// error: E0502
// What is left of a boxed slice does not outlive its frame.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let list = alloc.frame_slice::<u32>(3).into_iter();
    alloc.end_frame();
    assert_eq!(list.count(), 3);
}
