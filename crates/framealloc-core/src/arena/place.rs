//! Values into memory: each way to allocate is written here once, for all arenas and for both kinds of refusal.
//!
//! Promises that a value is only ever seen complete, and that a panic or error in the user's closure, iterator or `clone`
//! gives the memory back and loses nothing else. The lifetime of the results is that of the `&RawArena`.

use core::alloc::Layout;
use core::mem::{self, MaybeUninit};
use core::ops::ControlFlow;
use core::ptr::{self, NonNull};
use core::slice;

use super::raw::{RawArena, Refusal};
use crate::error::{AllocError, AllocErrorKind, InitError};

/// Refuses to compile for types with a destructor, which a `&mut T` would never run.
pub(crate) const fn assert_no_drop_glue<T>() {
    // Not in the assertion, which users see.
    if canary!("drop_glue_allowed", false, true) {
        return;
    }
    assert!(
        !mem::needs_drop::<T>(),
        "this type has a destructor, which a reference into an arena would never run: use `alloc_box` (or a \
         `FrameVec`, or `alloc_box_slice_with`) instead"
    );
}

/// A block that is given back unless it is kept: what stands between a reservation and user code that may unwind.
pub(crate) struct Reserved<'a, const M: usize> {
    arena: &'a RawArena,
    block: NonNull<u8>,
    layout: Layout,
}

impl<'a, const M: usize> Reserved<'a, M> {
    /// # Safety
    ///
    /// `block` was just reserved from `arena` with this `layout`, and is not used after the guard was dropped.
    pub(crate) unsafe fn new(arena: &'a RawArena, block: NonNull<u8>, layout: Layout) -> Self {
        Self { arena, block, layout }
    }

    pub(crate) fn keep(self) {
        mem::forget(self);
    }
}

impl<const M: usize> Drop for Reserved<'_, M> {
    fn drop(&mut self) {
        // SAFETY: the block was reserved from this arena with this layout, and its user failed before anyone saw it.
        unsafe { self.arena.unreserve::<M>(self.block, self.layout) };
    }
}

/// The initialised front of a slice under construction: dropped if construction fails.
struct Filled<T> {
    start: NonNull<T>,
    len: usize,
}

impl<T> Drop for Filled<T> {
    fn drop(&mut self) {
        let len = canary!("panic_leaks_elements", self.len, 0);
        // SAFETY: the first `len` elements were written, and nobody else has seen them.
        unsafe { ptr::drop_in_place(ptr::slice_from_raw_parts_mut(self.start.as_ptr(), len)) };
    }
}

/// A slice under construction whose length is not known: elements and memory are let go of if construction fails.
struct Growing<'a, const M: usize, T> {
    arena: &'a RawArena,
    start: NonNull<T>,
    capacity: usize,
    len: usize,
}

impl<const M: usize, T> Growing<'_, M, T> {
    fn layout(capacity: usize) -> Layout {
        // SAFETY: the layout was valid when that capacity was reserved, or is that of no elements.
        unsafe { Layout::array::<T>(capacity).unwrap_unchecked() }
    }

    /// Memory for `wanted` elements, which is more than there is.
    #[track_caller]
    fn grow<E: Refusal>(&mut self, wanted: usize) -> Result<(), E> {
        // SAFETY: `start` is live with room for `capacity` elements (zero-sized, and dangling, at first), and `wanted` is more.
        self.start = unsafe { self.arena.regrow::<M, E, T>(self.start, self.capacity, wanted)? };
        self.capacity = wanted;
        Ok(())
    }

    /// Takes `value`, for which there is no room, and all that follows.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn take_rest<E: Refusal>(mut self, mut value: T, mut iter: impl Iterator<Item = T>) -> Result<NonNull<[T]>, E> {
        loop {
            let more = iter.size_hint().0.saturating_add(1);
            self.grow::<E>(self.capacity.saturating_add(more.max(self.capacity).max(4)))?;
            loop {
                // SAFETY: below the capacity.
                unsafe { self.start.add(self.len).write(value) };
                self.len += 1;
                match iter.next() {
                    None => return Ok(self.finish()),
                    Some(next) => value = next,
                }
                if self.len == self.capacity {
                    break;
                }
            }
        }
    }

    /// The slice, as long as its memory.
    #[inline(always)]
    fn keep(self) -> NonNull<[T]> {
        let done = mem::ManuallyDrop::new(self);
        NonNull::slice_from_raw_parts(done.start, done.len)
    }

    /// [`finish`](Self::finish) for an iterator that promised more.
    #[cold]
    #[inline(never)]
    fn finish_short(self) -> NonNull<[T]> {
        self.finish()
    }

    /// The slice; the rest of its memory is given back.
    #[inline]
    fn finish(self) -> NonNull<[T]> {
        let done = mem::ManuallyDrop::new(self);
        let layout = Self::layout(done.capacity);
        let high = done.arena.high();
        // SAFETY: the block is live with this layout. The new one is smaller, of the same alignment: it stays in place.
        let result = unsafe {
            done.arena.shrink::<M, core::convert::Infallible>(done.start.cast(), layout, Self::layout(done.len))
        };
        let Ok(start) = result;
        // What was reserved and not needed is in no figure.
        done.arena.set_high(high);
        NonNull::slice_from_raw_parts(start.cast(), done.len)
    }
}

impl<const M: usize, T> Drop for Growing<'_, M, T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.capacity);
        // Dropped in the reverse order: first the elements, then their memory.
        let _memory = Reserved::<M> { arena: self.arena, block: self.start.cast(), layout };
        let _elements = Filled { start: self.start, len: self.len };
    }
}

impl RawArena {
    /// Memory for at least `more` elements beside the `capacity` at `start`, and for at least as many again: where, and for how
    /// many in all. By value, so that what grows need not lie in memory.
    ///
    /// # Safety
    ///
    /// `start` is a live block of this arena with the layout of `capacity` elements, or dangling if these take no memory. It is
    /// dead afterwards, unless this unwinds.
    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(crate) unsafe fn grown<const M: usize, T>(
        &self,
        start: NonNull<T>,
        capacity: usize,
        more: usize,
    ) -> (NonNull<T>, usize) {
        if size_of::<T>() == 0 {
            // There is always room for elements of no size, until there are too many to count.
            AllocError::capacity(usize::MAX, 0).raise()
        }
        let least: usize = match size_of::<T>() {
            // A text is rarely shorter than that, and growing it in place costs a call each time.
            1 if self.room_to_spare() >= 32 => 32,
            1 => 8,
            2..=1024 => 4,
            _ => 1,
        };
        let more = more.max(capacity).max(least.saturating_sub(capacity));
        // SAFETY: the caller's promise.
        match unsafe { self.grow_in_place::<M, T>(start, capacity, more) } {
            Some(grown) => grown,
            // SAFETY: as above; nothing was grown.
            None => unsafe { self.grown_elsewhere::<M, T>(start, capacity, more) },
        }
    }

    /// # Safety
    ///
    /// As for [`grown`](Self::grown), and `more` is not 0.
    #[cold]
    #[inline(never)]
    #[track_caller]
    unsafe fn grown_elsewhere<const M: usize, T>(
        &self,
        start: NonNull<T>,
        capacity: usize,
        more: usize,
    ) -> (NonNull<T>, usize) {
        let wanted = capacity.saturating_add(more);
        // SAFETY: handed on.
        let Ok(start) = unsafe { self.regrow::<M, core::convert::Infallible, T>(start, capacity, wanted) };
        (start, wanted)
    }

    /// Room for `wanted` elements in place of `capacity`.
    ///
    /// # Safety
    ///
    /// As for [`grown`](Self::grown), and `wanted` is more than `capacity`.
    #[inline(always)]
    #[track_caller]
    unsafe fn regrow<const M: usize, E: Refusal, T>(
        &self,
        start: NonNull<T>,
        capacity: usize,
        wanted: usize,
    ) -> Result<NonNull<T>, E> {
        let Ok(new) = Layout::array::<T>(wanted) else {
            return Err(E::refuse(AllocError::capacity(wanted, size_of::<T>())));
        };
        // SAFETY: the caller's promise: the block is live with that layout, and `new` is larger.
        let block = unsafe { self.grow::<M, E>(start.cast(), Growing::<'_, M, T>::layout(capacity), new)? };
        Ok(block.cast())
    }

    #[inline(always)]
    #[track_caller]
    pub(crate) fn value_with<const M: usize, E: Refusal, T>(&self, f: impl FnOnce() -> T) -> Result<NonNull<T>, E> {
        let place = self.reserve::<M, E, T>()?;
        let reserved = Reserved::<M> { arena: self, block: place.cast(), layout: Layout::new::<T>() };
        // SAFETY: `place` is reserved for a `T`. What `f` allocates comes after it.
        unsafe { place.write(f()) };
        reserved.keep();
        Ok(place)
    }

    #[inline(always)]
    #[track_caller]
    pub(crate) fn value_try_with<const M: usize, T, X>(
        &self,
        f: impl FnOnce() -> Result<T, X>,
    ) -> Result<NonNull<T>, InitError<X>> {
        let place = self.reserve::<M, AllocError, T>().map_err(InitError::Alloc)?;
        let reserved = Reserved::<M> { arena: self, block: place.cast(), layout: Layout::new::<T>() };
        let value = match f() {
            Ok(value) => value,
            Err(error) => {
                canary!("failed_init_keeps_memory", (), reserved.keep());
                return Err(InitError::Init(error));
            }
        };
        // SAFETY: `place` is reserved for a `T`.
        unsafe { place.write(value) };
        reserved.keep();
        Ok(place)
    }

    #[inline(always)]
    #[track_caller]
    pub(crate) fn slice_copy<const M: usize, E: Refusal, T: Copy>(&self, source: &[T]) -> Result<NonNull<[T]>, E> {
        // The layout of a slice that exists is valid.
        let place = self.reserve_layout::<M, E>(size_of_val(source), align_of::<T>())?.cast::<T>();
        // SAFETY: `place` is reserved for as many elements and is fresh, hence disjoint.
        unsafe { ptr::copy_nonoverlapping(source.as_ptr(), place.as_ptr(), source.len()) };
        Ok(NonNull::slice_from_raw_parts(place, source.len()))
    }

    #[inline]
    #[track_caller]
    pub(crate) fn slice_clone<const M: usize, E: Refusal, T: Clone>(&self, source: &[T]) -> Result<NonNull<[T]>, E> {
        self.slice_with::<M, E, T>(source.len(), |i| source[i].clone())
    }

    #[inline]
    #[track_caller]
    pub(crate) fn slice_fill<const M: usize, E: Refusal, T: Clone>(
        &self,
        len: usize,
        value: T,
    ) -> Result<NonNull<[T]>, E> {
        self.slice_with::<M, E, T>(len, |_| value.clone())
    }

    #[inline]
    #[track_caller]
    pub(crate) fn slice_with<const M: usize, E: Refusal, T>(
        &self,
        len: usize,
        mut f: impl FnMut(usize) -> T,
    ) -> Result<NonNull<[T]>, E> {
        let start = self.reserve_slice::<M, E, T>(len)?;
        // SAFETY: `start` is reserved for `len` elements.
        Ok(unsafe { self.fill::<M, T>(start, len, align_of::<T>(), &mut f) })
    }

    /// # Safety
    ///
    /// `start` was just reserved for `len` elements aligned to `align`.
    #[inline]
    unsafe fn fill<const M: usize, T>(
        &self,
        start: NonNull<T>,
        len: usize,
        align: usize,
        f: &mut impl FnMut(usize) -> T,
    ) -> NonNull<[T]> {
        // SAFETY: the layout was valid when it was reserved.
        let layout = unsafe { Layout::from_size_align_unchecked(len * size_of::<T>(), align) };
        // Dropped in the reverse order: first the elements, then their memory.
        let reserved = Reserved::<M> { arena: self, block: start.cast(), layout };
        let mut filled = Filled { start, len: 0 };
        while filled.len < len {
            let value = f(filled.len);
            // SAFETY: below `len`, for which memory is reserved.
            unsafe { start.add(filled.len).write(value) };
            filled.len += 1;
        }
        mem::forget(filled);
        reserved.keep();
        NonNull::slice_from_raw_parts(start, len)
    }

    /// The layout of `len` elements at an alignment of the caller's choice.
    #[track_caller]
    pub(crate) fn layout_aligned<E: Refusal, T>(len: usize, align: usize) -> Result<Layout, E> {
        let refuse = |kind| Err(E::refuse(AllocError::new(kind)));
        if !align.is_power_of_two() {
            let setting = "the alignment of a slice";
            return refuse(AllocErrorKind::Config { setting, value: align, bound: "a power of two" });
        }
        let overflow = AllocErrorKind::CapacityOverflow { count: len, size: size_of::<T>() };
        let Ok(layout) = Layout::array::<T>(len) else { return refuse(overflow) };
        layout.align_to(align).or_else(|_| refuse(overflow))
    }

    #[inline]
    #[track_caller]
    pub(crate) fn slice_copy_aligned<const M: usize, E: Refusal, T: Copy>(
        &self,
        source: &[T],
        align: usize,
    ) -> Result<NonNull<[T]>, E> {
        let layout = Self::layout_aligned::<E, T>(source.len(), align)?;
        let place = self.reserve_layout::<M, E>(layout.size(), layout.align())?.cast::<T>();
        // SAFETY: `place` is reserved for as many elements and is fresh, hence disjoint.
        unsafe { ptr::copy_nonoverlapping(source.as_ptr(), place.as_ptr(), source.len()) };
        Ok(NonNull::slice_from_raw_parts(place, source.len()))
    }

    #[inline]
    #[track_caller]
    pub(crate) fn slice_aligned_with<const M: usize, E: Refusal, T>(
        &self,
        len: usize,
        align: usize,
        mut f: impl FnMut(usize) -> T,
    ) -> Result<NonNull<[T]>, E> {
        let layout = Self::layout_aligned::<E, T>(len, align)?;
        let start = self.reserve_layout::<M, E>(layout.size(), layout.align())?.cast::<T>();
        // SAFETY: `start` is reserved for `len` elements at this alignment.
        Ok(unsafe { self.fill::<M, T>(start, len, layout.align(), &mut f) })
    }

    /// Any iterator: its length is a hint only. Where the hint is the length, there is nothing to grow and nothing to give back.
    #[inline]
    #[track_caller]
    pub(crate) fn slice_from_iter<const M: usize, E: Refusal, T>(
        &self,
        iter: impl IntoIterator<Item = T>,
    ) -> Result<NonNull<[T]>, E> {
        /// Room is made at once for as many elements as there can be, if that takes no more bytes than this, and they are there:
        /// what is not needed is not lost by much, should the iterator allocate as well.
        const SMALL: usize = 256;
        let mut iter = iter.into_iter();
        let (least, most) = iter.size_hint();
        let room = match most {
            Some(most) if most.saturating_mul(size_of::<T>()) <= SMALL.min(self.room_to_spare()) => most,
            _ => least,
        };
        let start = self.reserve_slice::<M, E, T>(room)?;
        // This loop's state stays in registers: growing, which takes a reference to it, is left to a call at the end.
        let mut growing = Growing::<'_, M, T> { arena: self, start, capacity: room, len: 0 };
        if most != Some(least) || size_of::<T>() > SMALL {
            while growing.len < room {
                let Some(value) = iter.next() else { return Ok(growing.finish()) };
                // SAFETY: below what is reserved.
                unsafe { start.add(growing.len).write(value) };
                growing.len += 1;
            }
            return match iter.next() {
                Some(value) => growing.take_rest::<E>(value, iter),
                None => Ok(growing.keep()),
            };
        }
        // The iterator's own loop, where that is not expected to be left before its end. It hands values through several functions,
        // which takes stack where nothing is inlined: so large ones are not.
        let rest = iter.try_for_each(|value| {
            if growing.len == room {
                return ControlFlow::Break(value);
            }
            // SAFETY: below what is reserved.
            unsafe { start.add(growing.len).write(value) };
            growing.len += 1;
            ControlFlow::Continue(())
        });
        match rest {
            ControlFlow::Break(value) => growing.take_rest::<E>(value, iter),
            ControlFlow::Continue(()) if growing.len == room => Ok(growing.keep()),
            ControlFlow::Continue(()) => Ok(growing.finish_short()),
        }
    }

    #[inline(always)]
    #[track_caller]
    pub(crate) fn uninit_slice<const M: usize, E: Refusal, T>(
        &self,
        len: usize,
    ) -> Result<NonNull<[MaybeUninit<T>]>, E> {
        let start = self.reserve_slice::<M, E, T>(len)?;
        Ok(NonNull::slice_from_raw_parts(start.cast(), len))
    }
}

/// A fresh block as an exclusive reference.
///
/// # Safety
///
/// `place` holds an initialised value in memory of `arena`, handed out to nobody else, which is not reused while `'a` lasts.
#[inline(always)]
pub(crate) unsafe fn exclusive<'a, T: ?Sized>(place: NonNull<T>) -> &'a mut T {
    // SAFETY: the caller's promise.
    unsafe { &mut *place.as_ptr() }
}

/// A fresh slice of bytes that are UTF-8 as an exclusive `str`.
///
/// # Safety
///
/// As for [`exclusive`], and the bytes are UTF-8.
#[inline(always)]
pub(crate) unsafe fn exclusive_str<'a>(place: NonNull<[u8]>) -> &'a mut str {
    // SAFETY: the caller's promise.
    unsafe { core::str::from_utf8_unchecked_mut(slice::from_raw_parts_mut(place.cast::<u8>().as_ptr(), place.len())) }
}
