// error: E0277
// There is no empty handle.

use framealloc_core::{FrameHandle, SmartAlloc};

pub fn main() {
    let alloc = SmartAlloc::default();
    let handle: FrameHandle<u64> = Default::default();
    assert!(alloc.get(handle).is_ok());
}
