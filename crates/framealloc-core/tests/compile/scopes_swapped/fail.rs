// error: E0521
// No two scopes are swapped.

use framealloc_core::Arena;

pub fn main() {
    let (mut left, mut right) = (Arena::new(), Arena::new());
    left.scope(|a| {
        right.scope(|b| {
            std::mem::swap(a, b);
        });
    });
}
