//! `FrameVec`: allocator-api2's `Vec` in a frame, with refusals that unwind or are returned, and never abort.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use allocator_api2::vec::{IntoIter, Vec};

use crate::error::AllocError;
use crate::frame::{ALIGN, Frame, FrameBox};

/// A growing vector in a frame. All of `Vec`'s methods are there; the `try_` methods here return refusals.
///
/// It grows in place as long as it is the last thing its thread allocated. Like its frame it is neither `Send` nor
/// `Sync`; [`into_boxed_slice`](Self::into_boxed_slice) freezes it into a box, which is.
///
/// ```
/// use framealloc_core::SmartAlloc;
/// let alloc = SmartAlloc::default();
/// let mut contacts = alloc.frame_vec::<(u32, u32)>();
/// contacts.push((1, 2));
/// contacts.extend([(2, 3), (3, 4)]);
/// contacts.retain(|pair| pair.0 > 1);
/// assert_eq!(contacts.len(), 2);
/// ```
pub struct FrameVec<'f, T> {
    vec: Vec<T, Frame<'f>>,
}

/// Runs a `try_reserve` of a container in `frame`, and says why it failed.
#[track_caller]
pub(crate) fn reserve_quietly<R, E>(
    frame: Frame<'_>,
    wanted: (usize, usize),
    f: impl FnOnce() -> Result<R, E>,
) -> Result<R, AllocError> {
    let result = frame.raw().on_behalf(|| frame.raw().quietly(f));
    result.map_err(|_| frame.raw().last_error().unwrap_or(AllocError::capacity(wanted.0, wanted.1)))
}

/// Elements that are being written behind a vector's last. The vector has them when this is dropped: also if making the next
/// one panics.
struct Appended<'a, 'f, T> {
    vec: &'a mut Vec<T, Frame<'f>>,
    start: *mut T,
    len: usize,
    capacity: usize,
}

impl<'a, 'f, T> Appended<'a, 'f, T> {
    #[inline(always)]
    fn to(vec: &'a mut Vec<T, Frame<'f>>) -> Self {
        let (start, len, capacity) = (vec.as_mut_ptr(), vec.len(), vec.capacity());
        Self { vec, start, len, capacity }
    }

    /// # Safety
    ///
    /// There is room.
    #[inline(always)]
    unsafe fn push(&mut self, value: T) {
        // SAFETY: below the capacity.
        unsafe { self.start.add(self.len).write(value) };
        self.len += 1;
    }
}

impl<T> Drop for Appended<'_, '_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: that many elements were written, within the capacity.
        unsafe { self.vec.set_len(self.len) };
    }
}

impl<'f, T> FrameVec<'f, T> {
    /// An empty vector, which takes no memory yet.
    #[must_use]
    #[inline]
    pub const fn new_in(frame: Frame<'f>) -> Self {
        Self { vec: Vec::new_in(frame) }
    }

    /// An empty vector with room for `capacity` elements.
    ///
    /// # Panics
    ///
    /// If memory is refused.
    #[must_use]
    #[inline]
    #[track_caller]
    pub fn with_capacity_in(capacity: usize, frame: Frame<'f>) -> Self {
        if capacity == 0 || size_of::<T>() == 0 {
            return Self::new_in(frame);
        }
        let Ok(start) = frame.raw().reserve_slice::<ALIGN, core::convert::Infallible, T>(capacity);
        // SAFETY: reserved for as many elements of `T` from the vector's own allocator; none of them is there yet.
        Self { vec: unsafe { Vec::from_raw_parts_in(start.as_ptr(), 0, capacity, frame) } }
    }

    /// An empty vector with room for `capacity` elements.
    ///
    /// # Errors
    ///
    /// If memory is refused, or more than `isize::MAX` bytes are asked for.
    #[track_caller]
    pub fn try_with_capacity_in(capacity: usize, frame: Frame<'f>) -> Result<Self, AllocError> {
        let mut vec = Self::new_in(frame);
        vec.try_reserve_exact(capacity)?;
        Ok(vec)
    }

    /// The frame the vector is in.
    #[must_use]
    #[inline]
    pub fn frame(&self) -> Frame<'f> {
        *self.vec.allocator()
    }

    /// Makes room for `additional` more elements, and more than that, so that growth is amortised.
    ///
    /// # Errors
    ///
    /// If memory is refused; the vector is unchanged.
    ///
    /// ```
    /// use framealloc_core::{Arena, FixedBackend};
    /// let arena = Arena::with_backend(Box::new(FixedBackend::new(4096)));
    /// let mut v = arena.vec::<u64>();
    /// assert!(v.try_reserve(1_000_000).is_err());
    /// assert!(v.is_empty());
    /// ```
    #[track_caller]
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), AllocError> {
        reserve_quietly(self.frame(), (additional, size_of::<T>()), || self.vec.try_reserve(additional))
    }

    /// Makes room for `additional` more elements, and more than that, so that growth is amortised.
    ///
    /// # Panics
    ///
    /// If memory is refused, or more than `isize::MAX` bytes would be taken; the vector is unchanged.
    #[inline]
    #[track_caller]
    pub fn reserve(&mut self, additional: usize) {
        self.make_room(additional);
    }

    /// Makes room for exactly `additional` more elements.
    ///
    /// # Errors
    ///
    /// If memory is refused; the vector is unchanged.
    #[track_caller]
    pub fn try_reserve_exact(&mut self, additional: usize) -> Result<(), AllocError> {
        reserve_quietly(self.frame(), (additional, size_of::<T>()), || self.vec.try_reserve_exact(additional))
    }

    /// Appends an element.
    ///
    /// # Panics
    ///
    /// If memory is refused, or more than `isize::MAX` bytes would be taken; the vector is unchanged.
    #[inline(always)]
    #[track_caller]
    pub fn push(&mut self, value: T) {
        let len = self.vec.len();
        if len == self.vec.capacity() {
            self.grow(1);
        }
        // SAFETY: below the capacity, and initialised before the length tells so.
        unsafe {
            self.vec.as_mut_ptr().add(len).write(value);
            self.vec.set_len(len + 1);
        }
    }

    /// Sees to it that there is room for `additional` more.
    #[inline(always)]
    #[track_caller]
    fn make_room(&mut self, additional: usize) {
        let room = self.room();
        if room < additional {
            self.grow(additional - room);
        }
    }

    /// Appends a copy of a slice of plain data as a block.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn append(&mut self, source: &[T])
    where
        T: Copy,
    {
        self.make_room(source.len());
        // SAFETY: there is room.
        unsafe { self.append_within(source) };
    }

    /// Elements that fit before the vector grows.
    #[inline(always)]
    pub(crate) fn room(&self) -> usize {
        self.vec.capacity() - self.vec.len()
    }

    /// Appends a copy of a slice of plain data as a block.
    ///
    /// # Safety
    ///
    /// There is [`room`](Self::room) for it.
    #[inline(always)]
    pub(crate) unsafe fn append_within(&mut self, source: &[T])
    where
        T: Copy,
    {
        let len = self.vec.len();
        // SAFETY: there is room for all of `source`, which a vector that is borrowed exclusively does not overlap. The length is set
        // first, so that nothing has to be kept across the copy, which does not unwind; nobody sees the elements before it is done.
        unsafe {
            let end = self.vec.as_mut_ptr().add(len);
            self.vec.set_len(len + source.len());
            end.copy_from_nonoverlapping(source.as_ptr(), source.len());
        }
    }

    /// Makes room for `more` than the capacity. All that leaves this function is values: a vector whose address nobody has seen can live in
    /// registers, and pushing is then no trip through memory.
    #[inline(always)]
    #[track_caller]
    fn grow(&mut self, more: usize) {
        let (frame, len, capacity) = (self.frame(), self.vec.len(), self.vec.capacity());
        // SAFETY: a vector's pointer is not null.
        let start = unsafe { NonNull::new_unchecked(self.vec.as_mut_ptr()) };
        // SAFETY: the vector's block, of this frame, and all of its capacity; the old vector is forgotten below.
        let (start, capacity) = unsafe { frame.raw().grown::<ALIGN, T>(start, capacity, more) };
        // SAFETY: the elements were moved along, and the block is one that the frame's allocator may grow and free.
        let grown = unsafe { Vec::from_raw_parts_in(start.as_ptr(), len, capacity, frame) };
        core::mem::forget(core::mem::replace(&mut self.vec, grown));
    }

    /// Appends an element.
    ///
    /// # Errors
    ///
    /// If memory is refused: the element comes back with the error, and the vector is unchanged.
    #[track_caller]
    pub fn try_push(&mut self, value: T) -> Result<(), (AllocError, T)> {
        if self.vec.len() == self.vec.capacity()
            && let Err(error) = self.try_reserve(1)
        {
            return Err((error, value));
        }
        self.vec.push(value);
        Ok(())
    }

    /// Appends what an iterator yields.
    ///
    /// # Errors
    ///
    /// If memory is refused: the vector keeps what was appended before, and the element at hand is dropped.
    #[track_caller]
    pub fn try_extend(&mut self, iter: impl IntoIterator<Item = T>) -> Result<(), AllocError> {
        let mut iter = iter.into_iter();
        loop {
            if self.fill(&mut iter) {
                return Ok(());
            }
            let Some(value) = iter.next() else { return Ok(()) };
            self.try_reserve(iter.size_hint().0.saturating_add(1))?;
            self.vec.push(value);
        }
    }

    /// Appends what an iterator yields as long as there is room; whether that was all.
    #[inline(always)]
    fn fill(&mut self, iter: &mut impl Iterator<Item = T>) -> bool {
        let mut appended = Appended::to(&mut self.vec);
        while appended.len < appended.capacity {
            let Some(value) = iter.next() else { return true };
            // SAFETY: there is room for it.
            unsafe { appended.push(value) };
        }
        false
    }

    /// Appends what follows after there was no more room, of which more is made.
    #[cold]
    #[track_caller]
    fn extend_grown(&mut self, iter: &mut impl Iterator<Item = T>) {
        while let Some(value) = iter.next() {
            self.make_room(iter.size_hint().0.saturating_add(1));
            self.push(value);
            if self.fill(iter) {
                return;
            }
        }
    }

    /// Appends a copy of a slice.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let alloc = SmartAlloc::default();
    /// let mut hits = alloc.frame_vec();
    /// hits.extend_from_slice(&[3, 1, 2]);
    /// hits.extend_from_slice(&[4]);
    /// assert_eq!(hits, [3, 1, 2, 4]);
    /// ```
    ///
    /// # Panics
    ///
    /// If memory is refused; the vector is unchanged.
    #[inline]
    #[track_caller]
    pub fn extend_from_slice(&mut self, source: &[T])
    where
        T: Clone,
    {
        self.make_room(source.len());
        let mut appended = Appended::to(&mut self.vec);
        // Bounded by the slice alone, so that a slice of plain data is copied as a block.
        for value in source {
            // SAFETY: there is room for all of them.
            unsafe { appended.push(value.clone()) };
        }
    }

    /// Appends a copy of a slice.
    ///
    /// # Errors
    ///
    /// If memory is refused; the vector is unchanged.
    #[track_caller]
    pub fn try_extend_from_slice(&mut self, source: &[T]) -> Result<(), AllocError>
    where
        T: Clone,
    {
        self.try_reserve(source.len())?;
        self.extend_from_slice(source);
        Ok(())
    }

    /// Freezes the vector into a box, which is `Send` and `Sync` as its elements are. Nothing is copied; spare capacity is
    /// given back if nothing was allocated behind it.
    #[must_use]
    pub fn into_boxed_slice(self) -> FrameBox<'f, [T]> {
        let place = self.into_place();
        // SAFETY: the elements are initialised, the vector is forgotten, and their memory stays for `'f`.
        unsafe { FrameBox::from_place(place) }
    }

    /// The elements for the rest of the frame. `T` must not have a destructor, which would never run.
    #[must_use]
    pub fn into_slice(self) -> &'f mut [T] {
        const { crate::arena::assert_no_drop_glue::<T>() };
        let place = self.into_place();
        // SAFETY: the elements are initialised, nobody else's, and their memory stays for `'f`.
        unsafe { crate::arena::exclusive(place) }
    }

    pub(crate) fn into_place(self) -> NonNull<[T]> {
        let frame = self.frame();
        let mut vec = ManuallyDrop::new(self.vec);
        let (len, capacity) = (vec.len(), vec.capacity());
        // SAFETY: a vector's pointer is not null.
        let start = unsafe { NonNull::new_unchecked(vec.as_mut_ptr()) };
        if size_of::<T>() != 0 && len < capacity {
            // SAFETY: layouts of a vector that exists.
            let layout = |n| unsafe { core::alloc::Layout::array::<T>(n).unwrap_unchecked() };
            // SAFETY: the buffer is live in this arena with that layout, and the new one is smaller, of the same
            // alignment: it stays in place.
            let result = unsafe {
                frame.raw().shrink::<ALIGN, core::convert::Infallible>(start.cast(), layout(capacity), layout(len))
            };
            let Ok(_) = result;
        }
        NonNull::slice_from_raw_parts(start, len)
    }

    /// The vector underneath.
    #[must_use]
    pub fn into_inner(self) -> Vec<T, Frame<'f>> {
        self.vec
    }
}

impl<'f, T> From<Vec<T, Frame<'f>>> for FrameVec<'f, T> {
    fn from(vec: Vec<T, Frame<'f>>) -> Self {
        Self { vec }
    }
}

impl<'f, T> Deref for FrameVec<'f, T> {
    type Target = Vec<T, Frame<'f>>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        &self.vec
    }
}

impl<T> DerefMut for FrameVec<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.vec
    }
}

impl<T> Extend<T> for FrameVec<'_, T> {
    #[inline]
    #[track_caller]
    fn extend<I: IntoIterator<Item = T>>(&mut self, iter: I) {
        let mut iter = iter.into_iter();
        self.make_room(iter.size_hint().0);
        if !self.fill(&mut iter) {
            self.extend_grown(&mut iter);
        }
    }
}

impl<'a, T: Copy> Extend<&'a T> for FrameVec<'_, T> {
    #[inline]
    #[track_caller]
    fn extend<I: IntoIterator<Item = &'a T>>(&mut self, iter: I) {
        self.extend(iter.into_iter().copied());
    }
}

impl<'f, T> IntoIterator for FrameVec<'f, T> {
    type Item = T;
    type IntoIter = IntoIter<T, Frame<'f>>;

    fn into_iter(self) -> Self::IntoIter {
        self.vec.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a FrameVec<'_, T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.vec.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut FrameVec<'_, T> {
    type Item = &'a mut T;
    type IntoIter = core::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.vec.iter_mut()
    }
}

impl<T: Clone> Clone for FrameVec<'_, T> {
    #[track_caller]
    fn clone(&self) -> Self {
        Self { vec: self.frame().raw().on_behalf(|| self.vec.clone()) }
    }
}

impl<T: fmt::Debug> fmt::Debug for FrameVec<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.vec.fmt(f)
    }
}

impl<T: PartialEq<U>, U> PartialEq<FrameVec<'_, U>> for FrameVec<'_, T> {
    fn eq(&self, other: &FrameVec<'_, U>) -> bool {
        self.vec[..] == other.vec[..]
    }
}

impl<T: Eq> Eq for FrameVec<'_, T> {}

impl<T: PartialEq<U>, U> PartialEq<[U]> for FrameVec<'_, T> {
    fn eq(&self, other: &[U]) -> bool {
        self.vec[..] == *other
    }
}

impl<T: PartialEq<U>, U, const N: usize> PartialEq<[U; N]> for FrameVec<'_, T> {
    fn eq(&self, other: &[U; N]) -> bool {
        self.vec[..] == *other
    }
}

/// A [`FrameVec`] of the values listed, or of clones of one: `frame_vec![in alloc; 1, 2, 3]`, `frame_vec![in alloc; 0; 100]`.
///
/// What stands behind `in` is whatever has a `frame()`: a `SmartAlloc`, a frame, an arena, a scratch arena.
///
/// ```
/// use framealloc_core::{SmartAlloc, frame_vec};
/// let alloc = SmartAlloc::default();
/// assert_eq!(*frame_vec![in alloc; 1, 2, 3], [1, 2, 3]);
/// assert_eq!(*frame_vec![in alloc; 7; 3], [7, 7, 7]);
/// let empty = frame_vec![in alloc; ] as framealloc_core::FrameVec<'_, u8>;
/// assert!(empty.is_empty());
/// ```
#[macro_export]
macro_rules! frame_vec {
    [in $alloc:expr; $value:expr; $len:expr] => {{
        let mut vec = $crate::FrameVec::new_in(($alloc).frame());
        vec.resize($len, $value);
        vec
    }};
    [in $alloc:expr; $($value:expr),* $(,)?] => {
        $crate::FrameVec::from_array_in([$($value),*], ($alloc).frame())
    };
}

impl<'f, T> FrameVec<'f, T> {
    /// A vector of an array's values.
    ///
    /// # Panics
    ///
    /// If memory is refused.
    #[must_use]
    #[track_caller]
    pub fn from_array_in<const N: usize>(values: [T; N], frame: Frame<'f>) -> Self {
        let mut vec = Self::with_capacity_in(N, frame);
        vec.extend(values);
        vec
    }

    /// A vector of an array's values.
    ///
    /// # Errors
    ///
    /// If memory is refused; the values are dropped.
    #[track_caller]
    pub fn try_from_array_in<const N: usize>(values: [T; N], frame: Frame<'f>) -> Result<Self, AllocError> {
        let mut vec = Self::try_with_capacity_in(N, frame)?;
        vec.extend(values);
        Ok(vec)
    }
}
