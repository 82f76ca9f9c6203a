// error: E0502
// No queue in a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let open = alloc.frame_deque::<u8>();
    alloc.end_frame();
    drop(open);
}
