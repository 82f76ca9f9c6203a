// No vector of an outer scope is freed in a nested one.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    arena.scope(|outer| {
        let hits = outer.collect([1, 2, 3]);
        drop(hits);
        assert_eq!(*outer.alloc(1), 1);
    });
}
