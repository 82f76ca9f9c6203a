// error: E0596
// A lease ends no frame.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    let mut lease = alloc.lease();
    lease.frame().alloc(1);
    let lease = &mut lease;
    assert!(lease.try_end_frame().is_err());
    alloc.begin_frame();
}
