// No frame ends while a thread may allocate in it.

use framealloc_core::SmartAlloc;

pub fn main() {
    let mut alloc = SmartAlloc::default();
    std::thread::scope(|threads| {
        threads.spawn(|| alloc.frame().alloc(1) as *const i32 as usize);
    });
    alloc.end_frame();
}
