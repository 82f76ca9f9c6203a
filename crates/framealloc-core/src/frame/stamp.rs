//! Stamps: one word that names a frame of an allocator.
//!
//! Promises that no two frames of a process have the same stamp, whatever allocators they belong to, and that the number of
//! the frame and that of the allocator can be told from it. So a handle carries one word beside its pointer, and checking
//! it is one comparison.

use std::vec::Vec;

use crate::sync::Ordering;
use crate::sync::process::{AtomicBool, AtomicU64, Mutex};

/// Bits of a stamp that count frames; those above are the number of a series.
///
/// An allocator has a series of its own, and gets another one after each 2^24 frames (four hours of a thousand a second), so
/// that neither part ever wraps into what was there before.
const FRAME_BITS: u32 = 24;
const FRAMES: u64 = 1 << FRAME_BITS;
/// How many series there are: 2^40, or twelve days of making a million allocators a second.
const SERIES: u64 = 1 << (u64::BITS - FRAME_BITS);

/// Names one frame of one allocator, in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp(u64);

/// A series that an allocator got when its last one was used up.
#[derive(Clone, Copy)]
struct Renewed {
    series: u64,
    /// The allocator's first series, which is its number.
    instance: u64,
    /// Number of the first frame of this series.
    frame: u64,
}

/// Every series that is not the first one of its allocator: one entry for 2^24 frames, in the order of their numbers.
static RENEWED: Mutex<Vec<Renewed>> = Mutex::new(Vec::new());
/// Whether there is an entry at all.
static ANY_RENEWED: AtomicBool = AtomicBool::new(false);

fn next_series() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: only the uniqueness of the number matters, nothing is published by it.
    within(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The series of this number, unless a stamp has no room for it.
fn within(series: u64) -> u64 {
    assert!(series < SERIES, "a process can make {SERIES} allocators, whose frames have different names, and no more");
    series
}

impl Stamp {
    /// No frame's: there is no series 0.
    pub(crate) const NONE: Self = Self(0);

    /// The first frame, whose number is 1, of a new allocator.
    ///
    /// # Panics
    ///
    /// If there were 2^40 allocators already.
    pub(crate) fn first() -> Self {
        Self(next_series() << FRAME_BITS | 1)
    }

    /// The frame after this one.
    ///
    /// # Panics
    ///
    /// Every 2^24 frames, if there were 2^40 allocators.
    #[must_use]
    pub(crate) fn next(self) -> Self {
        let next = self.0 + 1;
        if next.is_multiple_of(FRAMES) { self.renew() } else { Self(next) }
    }

    #[cold]
    fn renew(self) -> Self {
        let (instance, frame) = (self.instance(), self.frame() + 1);
        let mut renewed = RENEWED.lock();
        // Drawn under the lock: the list stays in order.
        let series = next_series();
        renewed.push(Renewed { series, instance, frame });
        // Relaxed: whoever has a stamp of this series was handed it after this store.
        ANY_RENEWED.store(true, Ordering::Relaxed);
        Self(series << FRAME_BITS)
    }

    /// The series' entry, unless it is the first one of its allocator.
    fn renewed(self) -> Option<Renewed> {
        if !ANY_RENEWED.load(Ordering::Relaxed) {
            return None;
        }
        let list = RENEWED.lock();
        let series = self.0 >> FRAME_BITS;
        list.binary_search_by_key(&series, |renewed| renewed.series).ok().map(|at| list[at])
    }

    /// Number of the frame, counted by its allocator from 1.
    pub(crate) fn frame(self) -> u64 {
        let in_series = self.0 % FRAMES;
        self.renewed().map_or(in_series, |renewed| renewed.frame + in_series)
    }

    /// Number of the allocator.
    pub(crate) fn instance(self) -> u64 {
        self.renewed().map_or(self.0 >> FRAME_BITS, |renewed| renewed.instance)
    }

    /// This allocator, and the last frame but one of a series: what lies before a renewal, for tests.
    #[cfg(test)]
    pub(crate) fn near_renewal(self) -> Self {
        Self(self.0 | (FRAMES - 1) & !1)
    }
}

#[cfg(test)]
mod tests {
    use super::{FRAME_BITS, FRAMES, SERIES, Stamp, within};

    #[test]
    fn frames_are_counted_through_a_renewal_and_the_allocator_stays() {
        let (mut stamp, other) = (Stamp::first(), Stamp::first());
        assert_eq!((stamp.frame(), other.frame()), (1, 1));
        assert_ne!(stamp.instance(), other.instance());
        let instance = stamp.instance();
        let mut frame = 1;
        for _ in 0..3 {
            let skipped = stamp.near_renewal();
            frame += skipped.0 - stamp.0;
            stamp = skipped;
            for _ in 0..4 {
                assert_eq!((stamp.frame(), stamp.instance()), (frame, instance));
                (stamp, frame) = (stamp.next(), frame + 1);
            }
        }
        assert!(frame > 3 * (FRAMES - 4));
        assert_eq!((other.next().frame(), other.next().instance()), (2, other.instance()));
    }

    #[test]
    fn the_last_series_has_stamps_of_its_own_and_none_comes_after_it() {
        let last = Stamp(within(SERIES - 1) << FRAME_BITS | (FRAMES - 1));
        assert_eq!((last.0, last.frame(), last.instance()), (u64::MAX, FRAMES - 1, SERIES - 1));
        for beyond in [SERIES, SERIES + 1, u64::MAX] {
            assert!(std::panic::catch_unwind(|| within(beyond)).is_err(), "{beyond} wraps into a stamp that was given");
        }
    }

    #[test]
    fn no_stamp_comes_twice() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..50 {
            let mut stamp = Stamp::first().near_renewal();
            for _ in 0..20 {
                assert!(seen.insert(stamp.0));
                stamp = stamp.next();
            }
        }
    }
}
