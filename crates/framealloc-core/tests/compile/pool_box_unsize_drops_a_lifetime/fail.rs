// error: E0597
// A trait object in a pool keeps the lifetime of what it borrows.

use framealloc_core::{PoolBox, SmartAlloc, unsize};

pub fn main() {
    let alloc = SmartAlloc::default();
    let score = 7;
    let read: PoolBox<dyn Fn() -> i32 + 'static> = unsize!(alloc.pool_box(|| *&score));
    assert_eq!(read(), 7);
}
