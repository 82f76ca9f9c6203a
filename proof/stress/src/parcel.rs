//! What outlives a frame: pool objects of all classes and large blocks, passed between threads and freed by whoever takes one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicIsize, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use allocator_api2::vec::Vec as PoolVec;
use framealloc_core::{HeapBox, Pool, PoolBox, SmartAlloc};

use crate::random::Random;

/// Values that were made and not dropped yet.
static ALIVE: AtomicIsize = AtomicIsize::new(0);

/// A value with a destructor, which counts, and notices when it runs on something else.
#[derive(Debug)]
pub struct Counted {
    mark: u64,
    again: u64,
}

impl Counted {
    pub fn new(mark: u64) -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self { mark, again: !mark }
    }

    pub fn check(&self, mark: u64) {
        assert_eq!((self.mark, self.again), (mark, !mark), "a value changed");
    }

    /// How many there are.
    pub fn alive() -> isize {
        ALIVE.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert_eq!(self.mark, !self.again, "dropped twice, or never made");
        self.again = self.mark;
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[repr(align(256))]
pub struct Wide([u8; 700]);

#[repr(align(4096))]
pub struct Page([u8; 4096]);

/// An object of a pool, and what must be in it.
pub enum Parcel {
    Bytes(PoolVec<u8, Pool>, u8),
    Words(PoolBox<[u64; 3]>, u64),
    Counted(PoolBox<Counted>, u64),
    Wide(PoolBox<Wide>, u8),
    Page(PoolBox<Page>, u8),
    Heap(HeapBox<[u8; 9000]>, u8),
    Nested(PoolBox<Box<Parcel>>),
    Text(PoolBox<dyn Fn() -> u64 + Send>, u64),
}

impl Parcel {
    pub fn pack(alloc: &SmartAlloc, random: &mut Random) -> Self {
        let mark = random.next();
        let byte = mark as u8;
        match random.below(16) {
            0 => Self::Counted(alloc.pool_box(Counted::new(mark)), mark),
            1 => Self::Wide(alloc.pool_box(Wide([byte; 700])), byte),
            2 => Self::Page(alloc.pool_box(Page([byte; 4096])), byte),
            3 if random.once_in(4) => Self::Heap(alloc.heap_box([byte; 9000]), byte),
            4 => Self::Nested(alloc.pool_box(Box::new(Self::Counted(alloc.pool_box(Counted::new(mark)), mark)))),
            5 => Self::Text(framealloc_core::unsize!(alloc.pool_box(move || mark) => dyn Fn() -> u64 + Send), mark),
            6 | 7 => Self::Words(alloc.pool_box([mark; 3]), mark),
            _ => {
                // Sizes of all classes alike, and now and then a large block.
                let size = 1usize << random.below(14);
                let size = size + random.below(size);
                let mut bytes = PoolVec::with_capacity_in(size / 2 + 1, alloc.pool().clone());
                bytes.resize(size, byte);
                if random.once_in(3) {
                    bytes.truncate(size / 3);
                    bytes.shrink_to_fit();
                }
                Self::Bytes(bytes, byte)
            }
        }
    }

    pub fn check(&self) {
        let (held, byte): (&[u8], u8) = match self {
            Self::Bytes(bytes, byte) => (bytes, *byte),
            Self::Wide(wide, byte) => (&wide.0, *byte),
            Self::Page(page, byte) => (&page.0, *byte),
            Self::Heap(bytes, byte) => (&bytes[..], *byte),
            Self::Words(words, mark) => return assert_eq!(**words, [*mark; 3], "a pool object changed"),
            Self::Counted(counted, mark) => return counted.check(*mark),
            Self::Nested(inner) => return inner.check(),
            Self::Text(closure, mark) => return assert_eq!(closure(), *mark, "a closure in a pool changed"),
        };
        assert!(held.iter().all(|&held| held == byte), "a pool object changed");
        let align = match self {
            Self::Wide(..) => 256,
            Self::Page(..) => 4096,
            _ => 1,
        };
        assert_eq!(held.as_ptr().addr() % align, 0, "a pool object is misaligned");
    }
}

/// Where threads leave objects for others.
#[derive(Default)]
pub struct Exchange {
    parcels: Mutex<VecDeque<Parcel>>,
    passed: AtomicU64,
}

impl Exchange {
    pub fn leave(&self, parcel: Parcel) {
        self.passed.fetch_add(1, Ordering::Relaxed);
        self.parcels.lock().unwrap_or_else(PoisonError::into_inner).push_back(parcel);
    }

    /// The object that has been here longest.
    pub fn fetch(&self) -> Option<Parcel> {
        self.parcels.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub fn len(&self) -> usize {
        self.parcels.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}
