// error: E0502
// No reference into a scratch arena outlives its reset.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let mut scratch = alloc.scratch();
    let cost = scratch.alloc(1);
    scratch.reset();
    *cost += 1;
}
