// No view of a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let frame = alloc.frame();
    frame.alloc(1);
    alloc.end_frame();
}
