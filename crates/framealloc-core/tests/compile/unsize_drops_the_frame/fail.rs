// error: E0597
// An unsized box stays in its frame.

use framealloc_core::{FrameBox, SmartAlloc, unsize};

pub fn main() {
    let alloc = SmartAlloc::default();
    let read: FrameBox<'static, dyn Fn() -> i32> = unsize!(alloc.frame_box(|| 7));
    assert_eq!(read(), 7);
}
