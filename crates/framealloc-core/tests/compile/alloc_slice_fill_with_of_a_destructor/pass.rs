// A reference to what has a destructor would never run it: `alloc_slice_fill_with`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let frame = alloc.frame();
    frame.alloc_box_slice_with(3, |i| i.to_string());
}
