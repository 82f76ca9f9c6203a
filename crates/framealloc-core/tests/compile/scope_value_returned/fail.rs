// error: lifetime may not live long enough
// What a scope allocates is not returned from it.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    let kept = arena.scope(|scope| scope.alloc_box(1));
    assert_eq!(kept.to_string(), "1");
}
