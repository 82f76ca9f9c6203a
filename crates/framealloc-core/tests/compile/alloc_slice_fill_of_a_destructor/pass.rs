// A reference to what has a destructor would never run it: `alloc_slice_fill`.

use framealloc_core::Arena;

pub fn main() {
    let arena = Arena::new();
    arena.alloc_slice_fill(3, "");
}
