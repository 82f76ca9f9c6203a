// Who writes a backend signs its contract.

use framealloc_core::{AllocConfig, AllocationResult, AllocatorBackend, SmartAlloc, SystemBackend};
use std::alloc::Layout;
use std::ptr::NonNull;

struct Counted(SystemBackend, usize);

unsafe impl AllocatorBackend for Counted {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        self.1 += 1;
        self.0.allocate(layout)
    }

    unsafe fn deallocate(&mut self, memory: NonNull<u8>, layout: Layout) {
        unsafe { self.0.deallocate(memory, layout) }
    }
}

pub fn main() {
    let backend = Box::new(Counted(SystemBackend::new(), 0));
    SmartAlloc::new(AllocConfig::default().with_backend(backend)).frame().alloc(1);
}
