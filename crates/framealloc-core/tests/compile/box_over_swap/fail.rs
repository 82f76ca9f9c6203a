// error: E0502
// No allocator is swapped under its frame.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let name = alloc.frame_box(String::from("crate"));
    std::mem::swap(&mut alloc, &mut SmartAlloc::default());
    drop(name);
}
