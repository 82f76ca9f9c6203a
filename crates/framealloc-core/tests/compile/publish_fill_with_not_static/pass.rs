// What is published as a slice borrows nothing.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let score = 7;
    let handle = alloc.publish_slice_fill_with(3, |_| score);
    assert!(alloc.get(handle).is_ok());
}
