// A reference to what has a destructor would never run it: `alloc_uninit`.

use framealloc_core::Arena;

pub fn main() {
    let arena = Arena::new();
    arena.alloc_uninit::<&str>();
}
