// A vector is in the frame of an allocator, not in one that lasts for ever.

use framealloc_core::{FrameVec, SmartAlloc};

pub fn main() {
    let alloc = SmartAlloc::default();
    let mut hits: FrameVec<'_, u32> = alloc.frame_vec();
    hits.push(1);
}
