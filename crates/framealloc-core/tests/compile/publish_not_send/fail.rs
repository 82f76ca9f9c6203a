// error: E0277
// What is published may be dropped on any thread.

use framealloc_core::SmartAlloc;
use std::sync::Mutex;

static SCORE: Mutex<u32> = Mutex::new(7);

pub fn main() {
    let alloc = SmartAlloc::default();
    let handle = alloc.publish(SCORE.lock().unwrap());
    assert!(alloc.get(handle).is_ok());
}
