// A reference to what has a destructor would never run it: `alloc_uninit_slice`.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let frame = alloc.frame();
    frame.alloc_uninit_slice::<&str>(3);
}
