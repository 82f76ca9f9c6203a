//! One buffer, cut into blocks: memory that never grows.
//!
//! Promises that nothing outside of the buffer is handed out and that freed neighbours become one block again. Its
//! book-keeping is a short list outside of the buffer, so that all of the buffer can be used and an overrun in a
//! block cannot corrupt it.

use alloc::boxed::Box;
use core::alloc::Layout;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::ranges::Ranges;
use super::{AllocationResult, AllocatorBackend};
use crate::annotate;
use crate::error::{AllocError, AllocErrorKind};

/// Memory from one buffer that never grows: for consoles, for tests, for a program that must not ask for more.
///
/// A request that no gap of the buffer can hold is [`Failed`](AllocationResult::Failed), so that the allocator reports
/// an error; after [`with_fallback`](Self::with_fallback) the next backend is asked instead. A buffer of a few bytes,
/// or of none, is legal and refuses whatever it cannot hold.
///
/// Chunks and slabs are large and aligned (a slab of 64 KiB to its size): give the buffer at least the bytes of the
/// smallest frame chunk for each thread.
///
/// ```
/// use framealloc_core::{AllocatorBackend, AllocationResult, FixedBackend};
/// use core::alloc::Layout;
///
/// let mut backend = FixedBackend::new(1 << 16);
/// let layout = Layout::from_size_align(1 << 15, 64).unwrap();
/// assert!(matches!(backend.allocate(layout), AllocationResult::Ok(_)));
/// assert!(matches!(backend.allocate(layout), AllocationResult::Ok(_)));
/// assert_eq!(backend.allocate(layout), AllocationResult::Failed);
/// assert_eq!(backend.available(), 0);
/// ```
#[derive(Debug)]
pub struct FixedBackend {
    base: NonNull<u8>,
    size: usize,
    ranges: Ranges,
    /// How to give the buffer back, if it is ours and is memory at all.
    owned: Option<Layout>,
    fallback: bool,
}

// SAFETY: the buffer is either `'static` and was borrowed exclusively for good, or is owned as a box owns it; nothing
// here refers to the thread that made it.
unsafe impl Send for FixedBackend {}

impl FixedBackend {
    /// The alignment of a buffer that [`new`](Self::new) makes, as far as its size justifies it: that of a slab.
    const ALIGN: usize = 64 * 1024;

    /// A buffer of `bytes` bytes from the program's global allocator, given back on drop.
    ///
    /// It is aligned for slabs (64 KiB) if it is at least as large as one.
    ///
    /// # Panics
    ///
    /// If there is no memory for it; [`try_new`](Self::try_new) returns an error.
    #[must_use]
    #[track_caller]
    pub fn new(bytes: usize) -> Self {
        Self::try_new(bytes).unwrap_or_else(|error| error.raise())
    }

    /// [`new`](Self::new), with an error where there is no memory.
    ///
    /// # Errors
    ///
    /// [`AllocErrorKind::OutOfMemory`] if the global allocator refuses, and
    /// [`AllocErrorKind::CapacityOverflow`] if `bytes`, rounded up to their alignment, are more than `isize::MAX`.
    pub fn try_new(bytes: usize) -> Result<Self, AllocError> {
        let align = if bytes < Self::ALIGN { 64 } else { Self::ALIGN };
        let layout = Layout::from_size_align(bytes, align).map_err(|_| AllocError::capacity(bytes, 1))?;
        if bytes == 0 {
            return Ok(Self::over(NonNull::dangling(), 0, None));
        }
        // SAFETY: the size is not 0.
        let base = NonNull::new(unsafe { alloc::alloc::alloc(layout) })
            .ok_or(AllocError::new(AllocErrorKind::OutOfMemory { size: bytes, align }))?;
        Ok(Self::over(base, bytes, Some(layout)))
    }

    /// A buffer that lives as long as the program, for example a `static` taken once.
    ///
    /// ```
    /// use core::mem::MaybeUninit;
    /// use framealloc_core::FixedBackend;
    /// let buffer: &'static mut [MaybeUninit<u8>] = Box::leak(Box::new_uninit_slice(4096));
    /// assert_eq!(FixedBackend::from_static(buffer).capacity(), 4096);
    /// ```
    #[must_use]
    pub fn from_static(buffer: &'static mut [MaybeUninit<u8>]) -> Self {
        let size = buffer.len();
        Self::over(NonNull::from(buffer).cast(), size, None)
    }

    /// A buffer in a box, dropped with the backend.
    #[must_use]
    pub fn from_boxed(buffer: Box<[MaybeUninit<u8>]>) -> Self {
        let layout = Layout::for_value(&*buffer);
        let buffer = NonNull::from(Box::leak(buffer));
        Self::over(buffer.cast(), layout.size(), (layout.size() > 0).then_some(layout))
    }

    fn over(base: NonNull<u8>, size: usize, owned: Option<Layout>) -> Self {
        annotate::withheld(base.as_ptr(), size);
        Self { base, size, ranges: Ranges::new(base.addr().get(), size), owned, fallback: false }
    }

    /// What the buffer cannot hold is asked of the next backend in the chain instead of being refused.
    #[must_use]
    pub fn with_fallback(mut self) -> Self {
        self.fallback = true;
        self
    }

    /// Bytes of the buffer.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.size
    }

    /// Bytes of the buffer that are free now, in one piece or in several.
    #[must_use]
    pub fn available(&self) -> usize {
        self.ranges.available()
    }
}

// SAFETY: `Ranges` hands out aligned, disjoint ranges inside of the buffer, which is exclusively ours until drop; the
// backend holds it by pointer, so that moving the backend does not move it. Nothing here calls user code.
unsafe impl AllocatorBackend for FixedBackend {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        match if layout.size() == 0 { None } else { self.ranges.take(layout) } {
            Some(address) => {
                // SAFETY: the range lies inside of the buffer.
                let ptr = unsafe { self.base.add(address - self.base.addr().get()) };
                annotate::passed_on(ptr.as_ptr(), layout.size());
                AllocationResult::Ok(NonNull::slice_from_raw_parts(ptr, layout.size()))
            }
            None if self.fallback => AllocationResult::Fallback,
            None => AllocationResult::Failed,
        }
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        annotate::withheld(ptr.as_ptr(), layout.size());
        self.ranges.give(ptr.addr().get(), layout.size());
    }

    fn name(&self) -> &'static str {
        "fixed"
    }
}

impl Drop for FixedBackend {
    fn drop(&mut self) {
        annotate::passed_on(self.base.as_ptr(), self.size);
        if let Some(layout) = self.owned {
            // SAFETY: the buffer came from the global allocator with this layout (a box's is that of its value),
            // and by the trait's contract no block of it is used after the backend is gone.
            unsafe { alloc::alloc::dealloc(self.base.as_ptr(), layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    fn take(backend: &mut FixedBackend, layout: Layout) -> NonNull<u8> {
        match backend.allocate(layout) {
            AllocationResult::Ok(memory) => {
                assert_eq!(memory.len(), layout.size());
                let ptr = memory.cast::<u8>();
                assert_eq!(ptr.addr().get() % layout.align(), 0);
                // SAFETY: the block is `layout.size()` bytes and ours.
                unsafe { ptr.write_bytes(0xa5, layout.size()) };
                ptr
            }
            other => panic!("{other:?}"),
        }
    }

    fn give(backend: &mut FixedBackend, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the tests give back what they took, with its layout, once.
        unsafe { backend.deallocate(ptr, layout) }
    }

    #[test]
    fn the_whole_buffer_can_be_used_again_in_any_order() {
        let slab = layout(1 << 16, 1 << 16);
        let mut backend = FixedBackend::new(4 << 16);
        for order in [[0usize, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            let blocks: Vec<_> = (0..4).map(|_| take(&mut backend, slab)).collect();
            assert_eq!(backend.allocate(layout(1, 1)), AllocationResult::Failed);
            for i in order {
                give(&mut backend, blocks[i], slab);
            }
            let all = layout(4 << 16, 1 << 16);
            let whole = take(&mut backend, all);
            give(&mut backend, whole, all);
            assert_eq!(backend.available(), backend.capacity());
        }
    }

    #[test]
    fn exhaustion_fails_or_falls_back_as_chosen() {
        assert_eq!(FixedBackend::new(100).allocate(layout(101, 1)), AllocationResult::Failed);
        assert_eq!(FixedBackend::new(100).with_fallback().allocate(layout(101, 1)), AllocationResult::Fallback);
    }

    #[test]
    fn tiny_and_empty_buffers_refuse_what_they_cannot_hold() {
        let empty: Box<[MaybeUninit<u8>]> = Box::new([]);
        for mut backend in [FixedBackend::new(0), FixedBackend::from_static(&mut []), FixedBackend::from_boxed(empty)] {
            assert_eq!(backend.capacity(), 0);
            assert_eq!(backend.allocate(layout(1, 1)), AllocationResult::Failed);
        }
        for bytes in 1..64 {
            let mut backend = FixedBackend::new(bytes);
            assert_eq!(backend.allocate(layout(bytes + 1, 1)), AllocationResult::Failed);
            let ptr = take(&mut backend, layout(bytes, 1));
            give(&mut backend, ptr, layout(bytes, 1));
        }
    }

    #[test]
    fn an_unaligned_buffer_hands_out_aligned_blocks() {
        static mut BUFFER: [MaybeUninit<u8>; 3 << 12] = [MaybeUninit::uninit(); 3 << 12];
        // SAFETY: nothing but this test, which runs once, knows of the buffer.
        let buffer = unsafe { (&raw mut BUFFER).as_mut() }.unwrap();
        let mut backend = FixedBackend::from_static(&mut buffer[13..]);
        let page = layout(4096, 4096);
        let block = take(&mut backend, page);
        give(&mut backend, block, page);
        assert_eq!(backend.available(), (3 << 12) - 13);
    }

    #[test]
    fn a_boxed_buffer_is_given_back_and_survives_a_move() {
        let mut backend = FixedBackend::from_boxed(Box::new_uninit_slice(1000));
        let ptr = take(&mut backend, layout(1000, 1));
        let mut moved = Box::new(backend);
        // SAFETY: the block was filled by `take` and is still ours.
        assert_eq!(unsafe { ptr.add(999).read() }, 0xa5);
        give(&mut moved, ptr, layout(1000, 1));
    }

    #[test]
    fn a_size_that_no_block_may_have_is_an_error() {
        let error = FixedBackend::try_new(usize::MAX).unwrap_err();
        assert_eq!(error.kind(), AllocErrorKind::CapacityOverflow { count: usize::MAX, size: 1 });
        // A sanitizer's allocator ends the program instead.
        #[cfg(not(asan))]
        assert!(matches!(
            FixedBackend::try_new(isize::MAX as usize & !0xffff).unwrap_err().kind(),
            AllocErrorKind::OutOfMemory { .. }
        ));
    }
}
