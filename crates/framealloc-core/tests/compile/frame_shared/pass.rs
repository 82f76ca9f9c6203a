// A thread's view of a frame is not shared.

use framealloc_core::SmartAlloc;

/// `Sync`, in an error of one line.
trait Shareable {}

#[diagnostic::do_not_recommend]
impl<T: Sync> Shareable for T {}

fn share(_: &impl Shareable) {}

pub fn main() {
    let alloc = SmartAlloc::default();
    share(&alloc);
}
