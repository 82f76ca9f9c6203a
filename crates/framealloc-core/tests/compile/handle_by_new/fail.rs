// error: E0624
// A handle has no constructor.

use framealloc_core::{FrameHandle, SmartAlloc};
use std::ptr::NonNull;

pub fn main() {
    let alloc = SmartAlloc::default();
    let value = NonNull::from(alloc.frame().alloc(7));
    let handle: FrameHandle<i32> = FrameHandle::new(value, unsafe { std::mem::zeroed() });
    assert!(alloc.get(handle).is_ok());
}
