// error: E0502
// A scope seen as a frame is not used over a nested scope.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    arena.scope(|outer| {
        let frame = outer.frame();
        outer.scope(|inner| *inner.alloc(1));
        frame.alloc(2);
    });
}
