// error: E0277
// A pool box is shared as its value is.

use framealloc_core::SmartAlloc;

/// `Sync`, in an error of one line.
trait Shareable {}

#[diagnostic::do_not_recommend]
impl<T: Sync> Shareable for T {}

fn share(_: &impl Shareable) {}

pub fn main() {
    let alloc = SmartAlloc::default();
    share(&alloc.pool_box(std::cell::Cell::new(1)));
}
