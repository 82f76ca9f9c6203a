//! What users hold: views of a frame, boxes and collections in it, handles to it, and whole frames sealed.
//!
//! Promises that none of it outlives its frame: references, boxes and collections by their lifetime, handles by the stamp of
//! the frame they are checked against. Where the memory comes from is left to the arena below.

mod boxed;
mod columns;
mod deque;
#[cfg(feature = "std")]
mod handle;
mod map;
#[cfg(feature = "std")]
mod scratch;
#[cfg(feature = "std")]
mod sealed;
#[cfg(feature = "std")]
mod stamp;
mod string;
mod surface;
mod vec;

use core::fmt;

use allocator_api2::alloc::{AllocError as NoMemory, Allocator};
use core::alloc::Layout;
use core::ptr::NonNull;

pub use boxed::{__FrameBrand, __UnsizeBox, BoxedSliceIter, FrameBox, OnceFn};
#[cfg(feature = "std")]
pub use boxed::{__HeapBrand, __PoolBrand};
pub use columns::Columns;
pub use deque::FrameDeque;
#[cfg(feature = "std")]
pub(crate) use handle::DropList;
#[cfg(feature = "std")]
pub use handle::{FrameHandle, StaleHandle};
pub use map::{FrameMap, FrameSet};
#[cfg(feature = "std")]
pub use scratch::Scratch;
#[cfg(feature = "std")]
pub(crate) use scratch::Stash;
#[cfg(feature = "std")]
pub(crate) use sealed::Seal;
#[cfg(feature = "std")]
pub use sealed::SealedFrame;
#[cfg(feature = "std")]
pub(crate) use stamp::Stamp;
pub use string::FrameString;
pub use vec::FrameVec;

use crate::arena::{Arena, RawArena, Scope, arena_allocator};

/// Minimum alignment of frame memory.
pub(crate) const ALIGN: usize = 8;

/// This thread's view of the memory of the current frame (or of an arena, a scope or a scratch arena).
///
/// A plain pointer to the thread's arena: `Copy`, and neither `Send` nor `Sync`. Taking one outside a loop saves the
/// loop the thread-local look-up. Everything it hands out carries `'f`, so that the borrow checker keeps the frame open
/// for as long as any of it is used.
///
/// ```
/// use framealloc_core::SmartAlloc;
/// let mut alloc = SmartAlloc::default();
/// let frame = alloc.frame();
/// let mut hits = frame.vec();
/// for i in 0..10 {
///     hits.push(frame.alloc_str(&format!("hit {i}")));
/// }
/// assert_eq!(*hits[9], *"hit 9");
/// drop(hits);
/// alloc.end_frame();
/// ```
#[derive(Clone, Copy)]
pub struct Frame<'f> {
    raw: &'f RawArena,
}

impl<'f> Frame<'f> {
    #[inline(always)]
    pub(crate) fn new(raw: &'f RawArena) -> Self {
        Self { raw }
    }

    #[inline(always)]
    pub(crate) fn raw(self) -> &'f RawArena {
        self.raw
    }

    /// The frame itself: so that macros take a frame wherever they take an allocator.
    #[must_use]
    #[inline(always)]
    pub fn frame(self) -> Self {
        self
    }

    /// The frame as an allocator that returns an error where it has no memory, instead of the panic: for the `try_` methods of
    /// third-party collections. (A [`FrameVec`] and its kin need none of this.)
    #[must_use]
    pub fn fallible(self) -> crate::Fallible<Self> {
        crate::Fallible(self)
    }

    /// What was handed out to this thread since the frame began.
    #[must_use]
    pub fn stats(self) -> crate::ThreadStats {
        self.raw.stats()
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("stats", &self.raw.stats()).finish_non_exhaustive()
    }
}

arena_allocator!(['f] Frame<'f>, ALIGN);

impl<'f> Frame<'f> {
    surface::values! { [] 'f, self, (self), ALIGN, "# use framealloc_core::Arena;\n# let arena = Arena::new();\n# let a = arena.frame();" }
    surface::collections! { [] 'f, self, (self), "# use framealloc_core::Arena;\n# let arena = Arena::new();\n# let a = arena.frame();" }
}

impl<const M: usize> Arena<M> {
    /// The arena as an allocator that returns an error where it has no memory, instead of the panic.
    #[must_use]
    pub fn fallible(&self) -> crate::Fallible<&Self> {
        crate::Fallible(self)
    }

    surface::values! { ['a,] 'a, self, (&'a self), M, "# use framealloc_core::Arena;\n# let a = Arena::new();" }
}

impl Arena {
    /// The arena as a [`Frame`], for collections and for code that is written for frames.
    #[must_use]
    #[inline(always)]
    pub fn frame(&self) -> Frame<'_> {
        Frame::new(self.raw())
    }

    surface::collections! { ['a,] 'a, self, (&'a self), "# use framealloc_core::Arena;\n# let a = Arena::new();" }
}

impl<'s, const M: usize> Scope<'s, '_, M> {
    surface::values! { [] 's, self, (&self), M, "# use framealloc_core::Arena;\n# let mut arena = Arena::new();\n# arena.scope(|a| {" "# });" }
}

impl Scope<'_, '_> {
    /// The scope as a [`Frame`] that borrows it: no nested scope opens while the frame, or a collection in it, is alive.
    #[must_use]
    #[inline(always)]
    pub fn frame(&self) -> Frame<'_> {
        Frame::new(self.raw())
    }

    surface::collections! { ['a,] 'a, self, (&'a self), "# use framealloc_core::Arena;\n# let mut arena = Arena::new();\n# arena.scope(|a| {" "# });" }
}
