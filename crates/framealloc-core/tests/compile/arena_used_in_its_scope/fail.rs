// error: E0502
// While a scope is open, the arena allocates through it only.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    arena.scope(|scope| {
        arena.alloc(1);
        scope.alloc(2);
    });
}
