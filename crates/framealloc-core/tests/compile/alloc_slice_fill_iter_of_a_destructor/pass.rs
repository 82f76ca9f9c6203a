// A reference to what has a destructor would never run it: `alloc_slice_fill_iter`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    alloc.frame().alloc_box_slice_from_iter(["a", "b"].map(String::from));
}
