// error: E0521
// A scope stays in its closure.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    let mut kept = None;
    arena.scope(|scope| {
        kept = Some(scope);
    });
    assert!(kept.is_some());
}
