// error: E0277
// A backend serves every thread in turn.

use framealloc_core::{AllocConfig, AllocationResult, AllocatorBackend, SmartAlloc, SystemBackend};
use std::alloc::Layout;
use std::ptr::NonNull;

struct Counted(SystemBackend, std::rc::Rc<usize>);

unsafe impl AllocatorBackend for Counted {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        self.0.allocate(layout)
    }

    unsafe fn deallocate(&mut self, memory: NonNull<u8>, layout: Layout) {
        unsafe { self.0.deallocate(memory, layout) }
    }
}

pub fn main() {
    let backend = Counted(SystemBackend::new(), 7.into());
    assert_eq!(*backend.1, 7);
    SmartAlloc::new(AllocConfig::default().with_backend(Box::new(backend))).frame().alloc(1);
}
