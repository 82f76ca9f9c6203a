//! Values by a small number: found without a lock, made when they are first asked for, never moved.
//!
//! Bucket `n` has room for two to the power of `n`, so that a number's place is known from its highest bit, as in the crates `thread_local`
//! and `boxcar`. By numbers rather than by thread-local storage, since a tag may be opened by a thread's last destructor.

use std::sync::OnceLock;

pub(crate) struct Shelf<T> {
    buckets: [OnceLock<Box<[OnceLock<T>]>>; usize::BITS as usize],
}

impl<T: Default> Shelf<T> {
    pub(crate) const fn new() -> Self {
        Self { buckets: [const { OnceLock::new() }; usize::BITS as usize] }
    }

    pub(crate) fn get(&self, index: usize) -> &T {
        // Numbers are counted from 0 by arenas, of which each takes memory: the highest is never reached.
        let place = index.saturating_add(1);
        let bucket = place.ilog2() as usize;
        let slots = self.buckets[bucket].get_or_init(|| (0..1usize << bucket).map(|_| OnceLock::new()).collect());
        slots[place - (1 << bucket)].get_or_init(T::default)
    }

    /// All that were asked for.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.buckets.iter().filter_map(OnceLock::get).flatten().filter_map(OnceLock::get)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn each_number_has_a_place_of_its_own() {
        let shelf = Shelf::<AtomicUsize>::new();
        for index in 0..200 {
            assert_eq!(shelf.get(index).swap(index + 1, Ordering::Relaxed), 0, "{index}");
        }
        assert!((0..200).all(|index| shelf.get(index).load(Ordering::Relaxed) == index + 1));
        assert_eq!(
            shelf.iter().map(|value| value.load(Ordering::Relaxed)).collect::<Vec<_>>(),
            (1..=200).collect::<Vec<_>>()
        );
    }
}
