// error: E0521
// What a nested scope allocates does not come out into the outer one.

use framealloc_core::Arena;
use std::cell::Cell;

pub fn main() {
    let mut arena = Arena::new();
    arena.scope(|outer| {
        let kept = Cell::new(&*outer.alloc(0));
        outer.scope(|inner| {
            kept.set(inner.alloc(1));
        });
        assert_eq!(*kept.get(), 0);
    });
}
