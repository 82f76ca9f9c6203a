// error: E0597
// No box of another crate pins in a frame that ends.

use allocator_api2::boxed::Box;
use framealloc_core::SmartAlloc;
use std::marker::PhantomPinned;

pub fn main() {
    let alloc = SmartAlloc::default();
    let pinned = Box::pin_in(PhantomPinned, alloc.frame());
    drop(pinned);
}
