// No box in a frame pins what must not move: the memory of a forgotten one is used again.

use framealloc_core::SmartAlloc;
use std::marker::PhantomPinned;
use std::pin::Pin;

pub fn main() {
    let alloc = SmartAlloc::default();
    let pinned = Pin::from(alloc.pool_box(PhantomPinned));
    drop(pinned);
}
