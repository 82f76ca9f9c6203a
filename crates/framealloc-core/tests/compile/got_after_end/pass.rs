// A reference got by a handle does not outlive the frame it was asked of.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let handle = alloc.publish(String::from("main"));
    let camera = alloc.get(handle).unwrap();
    assert_eq!(camera, "main");
    alloc.end_frame();
}
