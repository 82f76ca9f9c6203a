// A pool box is sent as its value is.

use framealloc_core::SmartAlloc;

/// `Send`, in an error of one line.
trait Sendable {}

#[diagnostic::do_not_recommend]
impl<T: Send> Sendable for T {}

fn send(_: impl Sendable) {}

pub fn main() {
    let alloc = SmartAlloc::default();
    send(alloc.pool_box(std::sync::Arc::new(1)));
}
