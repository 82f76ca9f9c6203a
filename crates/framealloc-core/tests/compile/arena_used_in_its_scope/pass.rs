// While a scope is open, the arena allocates through it only.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    arena.scope(|scope| {
        scope.alloc(1);
        scope.alloc(2);
    });
}
