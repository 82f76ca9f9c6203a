// error: E0502
// No slice in a frame outlives it, also when the frame is sealed.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let list = alloc.frame().alloc_slice_copy(&[1, 2, 3]);
    let _sealed = alloc.seal_frame();
    list[0] += 1;
}
