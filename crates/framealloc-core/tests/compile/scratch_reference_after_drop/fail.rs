// error: E0505
// No reference into a scratch arena outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let scratch = alloc.scratch();
    let cost = scratch.alloc(1);
    drop(scratch);
    *cost += 1;
}
