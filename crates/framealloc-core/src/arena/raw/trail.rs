//! The tracing mode of an arena: every block is watched behind its end, and its site is known until the frame is over.
//!
//! Promises that a byte written behind a block ends the program when the block is freed or the frame ends, with the line that asked for it.
//! The bound stands at the cursor, so that each request takes the cold path; no block is the last one, so that none grows where it is
//! and none is used again within the frame.

use core::alloc::Layout;
use core::panic::Location;
use core::ptr::NonNull;
use std::vec::Vec;

use super::RawArena;
use crate::error::AllocError;
use crate::governor::Tag;
use crate::reentry;
use crate::trace::Origin;
use crate::watch::{self, WATCHED};

/// A block that was handed out.
pub(super) struct Laid {
    block: NonNull<u8>,
    layout: Layout,
    site: &'static Location<'static>,
    tags: Vec<Tag>,
}

impl Laid {
    /// # Safety
    ///
    /// The block's memory is still there.
    unsafe fn inspect(&self, event: &str) {
        let origin = || Some(Origin { site: self.site, tags: self.tags.clone() });
        let whole = self.layout.size() + WATCHED;
        // SAFETY: it was watched when it was handed out, and what is behind it is nobody's.
        unsafe { watch::inspect(event, self.block, self.layout, whole, origin) };
    }
}

impl RawArena {
    /// Begins: before anything was handed out.
    pub(crate) fn begin_tracing(&self) {
        self.traced.set(true);
    }

    /// Whether every request is to come to the cold path.
    #[inline(always)]
    pub(super) fn is_traced(&self) -> bool {
        self.traced.get()
    }

    /// [`refill`](Self::refill) of a block that is watched. What user code allocates meanwhile is not.
    pub(super) fn refill_traced(
        &self,
        size: usize,
        align: usize,
        site: &'static Location<'static>,
    ) -> Result<NonNull<u8>, AllocError> {
        struct Reset<'a>(&'a RawArena);
        impl Drop for Reset<'_> {
            fn drop(&mut self) {
                self.0.traced.set(true);
                self.0.rebound();
            }
        }
        let whole = size.checked_add(WATCHED).and_then(|whole| Layout::from_size_align(whole, align).ok());
        let (Some(_), Ok(layout)) = (whole, Layout::from_size_align(size, align)) else {
            return Err(AllocError::capacity(size, 1));
        };
        self.traced.set(false);
        self.rebound();
        let _reset = Reset(self);
        let block = self.refill_plain(
            size,
            WATCHED,
            align,
            #[cfg(feature = "sample")]
            site,
        )?;
        let tags = self.tags_of_trail();
        // SAFETY: `WATCHED` bytes more than the layout were reserved, and nobody has seen them. The list is this thread's, and none of this
        // module's functions keeps a borrow of it.
        unsafe {
            watch::watch(block, size, size + WATCHED);
            reentry::push(&self.trail, Laid { block, layout, site: self.site_or(site), tags });
        }
        Ok(block)
    }

    fn tags_of_trail(&self) -> Vec<Tag> {
        // SAFETY: this thread's arena; borrowed for this statement, in which the program's allocator runs: should it open a tag in here,
        // it closes it before it returns. So the length is read first.
        let depth = unsafe { &*self.tags.get() }.len();
        let mut tags = Vec::with_capacity(depth);
        // SAFETY: as above, and nothing is allocated.
        tags.extend(unsafe { &*self.tags.get() }.iter().take(depth).map(|open| open.scope.tag));
        tags
    }

    /// Takes the block at an address off the list.
    fn take_laid(&self, block: NonNull<u8>) -> Option<Laid> {
        // SAFETY: this thread's list; borrowed for this function, in which nothing is allocated.
        let trail = unsafe { &mut *self.trail.get() };
        // Those handed out last are freed first, mostly.
        let at = trail.iter().rposition(|laid| laid.block == block)?;
        Some(trail.remove(at))
    }

    /// A block is freed: looks behind it.
    pub(super) fn trail_freed(&self, block: NonNull<u8>) {
        if let Some(laid) = self.take_laid(block) {
            // SAFETY: its chunk is in use.
            unsafe { laid.inspect("free of") };
        }
    }

    /// A block ends earlier than it did: what it gives up is watched.
    pub(super) fn trail_shrunk(&self, block: NonNull<u8>, layout: Layout) {
        if let Some(laid) = self.take_laid(block) {
            // SAFETY: its chunk is in use; the bytes behind the new end were the block's, or watched.
            unsafe {
                laid.inspect("shrinking of");
                watch::watch(block, layout.size(), layout.size() + WATCHED);
                reentry::push(&self.trail, Laid { layout, ..laid });
            }
        }
    }

    /// The frame is over: looks behind all that was handed out in it.
    pub(super) fn trail_ends(&self) {
        // SAFETY: this thread's list, or the caller's who holds the allocator exclusively; no borrow outlives the statement.
        while let Some(laid) = unsafe { &mut *self.trail.get() }.pop() {
            // SAFETY: no chunk has gone back yet.
            unsafe { laid.inspect("end of the frame of") };
        }
    }
}
