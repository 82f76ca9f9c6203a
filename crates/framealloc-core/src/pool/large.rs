//! Blocks above the largest class, and every [`HeapBox`](super::HeapBox): straight from the backend, with what is
//! needed to give them back in front of them.

use core::alloc::Layout;
use core::ptr::NonNull;
use std::sync::Arc;

use super::shared::PoolCore;
use crate::annotate;
use crate::backend::Block;
use crate::bump::round_up;
use crate::error::AllocError;

/// What stands right before a large block.
struct Header {
    block: Block,
    /// A counted reference, so that the core outlives its blocks.
    core: *const PoolCore,
}

/// Memory for `layout`, whose size may be 0. User code runs.
#[cold]
pub(super) fn allocate(core: &Arc<PoolCore>, layout: Layout) -> Result<NonNull<u8>, AllocError> {
    let align = layout.align().max(align_of::<Header>());
    let offset = round_up(size_of::<Header>(), align);
    let whole = layout
        .size()
        .checked_add(offset)
        .and_then(|size| Layout::from_size_align(size, align).ok())
        .ok_or(AllocError::capacity(1, layout.size()))?;
    let block = core.take_large(whole)?;
    // SAFETY: the block is `offset` bytes longer than the layout, `offset` has room for the header, and is a multiple
    // of both alignments, as is the header's size of its own.
    unsafe {
        let object = block.ptr.add(offset);
        object.cast::<Header>().sub(1).write(Header { block, core: Arc::into_raw(Arc::clone(core)) });
        Ok(object)
    }
}

/// Gives a block back, on any thread. User code runs.
///
/// # Safety
///
/// `object` came from [`allocate`] and is not used any more.
#[cold]
pub(super) unsafe fn free(object: NonNull<u8>, bytes: usize) {
    annotate::free(object.as_ptr(), bytes);
    // SAFETY: `allocate` wrote the header there, which nobody has read out before, since a block is freed once.
    unsafe {
        let Header { block, core } = object.cast::<Header>().sub(1).read();
        Arc::from_raw(core).give_back_large(block);
    }
}
