// error: E0597
// A trait object keeps the lifetime of what it borrows.

use framealloc_core::{FrameBox, SmartAlloc, unsize};

pub fn main() {
    let alloc = SmartAlloc::default();
    let score = 7;
    let read: FrameBox<'_, dyn Fn() -> i32 + 'static> = unsize!(alloc.frame_box(|| *&score));
    assert_eq!(read(), 7);
}
