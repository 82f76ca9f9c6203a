// error: E0308
// Unsizing does not make a trait object `Send` that is not.

use framealloc_core::{FrameBox, SmartAlloc, unsize};
use std::fmt::Debug;

pub fn main() {
    let alloc = SmartAlloc::default();
    let shape: FrameBox<'_, dyn Debug> = unsize!(alloc.frame_box(7));
    let shape: FrameBox<'_, dyn Debug + Send> = unsize!(shape);
    assert_eq!(format!("{shape:?}"), "7");
}
