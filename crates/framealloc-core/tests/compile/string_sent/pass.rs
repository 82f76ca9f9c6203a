// A string stays on the thread of its frame; frozen into a box it may leave.

use framealloc_core::SmartAlloc;

/// `Send`, in an error of one line.
trait Sendable {}

#[diagnostic::do_not_recommend]
impl<T: Send> Sendable for T {}

fn send(_: impl Sendable) {}

pub fn main() {
    let alloc = SmartAlloc::default();
    send(alloc.frame_string().into_boxed_str());
}
