// Trimming needs the allocator alone.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let hits = alloc.frame().alloc(1);
    *hits += 1;
    alloc.trim();
}
