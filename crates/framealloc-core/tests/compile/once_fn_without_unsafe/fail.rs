// error: E0200
// No closure type of one's own comes in by the back door.

use framealloc_core::OnceFn;
use std::ptr::NonNull;

struct Seven;

impl OnceFn<()> for Seven {
    type Output = u32;

    fn __caller(&self) -> unsafe fn(NonNull<()>, ()) -> u32 {
        |_, ()| 7
    }
}

pub fn main() {
    let alloc = framealloc_core::SmartAlloc::default();
    assert_eq!(framealloc_core::FrameBox::call_once(alloc.frame_box(Seven), ()), 7);
}
