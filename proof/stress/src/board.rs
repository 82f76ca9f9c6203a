//! What was published in one frame of one allocator, for all threads to look up.

use std::sync::{Mutex, PoisonError};

use framealloc_core::{FrameHandle, SealedFrame, SmartAlloc, StaleHandle};

use crate::parcel::Counted;
use crate::random::Random;

/// Something published, and what must be in it.
#[derive(Clone, Copy)]
pub enum Posted {
    Words(FrameHandle<[u64]>, usize, u64),
    Text(FrameHandle<str>, u64),
    Counted(FrameHandle<Counted>, u64),
}

/// Whatever handles can be read through.
pub trait Reads {
    fn read<T: ?Sized>(&self, handle: FrameHandle<T>) -> Result<&T, StaleHandle>;
}

impl Reads for SmartAlloc {
    fn read<T: ?Sized>(&self, handle: FrameHandle<T>) -> Result<&T, StaleHandle> {
        self.get(handle)
    }
}

impl Reads for SealedFrame {
    fn read<T: ?Sized>(&self, handle: FrameHandle<T>) -> Result<&T, StaleHandle> {
        self.get(handle)
    }
}

impl Posted {
    /// Publishes something in the current frame.
    pub fn publish(alloc: &SmartAlloc, random: &mut Random) -> Self {
        let mark = random.next();
        let len = random.below(40);
        match random.below(6) {
            0 => Self::Text(alloc.publish_str(&mark.to_string()), mark),
            1 => Self::Counted(alloc.publish(Counted::new(mark)), mark),
            2 => {
                let mut words = alloc.frame_vec();
                (0..len).for_each(|_| words.push(mark));
                Self::Words(alloc.publish_vec(words), len, mark)
            }
            3 => {
                // From another arena: the words are moved over.
                let scratch = alloc.scratch();
                Self::Words(alloc.publish_vec(scratch.collect((0..len).map(|_| mark))), len, mark)
            }
            4 => Self::Words(alloc.publish_slice_copy(&[mark; 40][..len]), len, mark),
            _ => Self::Words(alloc.publish_slice_fill_with(len, |_| mark), len, mark),
        }
    }

    pub fn is_counted(&self) -> bool {
        matches!(self, Self::Counted(..))
    }

    /// Looks it up where it must be.
    pub fn check(&self, place: &impl Reads) {
        match *self {
            Self::Words(handle, len, mark) => {
                let words = place.read(handle).expect("a handle of a frame that is there");
                assert_eq!(words.len(), len, "a published slice changed its length");
                assert!(words.iter().all(|&word| word == mark), "a published slice changed");
            }
            Self::Text(handle, mark) => {
                let text = place.read(handle).expect("a handle of a frame that is there");
                assert_eq!(text.parse(), Ok(mark), "a published text changed");
            }
            Self::Counted(handle, mark) => place.read(handle).expect("a handle of a frame that is there").check(mark),
        }
    }

    /// Looks it up where it must not be.
    pub fn check_stale(&self, place: &impl Reads) {
        let is_stale = match *self {
            Self::Words(handle, ..) => place.read(handle).is_err(),
            Self::Text(handle, _) => place.read(handle).is_err(),
            Self::Counted(handle, _) => place.read(handle).is_err(),
        };
        assert!(is_stale, "a handle is honoured after its frame");
    }
}

/// The handles of one frame.
#[derive(Default)]
pub struct Board(Mutex<Vec<Posted>>);

impl Board {
    pub fn post(&self, posted: Posted) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(posted);
    }

    /// One of what has been posted so far, by others as well.
    pub fn any(&self, choice: usize) -> Option<Posted> {
        let posted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!posted.is_empty()).then(|| posted[choice % posted.len()])
    }

    /// All that was posted.
    pub fn into_all(self) -> Vec<Posted> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
