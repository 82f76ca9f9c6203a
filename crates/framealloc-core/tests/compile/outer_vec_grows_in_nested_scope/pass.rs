// No vector of an outer scope grows in a nested one.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    arena.scope(|outer| {
        let mut hits = outer.vec();
        hits.push(*outer.alloc(1));
        assert_eq!(hits.len(), 1);
    });
}
