// error: E0502
// No uninitialised slice in a frame outlives it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let places = alloc.frame().alloc_uninit_slice::<u16>(4);
    alloc.end_frame();
    places[3].write(7);
}
