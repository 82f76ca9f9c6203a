// error: E0599
// Only a box that outlives frames is turned into a pin.

use framealloc_core::{FrameBox, PoolBox, SmartAlloc};

pub fn main() {
    let alloc = SmartAlloc::default();
    let (framed, pooled) = (alloc.frame_box(1), alloc.pool_box(1));
    assert_eq!(*FrameBox::into_pin(framed), *PoolBox::into_pin(pooled));
}
