// error: E0080 alloc_box
// A reference to what has a destructor would never run it: `alloc_with`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let scratch = alloc.scratch();
    scratch.alloc_with(|| vec![1]);
}
