// No allocator is swapped under its frame.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let name = alloc.frame_box(String::from("crate"));
    drop(name);
    std::mem::swap(&mut alloc, &mut SmartAlloc::default());
}
