// A reference to what has a destructor would never run it: `FrameVec::into_slice`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let frame = alloc.frame();
    let _ = frame.collect([String::new()]).into_boxed_slice();
}
