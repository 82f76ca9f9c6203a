//! Where memory comes from: the operating system, the program's allocator, a buffer, or the user's own code.
//!
//! Promises that every block goes back to the backend it came from, with the layout it was taken with: the owner is
//! recorded with the block. Knows nothing of arenas and pools.

use alloc::boxed::Box;
use core::alloc::Layout;
use core::ptr::NonNull;

mod fixed;
#[cfg(all(feature = "std", target_os = "linux"))]
mod mmap;
#[cfg(all(feature = "std", target_os = "linux"))]
mod numa;
mod ranges;
#[cfg(all(test, feature = "std"))]
#[cfg_attr(loom, allow(dead_code, reason = "most of its users are not compiled with the models"))]
pub(crate) mod scripted;
#[cfg(feature = "std")]
mod source;
mod system;

pub use fixed::FixedBackend;
#[cfg(all(feature = "std", target_os = "linux"))]
pub use mmap::{HugePages, MmapBackend, MmapMonitor, MmapReport};
#[cfg(all(feature = "std", target_os = "linux"))]
pub use numa::{NumaBackend, NumaMonitor, NumaReport, current_node, online_nodes};
#[cfg(feature = "std")]
pub(crate) use source::{Refusals, Source, Staged, ask, let_act};
pub use system::SystemBackend;

use crate::error::{AllocError, AllocErrorKind};

/// A backend's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocationResult {
    /// Memory of at least the size asked for.
    Ok(NonNull<[u8]>),
    /// Not mine: the next backend in the chain is asked.
    Fallback,
    /// There is none, and the chain ends here.
    Failed,
}

impl AllocationResult {
    /// `size` bytes at `ptr`; a null pointer is [`Failed`](Self::Failed).
    #[must_use]
    pub fn from_raw(ptr: *mut u8, size: usize) -> Self {
        NonNull::new(ptr).map_or(Self::Failed, |ptr| Self::Ok(NonNull::slice_from_raw_parts(ptr, size)))
    }
}

/// A source of memory for chunks, slabs and large blocks. Called on cold paths only, one call at a time.
///
/// ```
/// use core::alloc::Layout;
/// use core::ptr::NonNull;
/// use framealloc_core::{AllocationResult, AllocatorBackend, SystemBackend};
///
/// /// Leaves what is larger than a console's DMA window to the next backend.
/// struct Window(SystemBackend);
///
/// // SAFETY: memory comes from `SystemBackend` and goes back to it with the layout it was asked for.
/// unsafe impl AllocatorBackend for Window {
///     fn allocate(&mut self, layout: Layout) -> AllocationResult {
///         if layout.size() > 1 << 20 { AllocationResult::Fallback } else { self.0.allocate(layout) }
///     }
///     unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
///         // SAFETY: the caller's promise is handed on unchanged.
///         unsafe { self.0.deallocate(ptr, layout) }
///     }
/// }
///
/// let mut window = Window(SystemBackend::new());
/// assert_eq!(window.allocate(Layout::new::<[u8; 2 << 20]>()), AllocationResult::Fallback);
/// ```
///
/// # Safety
///
/// Memory returned as [`AllocationResult::Ok`] must be valid for reads and writes, at least `layout.size()` bytes long,
/// aligned to `layout.align()`, and belong to the caller alone until it is passed to
/// [`deallocate`](Self::deallocate) or the backend is dropped. Moving the backend, or sending it to another thread,
/// must not invalidate it. A backend must not call into the allocator that it serves. If `allocate` unwinds, nothing
/// was allocated; if `deallocate` unwinds, the memory counts as given back.
///
/// Misaligned or short memory is refused with an error and never given back; overlapping memory likewise, but it is
/// detected in debug builds only.
pub unsafe trait AllocatorBackend: Send {
    /// Memory for `layout`, whose size is never 0.
    fn allocate(&mut self, layout: Layout) -> AllocationResult;

    /// Takes memory back.
    ///
    /// # Safety
    ///
    /// `ptr` came from this backend's [`allocate`](Self::allocate) with this very `layout`, was not given back
    /// since, and is not used afterwards.
    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout);

    /// A short name for reports.
    fn name(&self) -> &'static str {
        "custom"
    }
}

// SAFETY: forwards to the backend in the box.
unsafe impl AllocatorBackend for Box<dyn AllocatorBackend> {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        (**self).allocate(layout)
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is handed on unchanged.
        unsafe { (**self).deallocate(ptr, layout) }
    }

    fn name(&self) -> &'static str {
        (**self).name()
    }
}

/// Memory from the chain, with all that is needed to give it back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) ptr: NonNull<u8>,
    pub(crate) layout: Layout,
    /// Which backend it came from, in the words of whoever took it: only they read it.
    pub(crate) owner: u32,
}

/// What a backend returned, if it can be used: alignment and length are never believed.
pub(crate) fn check(memory: NonNull<[u8]>, layout: Layout) -> Result<NonNull<u8>, AllocError> {
    let ptr = memory.cast::<u8>();
    let address = ptr.addr().get();
    if address & (layout.align() - 1) != 0 {
        return Err(AllocError::new(AllocErrorKind::Misaligned { address, align: layout.align() }));
    }
    if memory.len() < layout.size() {
        return Err(AllocError::new(AllocErrorKind::Short { returned: memory.len(), requested: layout.size() }));
    }
    // What the bump's arithmetic relies on. The top of the address space belongs to the operating system.
    if address > usize::MAX - crate::bump::HEADROOM - layout.size() {
        return Err(AllocError::new(AllocErrorKind::Overlapping { address, size: layout.size() }));
    }
    Ok(ptr)
}

/// The blocks that are out, to find a backend that hands memory out twice. Empty, and always content, in release builds.
#[derive(Default)]
pub(crate) struct Live {
    /// The end of each block by its start.
    #[cfg(debug_assertions)]
    blocks: alloc::collections::BTreeMap<usize, usize>,
}

impl Live {
    pub(crate) const fn new() -> Self {
        Self {
            #[cfg(debug_assertions)]
            blocks: alloc::collections::BTreeMap::new(),
        }
    }

    /// Notes a block, unless it overlaps another one.
    pub(crate) fn add(&mut self, ptr: NonNull<u8>, size: usize) -> Result<(), AllocError> {
        #[cfg(debug_assertions)]
        {
            let address = ptr.addr().get();
            if self.blocks.range(..address + size).next_back().is_some_and(|(_, &end)| end > address) {
                return Err(AllocError::new(AllocErrorKind::Overlapping { address, size }));
            }
            self.blocks.insert(address, address + size);
        }
        let _ = (ptr, size);
        Ok(())
    }

    pub(crate) fn remove(&mut self, ptr: NonNull<u8>) {
        #[cfg(debug_assertions)]
        self.blocks.remove(&ptr.addr().get());
        let _ = ptr;
    }
}
