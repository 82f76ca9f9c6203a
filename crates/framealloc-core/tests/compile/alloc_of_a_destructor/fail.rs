// error: E0080 alloc_box
// A reference to what has a destructor would never run it: `alloc`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let frame = alloc.frame();
    frame.alloc(String::from("crate"));
}
