//! The `frame_*` methods: one line each over this thread's [`Frame`](crate::Frame).

use core::alloc::Layout;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::SmartAlloc;
use crate::error::{AllocError, InitError};
use crate::frame::{Columns, FrameBox, FrameDeque, FrameMap, FrameSet, FrameString, FrameVec};

macro_rules! sugar {
    ($($name:ident = $method:ident $([$($generics:tt)*])? ($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        impl SmartAlloc {
            $(
                #[doc = concat!("[`Frame::", stringify!($method), "`](crate::Frame::", stringify!($method), ") in this thread's frame.")]
                #[inline(always)]
                #[track_caller]
                #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
                pub fn $name<'f, $($($generics)*)?>(&'f self, $($arg: $type),*) -> $result {
                    self.frame().$method($($arg),*)
                }
            )*
        }
    };
}

impl SmartAlloc {
    /// Memory for a value in this thread's frame, not initialised: [`Frame::alloc_uninit`](crate::Frame::alloc_uninit).
    ///
    /// # Panics
    ///
    /// If memory is refused.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let alloc = SmartAlloc::default();
    /// let matrix = alloc.frame_alloc::<[f32; 16]>().write([0.0; 16]);
    /// assert_eq!(matrix.len(), 16);
    /// ```
    #[inline(always)]
    #[track_caller]
    #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
    pub fn frame_alloc<T>(&self) -> &mut MaybeUninit<T> {
        self.frame().alloc_uninit()
    }

    /// [`frame_alloc`](Self::frame_alloc), with a refusal as an error.
    ///
    /// # Errors
    ///
    /// If memory is refused.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
    #[track_caller]
    pub fn try_frame_alloc<T>(&self) -> Result<&mut MaybeUninit<T>, AllocError> {
        self.frame().try_alloc_uninit()
    }

    /// [`Frame::alloc_layout`](crate::Frame::alloc_layout) in this thread's frame.
    ///
    /// # Panics
    ///
    /// If memory is refused.
    #[inline(always)]
    #[track_caller]
    pub fn frame_alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        self.frame().alloc_layout(layout)
    }

    /// [`frame_alloc_layout`](Self::frame_alloc_layout), with a refusal as an error.
    ///
    /// # Errors
    ///
    /// If memory is refused.
    #[inline(always)]
    #[track_caller]
    pub fn try_frame_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        self.frame().try_alloc_layout(layout)
    }

    /// [`Frame::columns`](crate::Frame::columns) in this thread's frame: a structure of arrays.
    ///
    /// # Panics
    ///
    /// If memory is refused.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let alloc = SmartAlloc::default();
    /// let (mut position, mut velocity, id) = alloc.frame_columns::<([f32; 3], [f32; 3], u32)>(100);
    /// position[7] = [1.0; 3];
    /// velocity[7] = [0.5; 3];
    /// assert_eq!(id.len(), 100);
    /// ```
    #[inline]
    #[track_caller]
    pub fn frame_columns<'f, C: Columns + 'f>(&'f self, len: usize) -> C::Boxed<'f> {
        self.frame().columns::<C>(len)
    }

    /// [`frame_columns`](Self::frame_columns), with a refusal as an error.
    ///
    /// # Errors
    ///
    /// If memory is refused, or more than `isize::MAX` bytes are asked for.
    #[inline]
    #[track_caller]
    pub fn try_frame_columns<'f, C: Columns + 'f>(&'f self, len: usize) -> Result<C::Boxed<'f>, AllocError> {
        self.frame().try_columns::<C>(len)
    }
}

sugar! {
    frame_alloc_with = alloc_with[T](f: impl FnOnce() -> T) -> &'f mut T;
    try_frame_alloc_with = try_alloc_with[T, X](f: impl FnOnce() -> Result<T, X>) -> Result<&'f mut T, InitError<X>>;
    frame_alloc_str = alloc_str(text: &str) -> &'f mut str;
    try_frame_alloc_str = try_alloc_str(text: &str) -> Result<&'f mut str, AllocError>;
    frame_alloc_slice_copy = alloc_slice_copy[T: Copy](source: &[T]) -> &'f mut [T];
    try_frame_alloc_slice_copy = try_alloc_slice_copy[T: Copy](source: &[T]) -> Result<&'f mut [T], AllocError>;
    frame_alloc_slice_clone = alloc_slice_clone[T: Clone](source: &[T]) -> &'f mut [T];
    try_frame_alloc_slice_clone = try_alloc_slice_clone[T: Clone](source: &[T]) -> Result<&'f mut [T], AllocError>;
    frame_alloc_slice_fill = alloc_slice_fill[T: Clone](len: usize, value: T) -> &'f mut [T];
    try_frame_alloc_slice_fill = try_alloc_slice_fill[T: Clone](len: usize, value: T) -> Result<&'f mut [T], AllocError>;
    frame_alloc_slice_copy_aligned = alloc_slice_copy_aligned[T: Copy](source: &[T], align: usize) -> &'f mut [T];
    try_frame_alloc_slice_copy_aligned = try_alloc_slice_copy_aligned[T: Copy](source: &[T], align: usize) -> Result<&'f mut [T], AllocError>;
    frame_alloc_slice_aligned_with = alloc_slice_aligned_with[T](len: usize, align: usize, f: impl FnMut(usize) -> T) -> &'f mut [T];
    try_frame_alloc_slice_aligned_with = try_alloc_slice_aligned_with[T](len: usize, align: usize, f: impl FnMut(usize) -> T) -> Result<&'f mut [T], AllocError>;
    frame_alloc_uninit_slice = alloc_uninit_slice[T](len: usize) -> &'f mut [MaybeUninit<T>];
    try_frame_alloc_uninit_slice = try_alloc_uninit_slice[T](len: usize) -> Result<&'f mut [MaybeUninit<T>], AllocError>;
    frame_alloc_batch = alloc_batch[T: 'f, const N: usize](values: [T; N]) -> [&'f mut T; N];
    try_frame_alloc_batch = try_alloc_batch[T: 'f, const N: usize](values: [T; N]) -> Result<[&'f mut T; N], AllocError>;
    frame_alloc_slice_fill_with = alloc_slice_fill_with[T](len: usize, f: impl FnMut(usize) -> T) -> &'f mut [T];
    try_frame_alloc_slice_fill_with = try_alloc_slice_fill_with[T](len: usize, f: impl FnMut(usize) -> T) -> Result<&'f mut [T], AllocError>;
    frame_alloc_slice_fill_iter = alloc_slice_fill_iter[T](iter: impl IntoIterator<Item = T>) -> &'f mut [T];
    try_frame_alloc_slice_fill_iter = try_alloc_slice_fill_iter[T](iter: impl IntoIterator<Item = T>) -> Result<&'f mut [T], AllocError>;
    frame_box = alloc_box[T](value: T) -> FrameBox<'f, T>;
    try_frame_box = try_alloc_box[T](value: T) -> Result<FrameBox<'f, T>, AllocError>;
    frame_box_with = alloc_box_with[T](f: impl FnOnce() -> T) -> FrameBox<'f, T>;
    try_frame_box_with = try_alloc_box_with[T](f: impl FnOnce() -> T) -> Result<FrameBox<'f, T>, AllocError>;
    frame_box_slice_with = alloc_box_slice_with[T](len: usize, f: impl FnMut(usize) -> T) -> FrameBox<'f, [T]>;
    try_frame_box_slice_with = try_alloc_box_slice_with[T](len: usize, f: impl FnMut(usize) -> T) -> Result<FrameBox<'f, [T]>, AllocError>;
    frame_box_slice_from_iter = alloc_box_slice_from_iter[T](iter: impl IntoIterator<Item = T>) -> FrameBox<'f, [T]>;
    try_frame_box_slice_from_iter = try_alloc_box_slice_from_iter[T](iter: impl IntoIterator<Item = T>) -> Result<FrameBox<'f, [T]>, AllocError>;
    frame_slice = slice[T: Default](len: usize) -> FrameBox<'f, [T]>;
    try_frame_slice = try_slice[T: Default](len: usize) -> Result<FrameBox<'f, [T]>, AllocError>;
    frame_vec = vec[T]() -> FrameVec<'f, T>;
    frame_vec_with_capacity = vec_with_capacity[T](capacity: usize) -> FrameVec<'f, T>;
    try_frame_vec_with_capacity = try_vec_with_capacity[T](capacity: usize) -> Result<FrameVec<'f, T>, AllocError>;
    frame_string = string() -> FrameString<'f>;
    frame_map = map[K, V]() -> FrameMap<'f, K, V>;
    frame_map_with_capacity = map_with_capacity[K: Eq + core::hash::Hash, V](capacity: usize) -> FrameMap<'f, K, V>;
    try_frame_map_with_capacity = try_map_with_capacity[K: Eq + core::hash::Hash, V](capacity: usize) -> Result<FrameMap<'f, K, V>, AllocError>;
    frame_set = set[T]() -> FrameSet<'f, T>;
    frame_deque = deque[T]() -> FrameDeque<'f, T>;
    frame_collect = collect[T](iter: impl IntoIterator<Item = T>) -> FrameVec<'f, T>;
    try_frame_collect = try_collect[T](iter: impl IntoIterator<Item = T>) -> Result<FrameVec<'f, T>, AllocError>;
}
