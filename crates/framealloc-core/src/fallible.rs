//! One body for the two kinds of allocator: those that panic and unwind where there is no memory, as collections that
//! grow without asking need it, and [`Fallible`] ones that return the error.

use core::alloc::Layout;
use core::ptr::NonNull;

use allocator_api2::alloc::{AllocError as NoMemory, Allocator};

use crate::error::AllocError;

/// An allocator with an error that has a text.
///
/// # Safety
///
/// As for [`Allocator`]: a block is valid until it is released or resized, also if the allocator is moved, and may be
/// given back through any clone.
pub unsafe trait TryAllocator {
    /// A block for `layout`, perhaps longer; it may be released with any size between the two.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    #[track_caller]
    fn try_allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError>;

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`].
    unsafe fn release(&self, memory: NonNull<u8>, layout: Layout);

    /// Makes a block for `old` one for `new`, which may be larger or smaller, with the bytes that both have.
    ///
    /// # Errors
    ///
    /// If there is no memory; the block is as it was.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow`], without its demand that `new` be larger.
    #[track_caller]
    unsafe fn try_resize(&self, memory: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: by the caller's promise.
        unsafe { self.relocate(memory, old, new) }
    }

    /// [`try_resize`](Self::try_resize) by a new block and a copy.
    ///
    /// # Errors
    ///
    /// If there is no memory; the block is as it was.
    ///
    /// # Safety
    ///
    /// As for [`try_resize`](Self::try_resize).
    #[track_caller]
    unsafe fn relocate(&self, memory: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let moved = self.try_allocate(new)?;
        // SAFETY: the blocks are distinct, both are valid for the smaller size, and the old one is not used afterwards.
        unsafe {
            moved.cast::<u8>().copy_from_nonoverlapping(memory, old.size().min(new.size()));
            self.release(memory, old);
        }
        Ok(moved)
    }

    /// A larger block, whose bytes above the old size are 0.
    ///
    /// # Errors
    ///
    /// If there is no memory; the block is as it was.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow_zeroed`].
    #[track_caller]
    unsafe fn try_grow_zeroed(
        &self,
        memory: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: by the caller's promise; the block has at least the new size.
        unsafe {
            let grown = self.try_resize(memory, old, new)?;
            grown.cast::<u8>().add(old.size()).write_bytes(0, grown.len() - old.size());
            Ok(grown)
        }
    }
}

/// An allocator that returns an error where there is no memory, instead of the panic: for collections that are grown
/// by `try_reserve` and other `try_` methods only. One that grows without asking makes an abort of the error.
///
/// ```
/// use framealloc_core::SmartAlloc;
/// use allocator_api2::vec::Vec;
/// let alloc = SmartAlloc::default();
/// let mut list: Vec<u32, _> = Vec::new_in(alloc.pool().fallible());
/// assert!(list.try_reserve_exact(100).is_ok());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Fallible<A>(pub(crate) A);

// SAFETY: forwards to an allocator that keeps the same contract.
unsafe impl<A: TryAllocator> Allocator for Fallible<A> {
    #[inline]
    #[track_caller]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        self.0.try_allocate(layout).map_err(|_| NoMemory)
    }

    #[inline]
    unsafe fn deallocate(&self, memory: NonNull<u8>, layout: Layout) {
        // SAFETY: the two contracts are the same.
        unsafe { self.0.release(memory, layout) }
    }

    #[inline]
    #[track_caller]
    unsafe fn grow(&self, memory: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        // SAFETY: as above.
        unsafe { self.0.try_resize(memory, old, new) }.map_err(|_| NoMemory)
    }

    #[inline]
    #[track_caller]
    unsafe fn grow_zeroed(&self, memory: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        // SAFETY: as above.
        unsafe { self.0.try_grow_zeroed(memory, old, new) }.map_err(|_| NoMemory)
    }

    #[inline]
    #[track_caller]
    unsafe fn shrink(&self, memory: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        // SAFETY: as above.
        unsafe { self.0.try_resize(memory, old, new) }.map_err(|_| NoMemory)
    }
}
