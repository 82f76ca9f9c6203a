// What is published borrows nothing: its destructor runs when the frame is reclaimed.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let score = 7;
    let handle = alloc.publish(score);
    assert!(alloc.get(handle).is_ok());
}
