// A trait object does not outlive what it borrows by being unsized again.

use framealloc_core::{FrameBox, SmartAlloc, unsize};

type Read<'f, 'a> = FrameBox<'f, dyn Fn() -> i32 + 'a>;

fn again<'f, 'a>(read: Read<'f, 'a>) -> Read<'f, 'a> {
    unsize!(read)
}

pub fn main() {
    let alloc = SmartAlloc::default();
    let read = unsize!(alloc.frame_box(|| 7) => dyn Fn() -> i32);
    assert_eq!(again(read)(), 7);
}
