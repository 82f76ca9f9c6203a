// error: E0502
// What is made under a tag does not outlive its frame.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let hits = alloc.with_tag("physics", |a| a.frame_box(1));
    alloc.end_frame();
    drop(hits);
}
