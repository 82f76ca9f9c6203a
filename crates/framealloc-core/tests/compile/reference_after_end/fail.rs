// error: E0502
// No reference into a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let hits = alloc.frame().alloc(1);
    alloc.end_frame();
    *hits += 1;
}
