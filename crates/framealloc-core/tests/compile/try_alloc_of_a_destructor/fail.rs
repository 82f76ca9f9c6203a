// error: E0080 alloc_box
// A reference to what has a destructor would never run it: `try_alloc`.

use framealloc_core::Arena;

pub fn main() {
    let arena = Arena::new();
    arena.try_alloc(vec![1]).unwrap();
}
