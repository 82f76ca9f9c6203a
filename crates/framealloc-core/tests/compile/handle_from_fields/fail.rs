// error: E0451
// A handle is made by publishing only, not of its parts.

use framealloc_core::{FrameHandle, SmartAlloc};

pub fn main() {
    let alloc = SmartAlloc::default();
    let published: FrameHandle<u32> = alloc.publish(7);
    let handle = FrameHandle { value: std::ptr::NonNull::from(&8), ..published };
    assert!(alloc.get(handle).is_ok());
}
