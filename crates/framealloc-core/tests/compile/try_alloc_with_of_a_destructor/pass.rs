// A reference to what has a destructor would never run it: `try_alloc_with`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let frame = alloc.frame();
    frame.try_alloc_with(|| Ok::<_, ()>([1])).unwrap();
}
