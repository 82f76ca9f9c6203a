// The minimum alignment of an arena is a power of two.

use framealloc_core::Arena;

pub fn main() {
    let arena = Arena::<32>::with_min_align();
    arena.alloc(1);
}
