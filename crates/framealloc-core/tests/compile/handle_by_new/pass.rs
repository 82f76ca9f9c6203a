// A handle has no constructor.

use framealloc_core::{FrameHandle, SmartAlloc};
use std::ptr::NonNull;

pub fn main() {
    let alloc = SmartAlloc::default();
    let value = NonNull::from(alloc.frame().alloc(7));
    let handle: FrameHandle<i32> = alloc.publish(unsafe { value.read() });
    assert!(alloc.get(handle).is_ok());
}
