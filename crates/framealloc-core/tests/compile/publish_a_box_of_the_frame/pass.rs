// What is published borrows nothing, the frame itself included.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let handle = alloc.publish(alloc.pool_box(1));
    assert!(alloc.get(handle).is_ok());
}
