// There is one owner of an allocator, and so one who ends its frames.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let other = alloc.lease();
    other.frame().alloc(1);
}
