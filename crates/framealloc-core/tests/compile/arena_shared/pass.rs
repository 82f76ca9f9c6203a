// An arena is sent, not shared.

use framealloc_core::Arena;

/// `Sync`, in an error of one line.
trait Shareable {}

#[diagnostic::do_not_recommend]
impl<T: Sync> Shareable for T {}

fn share(_: &impl Shareable) {}

pub fn main() {
    let arena = Arena::new();
    share(&arena.alloc(1));
}
