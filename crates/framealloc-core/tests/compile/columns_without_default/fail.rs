// error: E0277
// Columns are filled with default values.

use framealloc_core::SmartAlloc;

struct Body;

pub fn main() {
    let alloc = SmartAlloc::default();
    let bodies = alloc.frame_columns::<(Body, u32)>(3).0;
    assert_eq!(bodies.len(), 3);
}
