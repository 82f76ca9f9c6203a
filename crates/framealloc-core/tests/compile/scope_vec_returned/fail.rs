// error: lifetime may not live long enough
// A vector in a scope is not returned from it.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    let kept = arena.scope(|scope| scope.collect([1, 2, 3]));
    assert_eq!(kept.len(), 3);
}
