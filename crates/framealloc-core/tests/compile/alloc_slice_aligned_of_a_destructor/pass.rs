// A reference to what has a destructor would never run it: `alloc_slice_aligned_with`.

use framealloc_core::Arena;

pub fn main() {
    let arena = Arena::new();
    arena.alloc_slice_aligned_with(3, 64, |i| i);
}
