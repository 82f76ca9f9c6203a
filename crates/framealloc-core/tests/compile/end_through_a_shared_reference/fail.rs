// error: E0596
// Ending a frame needs the allocator alone.

use framealloc_core::SmartAlloc;

fn end(alloc: &SmartAlloc) -> usize {
    alloc.end_frame().threads
}

pub fn main() {
    assert_eq!(end(&mut SmartAlloc::default()), 0);
}
