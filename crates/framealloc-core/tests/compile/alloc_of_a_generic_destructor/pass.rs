// A reference to what has a destructor would never run it: also when it is hidden in a generic type.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let frame = alloc.frame();
    frame.alloc(Some(&1));
}
