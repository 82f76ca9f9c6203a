// error: E0515
// What a task returns does not borrow its lease.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let lease = alloc.lease();
    let task = std::thread::spawn(move || lease.frame_box(7));
    assert_eq!(*task.join().unwrap(), 7);
}
