//! Structure of arrays: several columns of one length in one block.

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::arena::Reserved;
use crate::arena::raw::Refusal;
use crate::error::AllocError;
use crate::frame::{ALIGN, Frame, FrameBox};

/// Alignment of every column, in bytes: a cache line, so that threads that write different columns do not disturb each other.
pub(crate) const COLUMN_ALIGN: usize = 64;

/// Tuples of types that [`Frame::columns`](crate::Frame::columns) makes columns of: one to twelve, each `Default`.
///
/// Sealed: the tuples are all there are.
pub trait Columns: build::Build {}

pub(crate) mod build {
    use super::{AllocError, COLUMN_ALIGN, Frame, Layout, NonNull, Refusal};

    /// What makes columns of a tuple.
    #[allow(private_bounds, reason = "sealed: the bound is nobody's to name")]
    pub trait Build: Sized {
        /// A tuple of boxed slices.
        type Boxed<'f>
        where
            Self: 'f;

        #[doc(hidden)]
        #[track_caller]
        fn build<'f, E: Refusal>(frame: Frame<'f>, len: usize) -> Result<Self::Boxed<'f>, E>
        where
            Self: 'f;
    }

    /// A layout that begins with `block` and goes on with `len` values of `T` at a column's alignment; where they begin.
    #[track_caller]
    pub(super) fn extend<E: Refusal, T>(block: Layout, len: usize) -> Result<(Layout, usize), E> {
        let column = Layout::array::<T>(len).and_then(|column| column.align_to(COLUMN_ALIGN));
        column.and_then(|column| block.extend(column)).map_err(|_| E::refuse(AllocError::capacity(len, size_of::<T>())))
    }

    /// The initialised front of a column, dropped unless the whole block is kept.
    pub(super) struct Column<T> {
        pub(super) start: NonNull<T>,
        pub(super) len: usize,
    }

    impl<T: Default> Column<T> {
        /// # Safety
        ///
        /// `start` is reserved for `len` values of `T`, and aligned for them.
        pub(super) unsafe fn fill(start: NonNull<T>, len: usize) -> Self {
            let mut column = Self { start, len: 0 };
            while column.len < len {
                let value = T::default();
                // SAFETY: below `len`, for which memory is reserved.
                unsafe { start.add(column.len).write(value) };
                column.len += 1;
            }
            column
        }

        pub(super) fn keep(self) -> NonNull<[T]> {
            let column = core::mem::ManuallyDrop::new(self);
            NonNull::slice_from_raw_parts(column.start, column.len)
        }
    }

    impl<T> Drop for Column<T> {
        fn drop(&mut self) {
            // SAFETY: the first `len` values were written, and nobody else has seen them.
            unsafe { NonNull::slice_from_raw_parts(self.start, self.len).drop_in_place() };
        }
    }
}

macro_rules! columns {
    ($($type:ident $column:ident),+) => {
        impl<$($type: Default),+> Columns for ($($type,)+) {}

        #[allow(non_snake_case, private_bounds, reason = "a name for the column of each type")]
        impl<$($type: Default),+> build::Build for ($($type,)+) {
            type Boxed<'f> = ($(FrameBox<'f, [$type]>,)+) where Self: 'f;

            #[track_caller]
            fn build<'f, E: Refusal>(frame: Frame<'f>, len: usize) -> Result<Self::Boxed<'f>, E>
            where
                Self: 'f,
            {
                let layout = Layout::from_size_align(0, COLUMN_ALIGN).unwrap_or(Layout::new::<u8>());
                $(let (layout, $type) = build::extend::<E, $type>(layout, len)?;)+
                let block = frame.raw().reserve_layout::<ALIGN, E>(layout.size(), layout.align())?;
                // SAFETY: just reserved; dropped after the columns, which are in it, if one of them fails.
                let reserved = unsafe { Reserved::<ALIGN>::new(frame.raw(), block, layout) };
                $(
                    // SAFETY: the block was laid out with a column of `len` values at this offset, aligned for them.
                    let $column = unsafe { build::Column::<$type>::fill(block.add($type).cast(), len) };
                )+
                // All are built: nothing can fail any more.
                reserved.keep();
                // SAFETY: every value is initialised, and this the only way to it; the memory stays for `'f`.
                Ok(($(unsafe { FrameBox::from_place($column.keep()) },)+))
            }
        }
    };
}
columns!(A a);
columns!(A a, B b);
columns!(A a, B b, C c);
columns!(A a, B b, C c, D d);
columns!(A a, B b, C c, D d, F f);
columns!(A a, B b, C c, D d, F f, G g);
columns!(A a, B b, C c, D d, F f, G g, H h);
columns!(A a, B b, C c, D d, F f, G g, H h, I i);
columns!(A a, B b, C c, D d, F f, G g, H h, I i, J j);
columns!(A a, B b, C c, D d, F f, G g, H h, I i, J j, K k);
columns!(A a, B b, C c, D d, F f, G g, H h, I i, J j, K k, L l);
columns!(A a, B b, C c, D d, F f, G g, H h, I i, J j, K k, L l, M m);
