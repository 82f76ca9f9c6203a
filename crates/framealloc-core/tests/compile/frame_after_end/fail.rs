// error: E0502
// No view of a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let frame = alloc.frame();
    alloc.end_frame();
    frame.alloc(1);
}
