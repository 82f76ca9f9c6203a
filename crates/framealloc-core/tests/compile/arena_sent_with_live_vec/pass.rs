// No arena moves to another thread while a vector in it is alive.

use framealloc_core::Arena;

pub fn main() {
    let arena = Arena::new();
    let costs = arena.collect([1, 2]);
    assert_eq!(costs.into_slice().len(), 2);
    std::thread::spawn(move || drop(arena)).join().unwrap();
}
