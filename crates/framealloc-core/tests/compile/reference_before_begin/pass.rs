// Beginning a frame needs the allocator alone, as ending one does.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let hits = alloc.frame().alloc(1);
    *hits += 1;
    alloc.begin_frame();
}
