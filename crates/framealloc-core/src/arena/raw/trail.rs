//! The tracing mode of an arena: every block is watched before its start and behind its end, and its site is known until the frame is over.
//!
//! Promises that a byte written right before or behind a block ends the program when the block is freed or the frame ends, with the line that
//! asked for it. The bound stands at the cursor, so that each request takes the cold path; no block is the last one, so that none grows
//! where it is and none is used again within the frame.

use core::alloc::Layout;
use core::panic::Location;
use core::ptr::NonNull;

use super::RawArena;
use crate::bump::round_up;
use crate::error::AllocError;
use crate::trace::{ByAddress, Origin, Tags};
use crate::watch::{self, WATCHED};

/// A block that was handed out.
#[derive(Clone, Copy)]
pub(super) struct Laid {
    block: NonNull<u8>,
    layout: Layout,
    origin: Origin,
}

impl Laid {
    /// # Safety
    ///
    /// The block's memory is still there.
    unsafe fn inspect(&self, event: &str) {
        let origin = || Some(self.origin);
        // SAFETY: both were watched when it was handed out, and are nobody's.
        unsafe {
            watch::inspect_front(event, self.block, self.layout, origin);
            watch::inspect(event, self.block, self.layout, self.layout.size() + WATCHED, origin);
        }
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

    /// [`refill`](Self::refill) of a block that is watched. What user code allocates meanwhile is not; nor is a block for which there is no
    /// room in the list.
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
        let front = round_up(WATCHED, align);
        let whole = size.checked_add(front + WATCHED).and_then(|whole| Layout::from_size_align(whole, align).ok());
        let (Some(_), Ok(layout)) = (whole, Layout::from_size_align(size, align)) else {
            self.refused.set(self.refused.get() + 1);
            return Err(AllocError::capacity(size, 1));
        };
        self.traced.set(false);
        self.rebound();
        let _reset = Reset(self);
        let start = self.refill_plain(
            size,
            front + WATCHED,
            align,
            #[cfg(feature = "sample")]
            site,
        )?;
        // SAFETY: so many bytes more than the layout were reserved, and nobody has seen them.
        let block = unsafe {
            let block = start.add(front);
            watch::watch_front(block);
            watch::watch(block, size, size + WATCHED);
            block
        };
        self.lay(Laid { block, layout, origin: Origin { site: self.site_or(site), tags: self.open_tags_of_thread() } });
        Ok(block)
    }

    fn open_tags_of_thread(&self) -> Tags {
        // SAFETY: this thread's arena; borrowed for this statement, in which nothing is allocated.
        Tags::of(unsafe { &*self.tags.get() }.iter().rev().map(|open| open.scope.tag))
    }

    /// Puts a block on the list. Its memory is asked for while nothing is borrowed.
    fn lay(&self, mut laid: Laid) {
        loop {
            let len = {
                // SAFETY: this thread's list; borrowed for this block, in which nothing is allocated.
                let trail = unsafe { &mut *self.trail.get() };
                let list = trail.get_or_insert_default();
                match list.insert(laid.block.addr().get(), laid) {
                    Ok(()) => return,
                    Err(back) => laid = back,
                }
                list.len()
            };
            let Some(mut larger) = ByAddress::with_room_beyond(len) else { return };
            // SAFETY: as above: the entries are moved into room that is there.
            if let Some(list) = unsafe { &mut *self.trail.get() } {
                list.exchange(&mut larger);
            }
            drop(larger);
        }
    }

    /// Takes the block at an address off the list.
    fn take_laid(&self, block: NonNull<u8>) -> Option<Laid> {
        // SAFETY: this thread's list; borrowed for this statement, in which nothing is allocated or given back.
        unsafe { &mut *self.trail.get() }.as_mut()?.remove(block.addr().get())
    }

    /// A block is freed: looks around it.
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
            }
            self.lay(Laid { layout, ..laid });
        }
    }

    /// The frame is over: looks around all that was handed out in it.
    pub(super) fn trail_ends(&self) {
        // SAFETY: this thread's list, or the caller's who holds the allocator exclusively; borrowed for this function, in which nothing is
        // allocated or given back.
        if let Some(list) = unsafe { &mut *self.trail.get() } {
            for (_, laid) in list.iter() {
                // SAFETY: no chunk has gone back yet.
                unsafe { laid.inspect("end of the frame of") };
            }
            list.clear();
        }
    }
}
