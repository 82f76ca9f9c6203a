//! Blocks above the largest class, and every [`HeapBox`](super::HeapBox): straight from the backend, with what is
//! needed to give them back in front of them.

use core::alloc::Layout;
use core::ptr::NonNull;
use std::sync::Arc;

#[cfg(feature = "hardened")]
use super::guard;
use super::shared::PoolCore;
use crate::annotate;
use crate::backend::Block;
use crate::bump::round_up;
use crate::error::AllocError;
#[cfg(feature = "hardened")]
use crate::error::AllocErrorKind;

/// What stands right before a large block.
#[repr(C)]
struct Header {
    block: Block,
    /// A counted reference, so that the core outlives its blocks.
    core: *const PoolCore,
    /// Bytes that were asked for: last, where what is written right before the block lands.
    #[cfg(feature = "hardened")]
    size: usize,
}

/// Memory for `layout`, whose size may be 0. User code runs.
#[cold]
#[track_caller]
pub(super) fn allocate(core: &Arc<PoolCore>, layout: Layout) -> Result<NonNull<u8>, AllocError> {
    let align = layout.align().max(align_of::<Header>());
    let offset = round_up(size_of::<Header>(), align);
    #[cfg(feature = "hardened")]
    let offset_and_tail = offset + guard::WATCHED;
    #[cfg(not(feature = "hardened"))]
    let offset_and_tail = offset;
    let whole = layout
        .size()
        .checked_add(offset_and_tail)
        .and_then(|size| Layout::from_size_align(size, align).ok())
        .ok_or(AllocError::capacity(1, layout.size()))?;
    let block = core.take_large(whole)?;
    #[cfg(feature = "hardened")]
    // SAFETY: inside the block.
    if !guard::add_block(unsafe { block.ptr.add(offset) }) {
        // SAFETY: the block was just taken, and nobody has seen it.
        unsafe { core.give_back_large(block) };
        return Err(AllocError::new(AllocErrorKind::OutOfMemory { size: layout.size(), align }));
    }
    // SAFETY: the block is `offset` bytes longer than the layout, `offset` has room for the header, and is a multiple
    // of both alignments, as is the header's size of its own.
    unsafe {
        let object = block.ptr.add(offset);
        object.cast::<Header>().sub(1).write(Header {
            block,
            core: Arc::into_raw(Arc::clone(core)),
            #[cfg(feature = "hardened")]
            size: layout.size(),
        });
        annotate::fresh(object.as_ptr(), layout.size());
        #[cfg(feature = "hardened")]
        guard::watch_block(object, layout);
        #[cfg(feature = "trace")]
        if let Some(tracer) = core.tracer() {
            tracer.add(object, layout, core::panic::Location::caller());
        }
        Ok(object)
    }
}

/// Gives a block back, on any thread. User code runs.
///
/// # Safety
///
/// `object` came from [`allocate`] with this `layout` and is not used any more.
#[cold]
pub(super) unsafe fn free(object: NonNull<u8>, layout: Layout) {
    #[cfg(feature = "hardened")]
    guard::take_back_block(object, layout);
    #[cfg(feature = "trace")]
    // SAFETY: the block is live, as has been found.
    if let Some(tracer) = unsafe { self::core(object) }.tracer() {
        tracer.remove(object);
    }
    // SAFETY: the block is the caller's to give up. `allocate` wrote the header there, which nobody has read out before, since a
    // block is freed once.
    unsafe {
        annotate::freed(object.as_ptr(), layout.size());
        let Header { block, core, .. } = object.cast::<Header>().sub(1).read();
        Arc::from_raw(core).give_back_large(block);
    }
}

/// The pool that a live block is of.
///
/// # Safety
///
/// `object` came from [`allocate`] and was not freed.
#[cfg(feature = "hardened")]
pub(super) unsafe fn core<'a>(object: NonNull<u8>) -> &'a PoolCore {
    // SAFETY: `allocate` wrote the header there, whose reference keeps the core.
    unsafe { &*(*object.cast::<Header>().as_ptr().sub(1)).core }
}

/// Whether the header of a live block is that of a block for `layout`.
///
/// # Safety
///
/// As for [`core`]; the header may be overwritten.
#[cfg(feature = "hardened")]
pub(super) unsafe fn is_sound(object: NonNull<u8>, layout: Layout) -> bool {
    // SAFETY: `allocate` wrote a header there, of which a plain number is read.
    unsafe { (*object.cast::<Header>().as_ptr().sub(1)).size == layout.size() }
}
