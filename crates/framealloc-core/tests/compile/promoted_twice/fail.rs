// error: E0382
// A promoted value has left its frame.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let found = alloc.frame_box(String::from("boss"));
    assert_eq!(*alloc.promote(found), "boss");
    assert_eq!(*alloc.promote(found), "boss");
}
