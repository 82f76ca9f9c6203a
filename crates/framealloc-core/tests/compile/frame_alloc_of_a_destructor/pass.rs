// A reference to what has a destructor would never run it: `frame_alloc`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    alloc.frame_alloc::<&str>();
}
