// A handle is not made of a number.

use framealloc_core::{FrameHandle, SmartAlloc};

pub fn main() {
    let alloc = SmartAlloc::default();
    let handle = FrameHandle::<u64>::from(alloc.publish(7));
    assert!(alloc.get(handle).is_ok());
}
