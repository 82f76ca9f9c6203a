// No string slice in a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let name = alloc.frame().alloc_str("crate");
    name.make_ascii_uppercase();
    alloc.end_frame();
}
