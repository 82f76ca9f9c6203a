//! The program's global allocator as a backend: the default, and the last of every chain.
//!
//! Promises on Linux that the pages of a large block are back with the operating system when it is freed, whatever the
//! global allocator keeps for later.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::{AllocationResult, AllocatorBackend};

/// Memory from the program's global allocator (`#[global_allocator]`, or the system's where none is set).
///
/// On Linux the whole pages inside a block of 64 KiB or more are handed back to the operating system when the block is
/// freed, so that a load spike does not stay in the global allocator's heap.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemBackend {
    _private: (),
}

impl SystemBackend {
    /// The backend.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

// SAFETY: the global allocator keeps the contract of `GlobalAlloc`, which says all that is asked here.
unsafe impl AllocatorBackend for SystemBackend {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        if layout.size() == 0 {
            return AllocationResult::Failed;
        }
        // SAFETY: the size is not 0.
        AllocationResult::from_raw(unsafe { alloc::alloc::alloc(layout) }, layout.size())
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        #[cfg(all(feature = "std", target_os = "linux"))]
        // SAFETY: the block is the caller's to give up until `dealloc` below.
        unsafe {
            drop_pages(ptr, layout.size());
        }
        // SAFETY: the caller promises that `ptr` came from `allocate` with this layout.
        unsafe { alloc::alloc::dealloc(ptr.as_ptr(), layout) }
    }

    fn name(&self) -> &'static str {
        "system"
    }
}

/// Lets the operating system have the whole pages inside a block; it reads as zeros, or as it did, afterwards.
///
/// A global allocator may keep a freed block in its heap for later, and with it the pages. Dropping them first is
/// sound because every byte of the block is ours to overwrite until `dealloc`: no allocator may keep anything of
/// its own there, and the pages that the block shares with its neighbours are left alone. What cannot be dropped
/// (locked or special mappings) stays as it is, which is why the result does not matter.
///
/// # Safety
///
/// The `size` bytes at `ptr` belong to the caller, who does not need what is in them.
#[cfg(all(feature = "std", target_os = "linux"))]
unsafe fn drop_pages(ptr: NonNull<u8>, size: usize) {
    /// Below this, a system call costs more than the pages are worth.
    const LARGE: usize = 64 * 1024;
    if size < LARGE {
        return;
    }
    let page = rustix::param::page_size();
    let head = ptr.addr().get().wrapping_neg() & (page - 1);
    let Some(inner) = size.checked_sub(head).map(|rest| rest & !(page - 1)).filter(|&inner| inner > 0) else {
        return;
    };
    // SAFETY: `head + inner <= size`, so that the pages lie inside of the caller's block.
    let _ = unsafe { rustix::mm::madvise(ptr.as_ptr().add(head).cast(), inner, rustix::mm::Advice::LinuxDontNeed) };
}

#[cfg(all(test, feature = "std", target_os = "linux"))]
mod tests {
    use super::*;
    use crate::backend::Source;
    use crate::backend::scripted::{alone, resident};
    use crate::governor::{Resource, Ungoverned};
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    #[test]
    fn a_spike_goes_back_to_the_operating_system() {
        alone(module_path!(), "a_spike_goes_back_to_the_operating_system", || {
            let source = Source::new(Vec::new(), Arc::new(Ungoverned));
            let layout = Layout::from_size_align(1 << 20, 64).unwrap();
            // Twice: after the first free, glibc serves blocks of this size from its heap and keeps them there.
            for _ in 0..2 {
                let before = resident();
                let mut blocks: Vec<_> =
                    (0..257).map(|_| source.take(Resource::Chunk, layout, 1).expect("memory")).collect();
                for block in &blocks {
                    // SAFETY: the block is ours and this long.
                    unsafe { block.ptr.write_bytes(1, block.layout.size()) };
                }
                assert!(resident() > before + (200 << 20), "the pages were touched");
                // The topmost block stays, so that the heap cannot shrink from its end.
                let top = blocks.iter().enumerate().max_by_key(|(_, block)| block.ptr).expect("blocks").0;
                let top = blocks.swap_remove(top);
                for block in blocks {
                    // SAFETY: taken above, and not used again.
                    unsafe { source.give_back(Resource::Chunk, block) };
                }
                let after = resident();
                // A quarter: a sanitizer keeps an eighth, for its shadow.
                assert!(after < before + (64 << 20), "{before} bytes before, {after} after");
                // SAFETY: taken above, and not used again.
                unsafe { source.give_back(Resource::Chunk, top) };
            }
        });
    }

    #[test]
    fn neighbours_of_a_freed_block_keep_their_bytes() {
        let page = rustix::param::page_size();
        let mut buffer = alloc::vec![7u8; 40 * page];
        for (start, size) in [(1, 33 * page), (page, 32 * page), (page - 1, 32 * page + 2), (5, 64 * 1024)] {
            buffer.fill(7);
            // SAFETY: the range lies inside of the buffer, and its content is not needed.
            unsafe { drop_pages(NonNull::from(&mut buffer[start]), size) };
            assert!(buffer[..start].iter().chain(&buffer[start + size..]).all(|&byte| byte == 7));
        }
    }
}
