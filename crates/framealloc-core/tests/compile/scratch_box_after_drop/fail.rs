// error: E0505
// No box in a scratch arena outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let scratch = alloc.scratch();
    let name = scratch.alloc_box(String::from("crate"));
    drop(scratch);
    drop(name);
}
