// error: E0502
// No value of a batch outlives its frame.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let [_, last] = alloc.frame().alloc_batch([1, 2]);
    alloc.end_frame();
    *last += 1;
}
