//! `FrameBox`: a value in an arena that is dropped like any other.

use core::borrow::{Borrow, BorrowMut};
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// A value in an arena, owned: dropping the box drops the value. Its memory is the arena's, and is reclaimed with it.
///
/// The box holds no arena, only the value: it is `Send` and `Sync` as `Box` is, so that a worker thread can return
/// results to the frame's owner. There is no way to pin it, because the memory of a forgotten box is used again.
///
/// ```
/// use framealloc_core::{Arena, FrameBox};
/// let arena = Arena::new();
/// let name: FrameBox<'_, String> = arena.alloc_box(String::from("dropped with its box"));
/// assert_eq!(name.len(), 20);
/// ```
pub struct FrameBox<'f, T: ?Sized> {
    value: NonNull<T>,
    /// Owns a `T` and lives in memory borrowed for `'f`.
    owns: PhantomData<(&'f (), T)>,
}

// SAFETY: a box is the only way to its value, so that sending it is sending the value.
unsafe impl<T: ?Sized + Send> Send for FrameBox<'_, T> {}
// SAFETY: a shared box gives shared access to the value only.
unsafe impl<T: ?Sized + Sync> Sync for FrameBox<'_, T> {}

impl<'f, T: ?Sized> FrameBox<'f, T> {
    /// A box of a value in an arena.
    ///
    /// # Safety
    ///
    /// `value` is initialised, nobody else uses it, and its memory is not reused while `'f` lasts.
    #[inline(always)]
    pub(crate) unsafe fn from_place(value: NonNull<T>) -> Self {
        Self { value, owns: PhantomData }
    }

    /// The value for the rest of the frame; its destructor will not run.
    ///
    /// An associated function, as are all of a box's own, so that it cannot hide a method of `T`.
    #[must_use]
    #[inline]
    pub fn leak(this: Self) -> &'f mut T
    where
        T: 'f,
    {
        let this = ManuallyDrop::new(this);
        // SAFETY: the box was the only way to its value, whose memory stays for `'f`; it will not be dropped.
        unsafe { &mut *this.value.as_ptr() }
    }
}

impl<T> FrameBox<'_, T> {
    /// Moves the value out.
    #[must_use]
    #[inline]
    pub fn into_inner(this: Self) -> T {
        let this = ManuallyDrop::new(this);
        // SAFETY: the value is initialised and, the box being forgotten, read once.
        unsafe { this.value.read() }
    }
}

impl<'f, T> FrameBox<'f, MaybeUninit<T>> {
    /// The box of the value, once it was written.
    ///
    /// # Safety
    ///
    /// The value is initialised.
    #[must_use]
    pub unsafe fn assume_init(this: Self) -> FrameBox<'f, T> {
        let this = ManuallyDrop::new(this);
        // SAFETY: initialised by this function's contract; the rest was the first box's promise.
        unsafe { FrameBox::from_place(this.value.cast()) }
    }
}

impl<'f, T, const N: usize> From<FrameBox<'f, [T; N]>> for FrameBox<'f, [T]> {
    fn from(array: FrameBox<'f, [T; N]>) -> Self {
        crate::unsize!(array)
    }
}

impl<T: ?Sized> Drop for FrameBox<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the value is initialised, and this box the only way to it.
        unsafe { self.value.drop_in_place() };
    }
}

impl<T: ?Sized> Deref for FrameBox<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the value is initialised, and its memory stays while the box does.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for FrameBox<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for `deref`, and the box is borrowed exclusively.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized> AsRef<T> for FrameBox<'_, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: ?Sized> AsMut<T> for FrameBox<'_, T> {
    fn as_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: ?Sized> Borrow<T> for FrameBox<'_, T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T: ?Sized> BorrowMut<T> for FrameBox<'_, T> {
    fn borrow_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for FrameBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for FrameBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + PartialEq> PartialEq for FrameBox<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Eq> Eq for FrameBox<'_, T> {}

impl<T: ?Sized + PartialOrd> PartialOrd for FrameBox<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: ?Sized + Ord> Ord for FrameBox<'_, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: ?Sized + Hash> Hash for FrameBox<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// The elements of a boxed slice by value; those that are not taken are dropped with the iterator.
#[derive(Debug)]
pub struct BoxedSliceIter<'f, T> {
    rest: NonNull<[T]>,
    owns: PhantomData<(&'f (), T)>,
}

// SAFETY: the iterator owns the elements that are left, as the box did.
unsafe impl<T: Send> Send for BoxedSliceIter<'_, T> {}
// SAFETY: a shared iterator gives no access to an element.
unsafe impl<T: Sync> Sync for BoxedSliceIter<'_, T> {}

impl<'f, T> IntoIterator for FrameBox<'f, [T]> {
    type Item = T;
    type IntoIter = BoxedSliceIter<'f, T>;

    fn into_iter(self) -> Self::IntoIter {
        BoxedSliceIter { rest: ManuallyDrop::new(self).value, owns: PhantomData }
    }
}

impl<'a, T> IntoIterator for &'a FrameBox<'_, [T]> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut FrameBox<'_, [T]> {
    type Item = &'a mut T;
    type IntoIter = core::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T> Iterator for BoxedSliceIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let len = self.rest.len().checked_sub(1)?;
        let first = self.rest.cast::<T>();
        // SAFETY: there was one more element, so that `first + 1` is in bounds or just past them.
        self.rest = NonNull::slice_from_raw_parts(unsafe { first.add(1) }, len);
        // SAFETY: the element is initialised and, having left `rest`, read once.
        Some(unsafe { first.read() })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rest.len(), Some(self.rest.len()))
    }
}

impl<T> DoubleEndedIterator for BoxedSliceIter<'_, T> {
    fn next_back(&mut self) -> Option<T> {
        let len = self.rest.len().checked_sub(1)?;
        let first = self.rest.cast::<T>();
        self.rest = NonNull::slice_from_raw_parts(first, len);
        // SAFETY: the last element is initialised and, having left `rest`, read once.
        Some(unsafe { first.add(len).read() })
    }
}

impl<T> ExactSizeIterator for BoxedSliceIter<'_, T> {}
impl<T> FusedIterator for BoxedSliceIter<'_, T> {}

impl<T> Drop for BoxedSliceIter<'_, T> {
    fn drop(&mut self) {
        // SAFETY: what is in `rest` is initialised and owned by the iterator alone.
        canary!("iterator_forgets_rest", unsafe { self.rest.drop_in_place() }, ());
    }
}

/// Turns a box of a sized value into one of a slice or a trait object, on stable Rust: [`FrameBox`], `PoolBox`, `HeapBox`.
///
/// The target is the expected type, or named behind `=>`.
///
/// ```
/// use framealloc_core::{Arena, FrameBox, unsize};
/// let arena = Arena::new();
/// let shape: FrameBox<'_, dyn std::fmt::Debug> = unsize!(arena.alloc_box(7));
/// assert_eq!(format!("{shape:?}"), "7");
/// let add = unsize!(arena.alloc_box(|a: i32| a + 1) => dyn Fn(i32) -> i32);
/// assert_eq!(add(2), 3);
/// ```
#[macro_export]
macro_rules! unsize {
    ($boxed:expr) => {{
        let (value, brand) = $crate::__UnsizeBox::into_raw($boxed);
        // SAFETY: both come from the box, the pointer by a coercion at most: the compiler accepts unsizing here and
        // nothing else.
        unsafe { brand.__from_raw(value) }
    }};
    ($boxed:expr => $target:ty) => {{
        let (value, brand) = $crate::__UnsizeBox::into_raw($boxed);
        let value: *mut $target = value;
        // SAFETY: both come from the box, the pointer by the coercion above.
        unsafe { brand.__from_raw(value) }
    }};
}

/// What `unsize!` takes apart.
///
/// # Safety
///
/// The pointer is that of a box which is forgotten, and the brand makes boxes of that kind and lifetime.
#[doc(hidden)]
pub unsafe trait __UnsizeBox {
    type Target: ?Sized;
    type Brand;
    fn into_raw(self) -> (*mut Self::Target, Self::Brand);
}

/// The brand of a [`FrameBox`].
#[doc(hidden)]
#[derive(Debug)]
pub struct __FrameBrand<'f>(PhantomData<&'f ()>);

// SAFETY: the box is taken apart, and its brand carries its lifetime.
unsafe impl<'f, T: ?Sized> __UnsizeBox for FrameBox<'f, T> {
    type Target = T;
    type Brand = __FrameBrand<'f>;

    fn into_raw(self) -> (*mut T, __FrameBrand<'f>) {
        (ManuallyDrop::new(self).value.as_ptr(), __FrameBrand(PhantomData))
    }
}

impl<'f> __FrameBrand<'f> {
    /// # Safety
    ///
    /// Both come from one box, the pointer by an unsizing coercion at most.
    #[doc(hidden)]
    #[must_use]
    pub unsafe fn __from_raw<T: ?Sized>(self, value: *mut T) -> FrameBox<'f, T> {
        // SAFETY: the pointer came out of a box with this brand, by this function's contract.
        unsafe { FrameBox::from_place(NonNull::new_unchecked(value)) }
    }
}

#[cfg(feature = "std")]
macro_rules! unsize_pooled {
    ($Box:ident, $Brand:ident) => {
        #[doc(hidden)]
        #[derive(Debug)]
        pub struct $Brand(());

        // SAFETY: the box is taken apart, and has no lifetime.
        unsafe impl<T: ?Sized> __UnsizeBox for crate::pool::$Box<T> {
            type Target = T;
            type Brand = $Brand;

            fn into_raw(self) -> (*mut T, $Brand) {
                (self.__into_raw(), $Brand(()))
            }
        }

        impl $Brand {
            /// # Safety
            ///
            /// The pointer comes from a box of this kind, by an unsizing coercion at most.
            #[doc(hidden)]
            #[must_use]
            pub unsafe fn __from_raw<T: ?Sized>(self, value: *mut T) -> crate::pool::$Box<T> {
                // SAFETY: by this function's contract.
                unsafe { crate::pool::$Box::__from_raw(value) }
            }
        }
    };
}
#[cfg(feature = "std")]
unsize_pooled!(PoolBox, __PoolBrand);
#[cfg(feature = "std")]
unsize_pooled!(HeapBox, __HeapBrand);

/// A closure to be called once through a box: what `FnOnce` is, callable on stable Rust when it is a trait object.
///
/// Implemented for every `FnOnce` of up to four arguments, which are passed as a tuple. (`Fn` and `FnMut` need nothing of
/// this kind: a box of one is called as it is.)
///
/// ```
/// use framealloc_core::{Arena, FrameBox, OnceFn, unsize};
/// let arena = Arena::new();
/// let text = String::from("moved out");
/// let job: FrameBox<'_, dyn OnceFn<(usize,), Output = String>> = unsize!(arena.alloc_box(move |n: usize| text[..n].into()));
/// assert_eq!(FrameBox::call_once(job, (5,)), "moved");
/// ```
///
/// # Safety
///
/// Not to be implemented: the blanket implementation covers every closure and function.
pub unsafe trait OnceFn<Args> {
    /// What the closure returns.
    type Output;

    /// A function that moves the closure out of its place and calls it.
    #[doc(hidden)]
    #[allow(clippy::type_complexity, reason = "the type is what it is for")]
    fn __caller(&self) -> unsafe fn(NonNull<()>, Args) -> Self::Output;
}

macro_rules! once_fn {
    ($($arg:ident),*) => {
        // SAFETY: the function is made for this very type.
        unsafe impl<Func: FnOnce($($arg),*) -> Out, Out, $($arg),*> OnceFn<($($arg,)*)> for Func {
            type Output = Out;

            #[allow(non_snake_case, reason = "a name for the value of each type")]
            fn __caller(&self) -> unsafe fn(NonNull<()>, ($($arg,)*)) -> Out {
                |place, ($($arg,)*)| {
                    // SAFETY: the place is that of the closure that gave out this function; it is initialised, and not
                    // used or dropped again.
                    let f = unsafe { place.cast::<Func>().read() };
                    f($($arg),*)
                }
            }
        }
    };
}
once_fn!();
once_fn!(A);
once_fn!(A, B);
once_fn!(A, B, C);
once_fn!(A, B, C, D);

impl<F: ?Sized> FrameBox<'_, F> {
    /// Calls a boxed closure, which is used up.
    pub fn call_once<Args>(this: Self, args: Args) -> F::Output
    where
        F: OnceFn<Args>,
    {
        let call = this.__caller();
        let this = ManuallyDrop::new(this);
        // SAFETY: the function came from the closure in this place, which is initialised and, the box being forgotten, is
        // neither used nor dropped again.
        unsafe { call(this.value.cast(), args) }
    }
}
