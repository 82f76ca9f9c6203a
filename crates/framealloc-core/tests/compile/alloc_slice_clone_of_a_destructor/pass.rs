// A reference to what has a destructor would never run it: `alloc_slice_clone`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let scratch = alloc.scratch();
    scratch.alloc_slice_clone(&["crate"]);
}
