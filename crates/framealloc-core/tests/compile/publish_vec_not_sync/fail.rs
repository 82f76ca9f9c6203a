// error: E0277
// What is published as a vector is read by every thread.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let handle = alloc.publish_vec(alloc.frame_collect([std::cell::Cell::new(1)]));
    assert!(alloc.get(handle).is_ok());
}
