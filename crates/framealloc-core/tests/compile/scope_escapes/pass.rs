// A scope stays in its closure.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    let mut kept = None;
    arena.scope(|scope| {
        kept = Some(*scope.alloc(1));
    });
    assert!(kept.is_some());
}
