//! Where an arena's chunks come from, and go back to.

use alloc::boxed::Box;
#[cfg(feature = "std")]
use alloc::sync::Arc;
use core::cell::RefCell;

use crate::annotate;
use crate::backend::{AllocationResult, AllocatorBackend, Block, Live, SystemBackend, check};
#[cfg(feature = "std")]
use crate::chunk::ChunkStore;
use crate::chunk::{Chunk, ChunkList, smaller_and_smaller};
use crate::error::{AllocError, AllocErrorKind};
use crate::unwind::{attempt, resume};

/// Where an arena's chunks come from.
pub(crate) enum Supply {
    /// The program's allocator.
    Global,
    /// A backend of the arena's own; what it leaves to others comes from the program's allocator.
    Own(RefCell<(Box<dyn AllocatorBackend>, Live)>),
    /// What all threads of a `SmartAlloc` share.
    #[cfg(feature = "std")]
    Store(Arc<ChunkStore>),
}

impl Supply {
    /// A chunk into which the request fits, of `preferred` bytes if it has to be made.
    pub(super) fn draw(&self, size: usize, align: usize, preferred: usize) -> Result<Chunk, AllocError> {
        let mut backend = match self {
            #[cfg(feature = "std")]
            Self::Store(store) => return store.draw(size, align, preferred),
            Self::Global => None,
            Self::Own(backend) => Some(backend.borrow_mut()),
        };
        let mut system = SystemBackend::new();
        let minimum = Chunk::bytes_for(size, align)?;
        smaller_and_smaller(preferred, minimum, |bytes| {
            let layout = Chunk::layout(bytes)?;
            let (result, owner) = match backend.as_mut().map(|own| own.0.allocate(layout)) {
                None | Some(AllocationResult::Fallback) => (system.allocate(layout), 1),
                Some(result) => (result, 0),
            };
            let AllocationResult::Ok(memory) = result else {
                return Err(AllocError::new(AllocErrorKind::OutOfMemory { size: bytes, align: layout.align() }));
            };
            let ptr = check(memory, layout)?;
            if let (Some(own), 0) = (&mut backend, owner) {
                own.1.add(ptr, layout.size())?;
            }
            // SAFETY: the block is the backend's answer to a chunk's layout, checked, and belongs to the chunk alone.
            Ok(unsafe { Chunk::new(Block { ptr, layout, owner }) })
        })
    }

    /// Gives chunks, which nobody uses any more, back to where they came from; the number of bytes. If the governor or a backend
    /// panics the rest go back all the same.
    pub(super) fn release(&self, mut list: ChunkList) -> usize {
        let (mut bytes, mut panicked) = (0, None);
        while let Some(chunk) = list.pop_front() {
            bytes += chunk.bytes();
            annotate::passed_on(chunk.start().as_ptr(), chunk.capacity());
            attempt(&mut panicked, || match self {
                #[cfg(feature = "std")]
                Self::Store(store) => store.release(chunk),
                Self::Global | Self::Own(_) => {
                    let Block { ptr, layout, owner } = chunk.into_block();
                    match (self, owner) {
                        (Self::Own(own), 0) => {
                            let mut own = own.borrow_mut();
                            own.1.remove(ptr);
                            // SAFETY: `draw` had the block from this backend with this layout, and nobody uses it.
                            unsafe { own.0.deallocate(ptr, layout) };
                        }
                        // SAFETY: `draw` had the block from the system backend with this layout.
                        _ => unsafe { SystemBackend::new().deallocate(ptr, layout) },
                    }
                }
            });
        }
        resume(panicked);
        bytes
    }
}
