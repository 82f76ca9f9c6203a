// A scratch arena seen as a frame is gone with it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let scratch = alloc.scratch();
    let frame = scratch.frame();
    frame.alloc(1);
    drop(scratch);
}
