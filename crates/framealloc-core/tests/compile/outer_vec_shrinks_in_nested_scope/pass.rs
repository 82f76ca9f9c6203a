// No vector of an outer scope shrinks in a nested one.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    arena.scope(|outer| {
        let mut hits = outer.collect([1, 2, 3]);
        hits.shrink_to(*outer.alloc(3));
        assert_eq!(hits.len(), 3);
    });
}
