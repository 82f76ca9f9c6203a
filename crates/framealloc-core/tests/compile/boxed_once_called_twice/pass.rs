// A boxed closure that is called once is used up.

use framealloc_core::{FrameBox, OnceFn, SmartAlloc, unsize};

pub fn main() {
    let alloc = SmartAlloc::default();
    let text = String::from("moved out");
    let job: FrameBox<'_, dyn OnceFn<(), Output = String>> = unsize!(alloc.frame_box(move || text));
    assert_eq!(FrameBox::call_once(job, ()), "moved out");
}
