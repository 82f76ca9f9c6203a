// error: E0502
// A reference got by a handle does not outlive the frame it was asked of.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let handle = alloc.publish(String::from("main"));
    let camera = alloc.get(handle).unwrap();
    alloc.end_frame();
    assert_eq!(camera, "main");
}
