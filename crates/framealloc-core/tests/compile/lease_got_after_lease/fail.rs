// error: E0505
// A reference got through a lease does not outlive it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let lease = alloc.lease();
    let camera = lease.get(lease.publish(7)).unwrap();
    drop(lease);
    assert_eq!(*camera, 7);
}
