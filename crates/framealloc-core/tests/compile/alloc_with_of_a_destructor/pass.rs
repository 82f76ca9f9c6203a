// A reference to what has a destructor would never run it: `alloc_with`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let scratch = alloc.scratch();
    scratch.alloc_box_with(|| vec![1]);
}
