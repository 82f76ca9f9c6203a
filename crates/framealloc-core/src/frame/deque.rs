//! `FrameDeque`: a ring over a `FrameVec`, since allocator-api2 has none.

use core::fmt;
use core::mem::MaybeUninit;

use crate::error::AllocError;
use crate::frame::{Frame, FrameVec};

/// A double-ended queue in a frame.
///
/// ```
/// use framealloc_core::SmartAlloc;
/// let alloc = SmartAlloc::default();
/// let mut open = alloc.frame_deque();
/// open.extend([1, 2, 3]);
/// open.push_front(0);
/// assert_eq!(open.iter().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
/// assert_eq!((open.pop_front(), open.pop_back()), (Some(0), Some(3)));
/// ```
pub struct FrameDeque<'f, T> {
    /// As long as its capacity; the `len` slots from `head` on, wrapping around, are initialised.
    ring: FrameVec<'f, MaybeUninit<T>>,
    head: usize,
    len: usize,
}

impl<'f, T> FrameDeque<'f, T> {
    /// An empty queue, which takes no memory yet.
    #[must_use]
    pub const fn new_in(frame: Frame<'f>) -> Self {
        Self { ring: FrameVec::new_in(frame), head: 0, len: 0 }
    }

    /// Number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Elements that fit before the queue grows.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.len()
    }

    /// The slot of the element `at`; `at` may equal `len` if there is room.
    fn slot(&self, at: usize) -> usize {
        let slot = self.head + at;
        if slot >= self.ring.len() { slot - self.ring.len() } else { slot }
    }

    /// Makes room for `additional` more elements.
    ///
    /// # Errors
    ///
    /// If memory is refused; the queue is unchanged.
    #[track_caller]
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), AllocError> {
        let old = self.ring.len();
        let overflow = AllocError::capacity(usize::MAX, size_of::<T>());
        let wanted = self.len.checked_add(additional).ok_or(overflow)?;
        if wanted <= old {
            return Ok(());
        }
        self.ring.try_reserve(wanted - old)?;
        self.grown(old);
        Ok(())
    }

    /// Takes the new capacity into use: what had wrapped around stays behind the old end.
    fn grown(&mut self, old: usize) {
        // Half of all indices at most (the capacity of zero-sized elements has no end), so that no sum of two wraps.
        let new = self.ring.capacity().min(usize::MAX / 2);
        // SAFETY: within the capacity, and a `MaybeUninit` needs no initialisation.
        unsafe { self.ring.set_len(new) };
        let before_the_end = old - self.head;
        if self.len > before_the_end {
            // The front part moves to the new end. Slots are moved bit by bit, initialised or not.
            let moved_head = new - before_the_end;
            for i in (0..before_the_end).rev() {
                self.ring.swap(self.head + i, moved_head + i);
            }
            self.head = moved_head;
        }
    }

    #[track_caller]
    fn grow_if_full(&mut self) {
        if self.len == self.ring.len() {
            let old = self.ring.len();
            self.ring.reserve(old.max(4));
            self.grown(old);
        }
    }

    /// Appends an element at the back.
    ///
    /// # Panics
    ///
    /// If memory is refused.
    #[track_caller]
    pub fn push_back(&mut self, value: T) {
        self.grow_if_full();
        let slot = self.slot(self.len);
        self.ring[slot].write(value);
        self.len += 1;
    }

    /// Puts an element before the front.
    ///
    /// # Panics
    ///
    /// If memory is refused.
    #[track_caller]
    pub fn push_front(&mut self, value: T) {
        self.grow_if_full();
        self.head = self.head.checked_sub(1).unwrap_or(self.ring.len() - 1);
        self.ring[self.head].write(value);
        self.len += 1;
    }

    /// Appends an element at the back.
    ///
    /// # Errors
    ///
    /// If memory is refused: the element comes back with the error.
    #[track_caller]
    pub fn try_push_back(&mut self, value: T) -> Result<(), (AllocError, T)> {
        match self.try_reserve(1) {
            Ok(()) => {
                self.push_back(value);
                Ok(())
            }
            Err(error) => Err((error, value)),
        }
    }

    /// Puts an element before the front.
    ///
    /// # Errors
    ///
    /// If memory is refused: the element comes back with the error.
    #[track_caller]
    pub fn try_push_front(&mut self, value: T) -> Result<(), (AllocError, T)> {
        match self.try_reserve(1) {
            Ok(()) => {
                self.push_front(value);
                Ok(())
            }
            Err(error) => Err((error, value)),
        }
    }

    /// Appends what an iterator yields at the back.
    ///
    /// # Errors
    ///
    /// If memory is refused: the queue keeps what was appended before, and the element at hand is dropped.
    #[track_caller]
    pub fn try_extend(&mut self, iter: impl IntoIterator<Item = T>) -> Result<(), AllocError> {
        for value in iter {
            self.try_push_back(value).map_err(|(error, _)| error)?;
        }
        Ok(())
    }

    /// Takes the front element.
    pub fn pop_front(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        let slot = self.head;
        self.head = self.slot(1);
        self.len -= 1;
        // SAFETY: the slot was the first initialised one, and is no longer counted as such.
        Some(unsafe { self.ring[slot].assume_init_read() })
    }

    /// Takes the back element.
    pub fn pop_back(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        let slot = self.slot(self.len);
        // SAFETY: the slot was the last initialised one, and is no longer counted as such.
        Some(unsafe { self.ring[slot].assume_init_read() })
    }

    /// The element at a place, counted from the front.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&T> {
        // SAFETY: the first `len` slots from `head` on are initialised.
        (at < self.len).then(|| unsafe { self.ring[self.slot(at)].assume_init_ref() })
    }

    /// The element at a place, counted from the front.
    #[must_use]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let slot = self.slot(at.min(self.len));
        // SAFETY: the first `len` slots from `head` on are initialised.
        (at < self.len).then(|| unsafe { self.ring[slot].assume_init_mut() })
    }

    /// The first element.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.get(0)
    }

    /// The last element.
    #[must_use]
    pub fn back(&self) -> Option<&T> {
        self.get(self.len.checked_sub(1)?)
    }

    /// The elements from front to back.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        // SAFETY: the first `len` slots from `head` on are initialised.
        (0..self.len).map(|at| unsafe { self.ring[self.slot(at)].assume_init_ref() })
    }

    /// Drops all elements, and keeps the capacity. If a destructor panics the others still run.
    pub fn clear(&mut self) {
        struct Rest<'a, 'f, T>(&'a mut FrameDeque<'f, T>);
        impl<T> Drop for Rest<'_, '_, T> {
            fn drop(&mut self) {
                while self.0.pop_front().is_some() {}
            }
        }
        let rest = Rest(self);
        while rest.0.pop_front().is_some() {}
    }
}

impl<T> Drop for FrameDeque<'_, T> {
    fn drop(&mut self) {
        if core::mem::needs_drop::<T>() {
            self.clear();
        }
    }
}

impl<T> Extend<T> for FrameDeque<'_, T> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = T>>(&mut self, iter: I) {
        for value in iter {
            self.push_back(value);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for FrameDeque<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::Arena;
    use alloc::collections::VecDeque;
    use alloc::rc::Rc;

    #[test]
    fn deque_behaves_as_std_does() {
        let arena = Arena::new();
        let (mut ours, mut theirs) = (arena.deque(), VecDeque::new());
        let mut seed = 1u32;
        for i in 0..5000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match seed >> 29 {
                0..=2 => {
                    ours.push_back(Rc::new(i));
                    theirs.push_back(Rc::new(i));
                }
                3..=4 => {
                    ours.push_front(Rc::new(i));
                    theirs.push_front(Rc::new(i));
                }
                5 => assert_eq!(ours.pop_back(), theirs.pop_back()),
                6 => assert_eq!(ours.pop_front(), theirs.pop_front()),
                _ => ours.try_reserve(7).unwrap(),
            }
            assert_eq!(ours.len(), theirs.len());
            assert_eq!(ours.get(3), theirs.get(3));
            assert_eq!(ours.back(), theirs.back());
        }
        assert!(ours.iter().eq(theirs.iter()));
    }

    #[test]
    fn deque_of_zero_sized_values() {
        let arena = Arena::new();
        let mut deque = arena.deque();
        for _ in 0..100 {
            deque.push_front(());
        }
        assert_eq!(deque.len(), 100);
        while deque.pop_back().is_some() {}
        assert!(deque.is_empty());
    }
}
