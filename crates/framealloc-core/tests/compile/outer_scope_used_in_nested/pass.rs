// While a nested scope is open, the outer one allocates nothing.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    arena.scope(|outer| {
        outer.scope(|inner| {
            inner.alloc(1);
            inner.alloc(2);
        });
    });
}
