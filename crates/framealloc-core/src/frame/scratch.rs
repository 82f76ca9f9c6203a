//! Scratch arenas: leased from this thread's stash, each one whole, and given back on drop.
//!
//! Promises that no scratch arena rewinds under another one, however they nest and in whatever order they are dropped.

use alloc::boxed::Box;
use core::cell::{Cell, UnsafeCell};
use core::fmt;
use std::vec::Vec;

use crate::arena::{RawArena, Scope, scoped};
use crate::chunk::{ChunkList, TrimPolicy};
use crate::frame::{ALIGN, Frame, surface};
use crate::reentry;

/// A whole arena for temporary memory that dies before the frame does. Made by `SmartAlloc::scratch`.
///
/// While it is alive, nobody else gets this arena: scratches nest, also across systems that a task pool runs nested on one
/// thread. Dropping it frees what it allocated at once.
///
/// ```
/// use framealloc_core::SmartAlloc;
/// let alloc = SmartAlloc::default();
/// let best = {
///     let scratch = alloc.scratch();
///     let costs = scratch.alloc_slice_fill_with(1000, |i| (i * 7919) % 1000);
///     costs.iter().copied().min().unwrap()
/// };
/// assert_eq!(best, 0);
/// ```
pub struct Scratch<'a> {
    arena: &'a ScratchArena,
    stash: &'a Stash,
}

#[cfg(canary = "scratch_is_send")]
// SAFETY: none.
unsafe impl Send for Scratch<'_> {}

/// One arena of a stash.
pub(crate) struct ScratchArena {
    raw: RawArena,
    leased: Cell<bool>,
}

/// The scratch arenas of one thread. Used by that thread alone, or by whoever holds the allocator exclusively.
pub(crate) struct Stash {
    /// Boxed: leased arenas stay where they are when the list grows.
    #[allow(clippy::vec_box, reason = "leases point into the boxes")]
    arenas: UnsafeCell<Vec<Box<ScratchArena>>>,
    /// Bytes handed out by the leased arenas when they were given back, at most, since the last boundary.
    peak: Cell<usize>,
}

impl Stash {
    pub(crate) const fn new() -> Self {
        Self { arenas: UnsafeCell::new(Vec::new()), peak: Cell::new(0) }
    }

    /// Whether no scratch arena was ever leased.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.arenas().is_empty()
    }

    #[inline]
    fn arenas(&self) -> &[Box<ScratchArena>] {
        // SAFETY: the list changes in `lease` only, in which nothing is allocated while it does, and which no borrow of it spans.
        unsafe { &*self.arenas.get() }
    }

    /// An arena that nobody has; a new one by `make` if there is none.
    pub(crate) fn lease(&self, make: impl FnOnce() -> RawArena) -> Scratch<'_> {
        if self.arenas().iter().all(|arena| arena.leased.get()) {
            let arena = Box::new(ScratchArena { raw: make(), leased: Cell::new(false) });
            // SAFETY: this thread's list, of which no borrow is alive: `make` has returned.
            unsafe { reentry::push(&self.arenas, arena) };
        }
        let index = self.arenas().iter().position(|arena| !arena.leased.get()).unwrap_or(0);
        // SAFETY: the arena is boxed and stays until the allocator is dropped, or exclusively trimmed, which `&self` outlives.
        let arena: &ScratchArena = unsafe { &*core::ptr::from_ref(&*self.arenas()[index]) };
        canary!("scratch_shared", arena.leased.set(true), ());
        Scratch { arena, stash: self }
    }

    /// The exclusive point: takes back what was forgotten, and hands surplus chunks out. The peak since the last one.
    ///
    /// # Safety
    ///
    /// The caller holds the allocator exclusively: no scratch is alive, though one may have been forgotten.
    #[inline]
    pub(crate) unsafe fn boundary(&self, policy: TrimPolicy, frame: u64, surplus: &mut ChunkList) -> usize {
        for arena in self.arenas() {
            if arena.leased.replace(false) {
                self.note_peak(&arena.raw);
                // SAFETY: what was allocated in it borrowed a scratch that borrowed the allocator.
                unsafe { arena.raw.reset() };
            }
            arena.raw.unload();
            arena.raw.take_surplus(policy, frame, surplus);
        }
        self.peak.take()
    }

    /// All spare chunks.
    pub(crate) fn take_spares(&self) -> ChunkList {
        let mut list = ChunkList::new();
        for arena in self.arenas() {
            list.append(arena.raw.take_spares());
        }
        list
    }

    fn note_peak(&self, returned: &RawArena) {
        let leased: usize =
            self.arenas().iter().filter(|arena| arena.leased.get()).map(|arena| arena.raw.position()).sum();
        let leased = leased + returned.peak();
        self.peak.set(self.peak.get().max(leased));
    }
}

impl Scratch<'_> {
    #[inline(always)]
    pub(crate) fn raw(&self) -> &RawArena {
        &self.arena.raw
    }

    /// The scratch arena as a [`Frame`] that borrows it, for code that is written for frames.
    #[must_use]
    #[inline(always)]
    pub fn frame(&self) -> Frame<'_> {
        Frame::new(self.raw())
    }

    /// Frees everything in it, and keeps the lease.
    pub fn reset(&mut self) {
        self.stash.note_peak_of(self.arena);
        // SAFETY: what was handed out borrows the scratch, which is borrowed exclusively here.
        unsafe { self.raw().reset() };
    }

    /// Runs `f` with a scope: what is allocated in it is freed when it returns.
    pub fn scope<'env, R>(&mut self, f: impl for<'s> FnOnce(&mut Scope<'s, 'env>) -> R) -> R {
        scoped(self.raw(), f)
    }

    surface::values! { ['a,] 'a, self, (&'a self), ALIGN, "# use framealloc_core::SmartAlloc;\n# let alloc = SmartAlloc::default();\n# let a = alloc.scratch();" }
    surface::collections! { ['a,] 'a, self, (&'a self), "# use framealloc_core::SmartAlloc;\n# let alloc = SmartAlloc::default();\n# let a = alloc.scratch();" }
}

impl Stash {
    fn note_peak_of(&self, arena: &ScratchArena) {
        arena.leased.set(false);
        self.note_peak(&arena.raw);
        arena.leased.set(true);
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        self.arena.leased.set(false);
        self.stash.note_peak(&self.arena.raw);
        // SAFETY: what was handed out borrows the scratch, which is gone.
        unsafe { self.arena.raw.reset() };
    }
}

impl fmt::Debug for Scratch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("stats", &self.raw().stats()).finish_non_exhaustive()
    }
}
