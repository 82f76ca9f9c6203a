// error: E0277
// A vector is not shared, since it hands out its frame; its slice may be.

use framealloc_core::{SmartAlloc, frame_vec};

/// `Sync`, in an error of one line.
trait Shareable {}

#[diagnostic::do_not_recommend]
impl<T: Sync> Shareable for T {}

fn share(_: &impl Shareable) {}

pub fn main() {
    let alloc = SmartAlloc::default();
    share(&frame_vec![in alloc; 1, 2]);
}
