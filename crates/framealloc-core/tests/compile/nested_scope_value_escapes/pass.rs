// What a nested scope allocates does not come out into the outer one.

use framealloc_core::Arena;
use std::cell::Cell;

pub fn main() {
    let mut arena = Arena::new();
    arena.scope(|outer| {
        let kept = Cell::new(&*outer.alloc(0));
        outer.scope(|inner| {
            assert_eq!(kept.get(), inner.alloc(0));
        });
        assert_eq!(*kept.get(), 0);
    });
}
