// There is no empty handle.

use framealloc_core::{FrameHandle, SmartAlloc};

pub fn main() {
    let alloc = SmartAlloc::default();
    let handle: FrameHandle<u64> = alloc.publish(Default::default());
    assert!(alloc.get(handle).is_ok());
}
