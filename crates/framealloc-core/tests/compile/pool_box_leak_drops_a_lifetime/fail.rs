// error: E0597
// A leaked pool box keeps the lifetime of what its value borrows.

use framealloc_core::{PoolBox, SmartAlloc};

pub fn main() {
    let alloc = SmartAlloc::default();
    let score = 7;
    let leaked: &'static mut &i32 = PoolBox::leak(alloc.pool_box(&score));
    assert_eq!(**leaked, 7);
}
