//! Publishing into the frame, and promoting out of it.

use core::fmt;
use core::ptr::{self, NonNull};

use super::SmartAlloc;
use crate::arena::raw::Refusal;
use crate::error::AllocError;
use crate::frame::{ALIGN, FrameBox, FrameHandle, FrameVec};
use crate::pool::{HeapBox, PoolBox};

impl SmartAlloc {
    #[inline]
    #[track_caller]
    fn publish_with<E: Refusal, T: Send + Sync + 'static>(
        &self,
        make: impl FnOnce(&crate::arena::RawArena) -> Result<NonNull<[T]>, E>,
    ) -> Result<FrameHandle<[T]>, E> {
        let slot = self.slot();
        let values = slot.arena.on_behalf(|| slot.drops.publish(&slot.arena, || make(&slot.arena)))?;
        Ok(FrameHandle::new(values, self.stamp))
    }

    #[inline]
    #[track_caller]
    fn publish_one<E: Refusal, T: Send + Sync + 'static>(&self, value: T) -> Result<FrameHandle<T>, E> {
        let make =
            |arena: &crate::arena::RawArena| Ok(NonNull::slice_from_raw_parts(arena.value::<ALIGN, E, T>(value)?, 1));
        let handle = self.publish_with::<E, T>(make)?;
        Ok(FrameHandle::new(handle.value().cast(), handle.stamp()))
    }

    #[track_caller]
    fn publish_vec_with<E: Refusal, T: Send + Sync + 'static>(
        &self,
        vec: FrameVec<'_, T>,
    ) -> Result<FrameHandle<[T]>, E> {
        self.publish_with::<E, T>(|arena| {
            if ptr::eq(vec.frame().raw(), arena) {
                // It lies in this very arena, in the current frame, since it is alive.
                Ok(vec.into_place())
            } else {
                arena.slice_from_iter::<ALIGN, E, T>(vec)
            }
        })
    }
}

/// A public method and its twin over one body, which takes the kind of refusal as its first generic argument.
macro_rules! publish {
    ($($(#[$doc:meta])* $name:ident, $try_name:ident<T $(: $bound:ident)?>($($arg:ident: $type:ty),*) -> $target:ty
       = |$me:ident, $refusal:ident| $body:expr;)*) => {
        impl SmartAlloc {
            $(
                $(#[$doc])*
                ///
                /// # Panics
                ///
                #[doc = concat!("If memory is refused; [`", stringify!($try_name), "`](Self::", stringify!($try_name), ") returns the error.")]
                #[inline]
                #[track_caller]
                pub fn $name<T: Send + Sync + 'static $(+ $bound)?>(&self, $($arg: $type),*) -> FrameHandle<$target> {
                    type $refusal = core::convert::Infallible;
                    let $me = self;
                    let Ok(handle) = $body;
                    handle
                }

                #[doc = concat!("[`", stringify!($name), "`](Self::", stringify!($name), "), with a refusal as an error.")]
                ///
                /// # Errors
                ///
                /// If memory is refused, or more than `isize::MAX` bytes are asked for.
                #[inline]
                #[track_caller]
                pub fn $try_name<T: Send + Sync + 'static $(+ $bound)?>(&self, $($arg: $type),*) -> Result<FrameHandle<$target>, AllocError> {
                    type $refusal = AllocError;
                    let $me = self;
                    $body
                }
            )*
        }
    };
}

publish! {
    /// Moves a value into the frame under a handle. Its destructor runs when the frame is reclaimed.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let alloc = SmartAlloc::default();
    /// let camera = alloc.publish(String::from("main camera"));
    /// assert_eq!(alloc.get(camera)?, "main camera");
    /// # Ok::<(), framealloc_core::StaleHandle>(())
    /// ```
    publish, try_publish<T>(value: T) -> T = |alloc, E| alloc.publish_one::<E, T>(value);

    /// Copies a slice into the frame under a handle.
    publish_slice_copy, try_publish_slice_copy<T: Copy>(source: &[T]) -> [T]
        = |alloc, E| alloc.publish_with::<E, T>(|arena| arena.slice_copy::<ALIGN, E, T>(source));

    /// Publishes a slice whose elements `f` makes of their indices.
    publish_slice_fill_with, try_publish_slice_fill_with<T>(len: usize, f: impl FnMut(usize) -> T) -> [T]
        = |alloc, E| alloc.publish_with::<E, T>(|arena| arena.slice_with::<ALIGN, E, T>(len, f));

    /// Publishes a slice of whatever an iterator yields.
    publish_slice_fill_iter, try_publish_slice_fill_iter<T>(iter: impl IntoIterator<Item = T>) -> [T]
        = |alloc, E| alloc.publish_with::<E, T>(|arena| arena.slice_from_iter::<ALIGN, E, T>(iter));

    /// Publishes a vector's elements, without copying if it is in this thread's frame of this allocator. (From a scratch arena
    /// or another allocator they are moved over.)
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let alloc = SmartAlloc::default();
    /// let mut contacts = alloc.frame_vec();
    /// contacts.extend([1, 2, 3]);
    /// let handle = alloc.publish_vec(contacts);
    /// assert_eq!(alloc.get(handle)?, [1, 2, 3]);
    /// # Ok::<(), framealloc_core::StaleHandle>(())
    /// ```
    publish_vec, try_publish_vec<T>(vec: FrameVec<'_, T>) -> [T] = |alloc, E| alloc.publish_vec_with::<E, T>(vec);
}

impl SmartAlloc {
    /// Copies a string into the frame under a handle.
    ///
    /// # Panics
    ///
    /// If memory is refused.
    #[track_caller]
    pub fn publish_str(&self, text: &str) -> FrameHandle<str> {
        self.try_publish_str(text).unwrap_or_else(|error| error.raise())
    }

    /// Copies a string into the frame under a handle.
    ///
    /// # Errors
    ///
    /// If memory is refused.
    #[track_caller]
    pub fn try_publish_str(&self, text: &str) -> Result<FrameHandle<str>, AllocError> {
        let bytes = self.try_publish_slice_copy(text.as_bytes())?;
        // A cast of a slice's pointer to that of a `str` keeps address and length.
        let text = bytes.value().as_ptr() as *mut str;
        // SAFETY: not null, as the slice's is not.
        Ok(FrameHandle::new(unsafe { NonNull::new_unchecked(text) }, bytes.stamp()))
    }

    /// Moves a value into a pool: for what outlives the frame, of up to 4 KiB at best, since more comes from the backend.
    ///
    /// # Panics
    ///
    /// If memory is refused.
    #[track_caller]
    #[inline]
    pub fn pool_box<T>(&self, value: T) -> PoolBox<T> {
        self.pool().alloc_box(value)
    }

    /// Moves a value into a pool.
    ///
    /// # Errors
    ///
    /// If memory is refused; the value is dropped.
    #[inline]
    #[track_caller]
    pub fn try_pool_box<T>(&self, value: T) -> Result<PoolBox<T>, AllocError> {
        self.pool().try_alloc_box(value)
    }

    /// Moves a value of any size straight into memory of the backend.
    ///
    /// # Panics
    ///
    /// If memory is refused.
    #[track_caller]
    pub fn heap_box<T>(&self, value: T) -> HeapBox<T> {
        self.pool().heap_box(value)
    }

    /// Moves a value of any size straight into memory of the backend.
    ///
    /// # Errors
    ///
    /// If memory is refused; the value is dropped.
    #[track_caller]
    pub fn try_heap_box<T>(&self, value: T) -> Result<HeapBox<T>, AllocError> {
        self.pool().try_heap_box(value)
    }

    /// Moves a value out of the frame into a pool, so that it outlives the frame.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let mut alloc = SmartAlloc::default();
    /// let found = alloc.frame_box(String::from("boss"));
    /// let kept = alloc.promote(found);
    /// alloc.end_frame();
    /// assert_eq!(*kept, "boss");
    /// ```
    ///
    /// # Panics
    ///
    /// If memory is refused.
    #[track_caller]
    pub fn promote<T>(&self, value: FrameBox<'_, T>) -> PoolBox<T> {
        self.pool_box(FrameBox::into_inner(value))
    }

    /// Moves a value out of the frame into a pool.
    ///
    /// # Errors
    ///
    /// If memory is refused: the box comes back with the error.
    #[track_caller]
    pub fn try_promote<'f, T>(&self, value: FrameBox<'f, T>) -> Result<PoolBox<T>, PromoteError<'f, T>> {
        let mut value = Some(value);
        // The value leaves its box only once there is a place for it.
        let kept = self.pool().try_alloc_box_with(|| match value.take() {
            Some(value) => FrameBox::into_inner(value),
            None => unreachable!("a place is filled once"),
        });
        match (kept, value) {
            (Ok(kept), _) => Ok(kept),
            (Err(error), Some(value)) => Err(PromoteError { error, value }),
            (Err(error), None) => error.raise(),
        }
    }
}

/// Why a value stays in its frame, and the value.
pub struct PromoteError<'f, T> {
    /// The refusal.
    pub error: AllocError,
    /// The box, unchanged.
    pub value: FrameBox<'f, T>,
}

impl<T> fmt::Debug for PromoteError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromoteError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PromoteError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value stays in its frame: {}", self.error)
    }
}

impl<T> core::error::Error for PromoteError<'_, T> {}
