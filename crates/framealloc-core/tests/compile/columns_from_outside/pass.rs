// Columns are of tuples; nobody lays out others.

use framealloc_core::{Columns, SmartAlloc};

#[derive(Default)]
struct Body;

fn columns<C: Columns>() {}

pub fn main() {
    columns::<(Body, u32)>();
    assert_eq!(SmartAlloc::default().frame_columns::<(Body,)>(3).0.len(), 3);
}
