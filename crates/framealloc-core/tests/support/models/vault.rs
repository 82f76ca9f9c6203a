//! A backend that keeps books: of every block that is out, with its layout, and of a limit that it does not go beyond.

use std::alloc::{self, Layout};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use framealloc_core::{AllocationResult, AllocatorBackend, FixedBackend};

/// A name of a backend's books; a clone in a box is the backend itself.
#[derive(Clone, Default)]
pub(crate) struct Vault(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    live: BTreeMap<usize, (Layout, Origin)>,
    bytes: usize,
    limit: Option<usize>,
    refused: usize,
    /// Asked first, if there is one.
    dense: Option<FixedBackend>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    Dense,
    Program,
}

impl Vault {
    pub(crate) fn new(limit: Option<usize>) -> Self {
        let vault = Self::default();
        vault.books().limit = limit;
        vault
    }

    /// One in which a megabyte of blocks lie side by side, from a multiple of 64 KiB on, the lowest gap first: in the program's
    /// allocator they stand apart, each time elsewhere.
    pub(crate) fn dense(limit: Option<usize>) -> Self {
        let vault = Self::new(limit);
        vault.books().dense = Some(FixedBackend::new(1 << 20));
        vault
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn boxed(&self) -> Box<dyn AllocatorBackend> {
        Box::new(self.clone())
    }

    /// Blocks that are out, and their bytes.
    pub(crate) fn live(&self) -> (usize, usize) {
        let books = self.books();
        (books.live.len(), books.bytes)
    }

    /// Requests that were refused for the limit.
    pub(crate) fn refused(&self) -> usize {
        self.books().refused
    }

    /// Whether these bytes lie in one block that is out.
    pub(crate) fn holds(&self, start: usize, size: usize) -> bool {
        let books = self.books();
        books.live.range(..=start).next_back().is_some_and(|(at, (layout, _))| start + size <= at + layout.size())
    }
}

// SAFETY: memory comes from the program's allocator, and goes back to it once, with its layout, which the books show.
unsafe impl AllocatorBackend for Vault {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        assert!(layout.size() > 0, "a request for nothing");
        let mut books = self.books();
        if books.limit.is_some_and(|limit| limit - books.bytes < layout.size()) {
            books.refused += 1;
            return AllocationResult::Failed;
        }
        let (ptr, origin) = match books.dense.as_mut().map(|dense| dense.allocate(layout)) {
            Some(AllocationResult::Ok(memory)) => (memory.cast().as_ptr(), Origin::Dense),
            // SAFETY: the size is not 0.
            _ => (unsafe { alloc::alloc(layout) }, Origin::Program),
        };
        if let Some(ptr) = NonNull::new(ptr) {
            // Not the zeros of fresh pages: who reads what was not written sees it. (The first bytes will do.)
            // SAFETY: inside the block.
            unsafe { ptr.write_bytes(0xa5, layout.size().min(4096)) };
            books.live.insert(ptr.addr().get(), (layout, origin));
            books.bytes += layout.size();
        }
        AllocationResult::from_raw(ptr, layout.size())
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        let mut books = self.books();
        let (was, origin) = books.live.remove(&ptr.addr().get()).expect("a block comes back once");
        assert_eq!(was, layout, "a block comes back with its layout");
        books.bytes -= layout.size();
        match (origin, &mut books.dense) {
            // SAFETY: it was out with this layout, and from there, as the books say.
            (Origin::Dense, Some(dense)) => unsafe { dense.deallocate(ptr, layout) },
            // SAFETY: as above.
            _ => unsafe { alloc::dealloc(ptr.as_ptr(), layout) },
        }
    }

    fn name(&self) -> &'static str {
        "vault"
    }
}
