// No scratch arena is held over the end of a frame.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let scratch = alloc.scratch();
    drop(scratch);
    alloc.end_frame();
}
