//! Bytes in use, in a process that does nothing else meanwhile.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::hint::black_box;

use meter::heap_bytes;

#[test]
fn bytes_in_use_are_seen_to_grow_and_to_fall() {
    let before = heap_bytes().unwrap();
    let blocks = [1 << 10, 64 << 10, 64 << 20].map(|size| black_box(vec![1u8; size]));
    let held = heap_bytes().unwrap() - before;
    assert!((64 << 20..66 << 20).contains(&held), "{held}");
    drop(blocks);
    assert!(heap_bytes().unwrap() < before + (2 << 20));
}
