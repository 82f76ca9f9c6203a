// error: E0382
// A published vector is no longer its maker's.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let mut hits = alloc.frame_collect([1, 2, 3]);
    hits.push(4);
    let handle = alloc.publish_vec(hits);
    hits.push(5);
    assert_eq!(alloc.get(handle).unwrap().len(), 4);
}
