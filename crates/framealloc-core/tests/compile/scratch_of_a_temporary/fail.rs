// error: E0716
// No reference outlives a scratch arena that was never named.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let cost = alloc.scratch().alloc(1);
    *cost += 1;
}
