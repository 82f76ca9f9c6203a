// No boxed closure in a frame is called after it.

use framealloc_core::{FrameBox, OnceFn, SmartAlloc, unsize};

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let job: FrameBox<'_, dyn OnceFn<(), Output = i32>> = unsize!(alloc.frame_box(|| 7));
    assert_eq!(FrameBox::call_once(job, ()), 7);
    alloc.end_frame();
}
