// Ending a frame needs the allocator alone.

use framealloc_core::SmartAlloc;

fn end(alloc: &SmartAlloc) -> usize {
    alloc.stats().threads
}

pub fn main() {
    assert_eq!(end(&mut SmartAlloc::default()), 0);
}
