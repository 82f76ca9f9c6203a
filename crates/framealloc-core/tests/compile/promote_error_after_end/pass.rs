// A value that could not be promoted does not outlive its frame.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let kept = alloc.try_promote(alloc.frame_box(1));
    drop(kept);
    alloc.end_frame();
}
