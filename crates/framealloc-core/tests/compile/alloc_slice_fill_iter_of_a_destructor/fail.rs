// error: E0080 alloc_box_slice_with
// A reference to what has a destructor would never run it: `alloc_slice_fill_iter`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    alloc.frame_alloc_slice_fill_iter(["a", "b"].map(String::from));
}
