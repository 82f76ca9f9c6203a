// error: E0505
// What a task allocates does not outlive its lease.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let lease = alloc.lease();
    let name = lease.frame_box(String::from("crate"));
    drop(lease);
    drop(name);
}
