// A reference into a sealed frame does not outlive it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let handle = alloc.publish(7);
    let sealed = alloc.seal_frame();
    let camera = sealed.get(handle).unwrap();
    assert_eq!(*camera, 7);
    drop(sealed);
}
