// A lease ends no frame.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let mut lease = alloc.lease();
    lease.frame().alloc(1);
    let lease = &mut lease;
    assert!(lease.stats().leases == 1);
    alloc.begin_frame();
}
