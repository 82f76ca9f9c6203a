//! A backend that keeps books: of every block that is out, with its layout, and of a limit that it does not go beyond.

use std::alloc::{self, Layout};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use framealloc_core::{AllocationResult, AllocatorBackend};

/// A name of a backend's books; a clone in a box is the backend itself.
#[derive(Clone, Default)]
pub(crate) struct Vault(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    live: BTreeMap<usize, Layout>,
    bytes: usize,
    limit: Option<usize>,
    refused: usize,
}

impl Vault {
    pub(crate) fn new(limit: Option<usize>) -> Self {
        let vault = Self::default();
        vault.books().limit = limit;
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
        books.live.range(..=start).next_back().is_some_and(|(at, layout)| start + size <= at + layout.size())
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
        // SAFETY: the size is not 0.
        let ptr = unsafe { alloc::alloc(layout) };
        if let Some(ptr) = NonNull::new(ptr) {
            // Not the zeros of fresh pages: who reads what was not written sees it. (The first bytes will do.)
            // SAFETY: inside the block.
            unsafe { ptr.write_bytes(0xa5, layout.size().min(4096)) };
            books.live.insert(ptr.addr().get(), layout);
            books.bytes += layout.size();
        }
        AllocationResult::from_raw(ptr, layout.size())
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        let mut books = self.books();
        assert_eq!(books.live.remove(&ptr.addr().get()), Some(layout), "a block comes back with its layout, once");
        books.bytes -= layout.size();
        // SAFETY: it was out with this layout, as the books say.
        unsafe { alloc::dealloc(ptr.as_ptr(), layout) };
    }

    fn name(&self) -> &'static str {
        "vault"
    }
}
