// error: E0080 alloc_box_slice_with
// A reference to what has a destructor would never run it: `alloc_slice_fill_with`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let frame = alloc.frame();
    frame.alloc_slice_fill_with(3, |i| i.to_string());
}
