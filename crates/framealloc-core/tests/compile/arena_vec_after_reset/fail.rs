// error: E0502
// No vector in an arena outlives its reset.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    let costs = arena.collect([1, 2]);
    arena.reset();
    assert_eq!(costs.into_slice().len(), 2);
}
