// A reference to what has a destructor would never run it: `alloc`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let frame = alloc.frame();
    frame.alloc_box(String::from("crate"));
}
