// No reference into an arena outlives its reset.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    let cost = arena.alloc(1);
    *cost += 1;
    arena.reset();
}
