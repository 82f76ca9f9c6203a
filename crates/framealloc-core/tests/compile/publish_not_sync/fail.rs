// error: E0277
// What is published is read by every thread.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let handle = alloc.publish(std::cell::Cell::new(1));
    assert!(alloc.get(handle).is_ok());
}
