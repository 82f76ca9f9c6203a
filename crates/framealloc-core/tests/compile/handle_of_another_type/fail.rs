// error: E0308
// A handle names a value of one type.

use framealloc_core::{FrameHandle, SmartAlloc};

pub fn main() {
    let alloc = SmartAlloc::default();
    let handle: FrameHandle<u64> = alloc.publish(7u32);
    assert!(alloc.get(handle).is_ok());
}
