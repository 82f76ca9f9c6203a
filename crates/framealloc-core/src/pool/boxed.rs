//! The boxes of a pool: one pointer, no lifetime, and a destructor that runs before the memory is free.
//!
//! What they point at is found by its type's layout alone, so that they may be dropped anywhere. Both kinds
//! have one body.

use core::alloc::Layout;
use core::borrow::{Borrow, BorrowMut};
use core::cmp::Ordering;
use core::error::Error;
use core::fmt;
use core::future::Future;
use core::hash::{Hash, Hasher};
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll};

use super::large;

/// A value in a [`Pool`](super::Pool): one pointer wide, without a lifetime, and free again when it is dropped, on any
/// thread, also after the pool.
///
/// It is not `Clone`, since it does not know its pool. A forgotten or leaked one keeps its memory, and its slab, for
/// ever; that is what makes [`into_pin`](Self::into_pin) possible.
///
/// ```
/// use framealloc_core::{PoolBox, SmartAlloc};
/// let alloc = SmartAlloc::default();
/// let b: PoolBox<u32> = alloc.pool_box(5);
/// drop(alloc);
/// assert_eq!(*b, 5);
/// assert_eq!(size_of::<Option<PoolBox<u32>>>(), size_of::<usize>());
/// ```
pub struct PoolBox<T: ?Sized> {
    memory: NonNull<T>,
    owns: PhantomData<T>,
}

/// A value in a block of its own, straight from the backend: one pointer wide, without a lifetime, of any size and
/// alignment; dropped on any thread, also after its allocator.
///
/// ```
/// use framealloc_core::{HeapBox, SmartAlloc};
/// let alloc = SmartAlloc::default();
/// let grid: HeapBox<[u8; 10_000]> = alloc.heap_box([0; 10_000]);
/// assert_eq!(grid.len(), 10_000);
/// ```
pub struct HeapBox<T: ?Sized> {
    memory: NonNull<T>,
    owns: PhantomData<T>,
}

/// Releases the memory of a value that is gone, or was never there: a large block, or a pool's.
struct Release<const LARGE: bool> {
    memory: NonNull<u8>,
    layout: Layout,
}

impl<const LARGE: bool> Release<LARGE> {
    /// # Safety
    ///
    /// The memory is of this kind, for this layout, and not used after the guard was dropped.
    #[inline(always)]
    const unsafe fn new(memory: NonNull<u8>, layout: Layout) -> Self {
        Self { memory, layout }
    }

    /// As dropping it, but always a part of the caller, who knows the layout: the glue of a drop may be a call.
    #[inline(always)]
    fn now(self) {
        let release = ManuallyDrop::new(self);
        // SAFETY: the guard is used up.
        unsafe { release.free() };
    }

    /// # Safety
    ///
    /// Called once, and last.
    #[inline(always)]
    unsafe fn free(&self) {
        // SAFETY: by the contract of `new`.
        unsafe {
            if !LARGE {
                super::release(self.memory, self.layout);
            } else if self.layout.size() != 0 {
                large::free(self.memory, self.layout);
            }
        }
    }
}

impl<const LARGE: bool> Drop for Release<LARGE> {
    fn drop(&mut self) {
        // SAFETY: a drop is the last that happens.
        unsafe { self.free() };
    }
}

macro_rules! owning_box {
    ($Box:ident, $large:literal) => {
        // SAFETY: the box owns its value as a `Box` does, and its memory is released on any thread.
        unsafe impl<T: ?Sized + Send> Send for $Box<T> {}
        // SAFETY: a shared box gives out shared references only.
        unsafe impl<T: ?Sized + Sync> Sync for $Box<T> {}
        // Moving the box does not move its value.
        impl<T: ?Sized> Unpin for $Box<T> {}

        impl<T> $Box<T> {
            /// Builds a value in `memory`, which is released if `init` panics.
            ///
            /// # Safety
            ///
            /// The memory is for the layout of `T`, of this box's kind, and the caller's own.
            #[inline(always)]
            pub(super) unsafe fn init(memory: NonNull<u8>, init: impl FnOnce() -> T) -> Self {
                // SAFETY: the memory is of this kind and layout, and used after the guard only if that is forgotten.
                let release = unsafe { Release::<$large>::new(memory, Layout::new::<T>()) };
                let memory = memory.cast::<T>();
                // SAFETY: the memory is valid for a `T` by the caller's promise.
                unsafe { memory.write(init()) };
                core::mem::forget(release);
                Self { memory, owns: PhantomData }
            }

            /// Takes the value out and frees its memory.
            #[must_use]
            #[inline]
            pub fn into_inner(boxed: Self) -> T {
                let boxed = ManuallyDrop::new(boxed);
                // SAFETY: the memory is of this kind and layout, and not used after this function.
                let release = unsafe { Release::<$large>::new(boxed.memory.cast(), Layout::new::<T>()) };
                // SAFETY: the box owns a valid value, which is read out once, as the box's drop does not run.
                let value = unsafe { boxed.memory.read() };
                release.now();
                value
            }
        }

        impl<T: ?Sized> $Box<T> {
            /// Gives up the box for a reference that is valid for ever; the value is never dropped.
            #[must_use]
            #[inline]
            pub fn leak<'a>(boxed: Self) -> &'a mut T
            where
                T: 'a,
            {
                // SAFETY: the value is valid, and nobody else can reach it or free its memory any more.
                unsafe { &mut *boxed.__into_raw() }
            }

            /// Pins the value: its memory is not used for anything else before it is dropped, also if the box is
            /// forgotten.
            #[must_use]
            #[inline]
            pub fn into_pin(boxed: Self) -> Pin<Self> {
                // SAFETY: the value stays where it is until the box's drop, which runs the destructor before it
                // frees the memory; memory that is not freed is never reused. Nothing moves out of a `Pin`.
                unsafe { Pin::new_unchecked(boxed) }
            }

            #[doc(hidden)]
            #[must_use]
            #[inline]
            pub fn __into_raw(self) -> *mut T {
                ManuallyDrop::new(self).memory.as_ptr()
            }

            /// # Safety
            ///
            /// The pointer came from `__into_raw` of a box of this kind, perhaps unsized since, and is used once.
            #[doc(hidden)]
            #[must_use]
            #[inline]
            pub unsafe fn __from_raw(memory: *mut T) -> Self {
                // SAFETY: a box's pointer is not null.
                Self { memory: unsafe { NonNull::new_unchecked(memory) }, owns: PhantomData }
            }
        }

        impl<T: ?Sized> Drop for $Box<T> {
            #[inline]
            fn drop(&mut self) {
                // The layout is read while there is a value; the guard frees the memory also if that panics.
                let layout = Layout::for_value(&**self);
                // SAFETY: the memory is of this kind and layout, and not used after this function.
                let release = unsafe { Release::<$large>::new(self.memory.cast(), layout) };
                // SAFETY: the box owns a valid value, which nobody sees after its drop.
                canary!("pool_box_forgets_value", unsafe { self.memory.drop_in_place() }, ());
                release.now();
            }
        }

        impl<T: ?Sized> Deref for $Box<T> {
            type Target = T;
            #[inline(always)]
            fn deref(&self) -> &T {
                // SAFETY: the box owns a valid value.
                unsafe { self.memory.as_ref() }
            }
        }

        impl<T: ?Sized> DerefMut for $Box<T> {
            #[inline(always)]
            fn deref_mut(&mut self) -> &mut T {
                // SAFETY: the box owns a valid value, and is borrowed for it alone.
                unsafe { self.memory.as_mut() }
            }
        }

        impl<T: ?Sized> AsRef<T> for $Box<T> {
            fn as_ref(&self) -> &T {
                self
            }
        }
        impl<T: ?Sized> AsMut<T> for $Box<T> {
            fn as_mut(&mut self) -> &mut T {
                self
            }
        }
        impl<T: ?Sized> Borrow<T> for $Box<T> {
            fn borrow(&self) -> &T {
                self
            }
        }
        impl<T: ?Sized> BorrowMut<T> for $Box<T> {
            fn borrow_mut(&mut self) -> &mut T {
                self
            }
        }
        impl<T: ?Sized + fmt::Debug> fmt::Debug for $Box<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
        impl<T: ?Sized + fmt::Display> fmt::Display for $Box<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
        impl<T: ?Sized> fmt::Pointer for $Box<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.memory.fmt(f)
            }
        }
        impl<T: ?Sized + PartialEq> PartialEq for $Box<T> {
            fn eq(&self, other: &Self) -> bool {
                **self == **other
            }
        }
        impl<T: ?Sized + Eq> Eq for $Box<T> {}
        impl<T: ?Sized + PartialOrd> PartialOrd for $Box<T> {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                (**self).partial_cmp(&**other)
            }
        }
        impl<T: ?Sized + Ord> Ord for $Box<T> {
            fn cmp(&self, other: &Self) -> Ordering {
                (**self).cmp(&**other)
            }
        }
        impl<T: ?Sized + Hash> Hash for $Box<T> {
            fn hash<H: Hasher>(&self, state: &mut H) {
                (**self).hash(state);
            }
        }
        impl<T: ?Sized + Error> Error for $Box<T> {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                (**self).source()
            }
        }
        impl<T: ?Sized + Iterator> Iterator for $Box<T> {
            type Item = T::Item;
            fn next(&mut self) -> Option<T::Item> {
                (**self).next()
            }
            fn size_hint(&self) -> (usize, Option<usize>) {
                (**self).size_hint()
            }
        }
        impl<T: ?Sized + FusedIterator> FusedIterator for $Box<T> {}
        impl<T: ?Sized + Future + Unpin> Future for $Box<T> {
            type Output = T::Output;
            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
                Pin::new(&mut **self).poll(cx)
            }
        }
        impl<T: ?Sized> From<$Box<T>> for Pin<$Box<T>> {
            fn from(boxed: $Box<T>) -> Self {
                $Box::into_pin(boxed)
            }
        }
    };
}

owning_box!(PoolBox, false);
owning_box!(HeapBox, true);
