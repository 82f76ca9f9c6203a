// error: E0308
// A handle is not made of a number.

use framealloc_core::{FrameHandle, SmartAlloc};

pub fn main() {
    let alloc = SmartAlloc::default();
    let handle = FrameHandle::<u64>::from(7u64);
    assert!(alloc.get(handle).is_ok());
}
