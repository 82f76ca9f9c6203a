// error: E0277
// A box becomes a trait object of a trait its value implements.

use framealloc_core::{SmartAlloc, unsize};
use std::fmt::Display;

pub fn main() {
    let alloc = SmartAlloc::default();
    let shape = unsize!(alloc.frame_box([7, 8]) => dyn Display);
    assert_eq!(shape.to_string(), "7");
}
