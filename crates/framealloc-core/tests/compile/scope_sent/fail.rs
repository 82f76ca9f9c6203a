// error: E0277
// A scope stays on the thread of its arena.

use framealloc_core::Arena;

/// `Send`, in an error of one line.
trait Sendable {}

#[diagnostic::do_not_recommend]
impl<T: Send> Sendable for T {}

fn send(_: impl Sendable) {}

pub fn main() {
    let mut arena = Arena::new();
    arena.scope(|scope| {
        send(scope);
    });
}
