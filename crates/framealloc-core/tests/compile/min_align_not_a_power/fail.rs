// error: E0080 a power of two up to 64
// The minimum alignment of an arena is a power of two.

use framealloc_core::Arena;

pub fn main() {
    let arena = Arena::<24>::with_min_align();
    arena.alloc(1);
}
