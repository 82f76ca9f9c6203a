// error: E0080 alloc_box
// A reference to what has a destructor would never run it: `Scope::alloc`.

use framealloc_core::Arena;

pub fn main() {
    let mut arena = Arena::new();
    arena.scope(|scope| {
        scope.alloc(String::from("crate"));
    });
}
