// error: E0594
// What a handle names is read, not written.

use framealloc_core::SmartAlloc;
use std::sync::Mutex;

pub fn main() {
    let alloc = SmartAlloc::default();
    let score = alloc.get(alloc.publish((1, Mutex::new(1)))).unwrap();
    score.0 += 1;
    assert!(score.0 == 1);
}
