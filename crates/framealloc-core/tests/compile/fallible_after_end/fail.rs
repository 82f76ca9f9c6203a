// error: E0502
// The allocator that returns refusals is as much of the frame as the frame.

use allocator_api2::alloc::{Allocator, Layout};
use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let fallible = alloc.frame().fallible();
    alloc.end_frame();
    assert!(fallible.allocate(Layout::new::<u64>()).is_ok());
}
