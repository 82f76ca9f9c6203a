//! The methods that frames, arenas, scopes and scratch arenas share, written once.
//!
//! Each infallible method and its `try_` twin are one line over the same body in `arena::place`. The macros take the
//! generics of a method, the lifetime of what is handed out, `self`, the receiver, the minimum alignment, and the lines an
//! example begins (and ends) with, in which `a` is the receiver.

/// One method and its fallible twin: `both!` of the body, with the kind of refusal as its last generic argument.
macro_rules! values {
    ([$($own:tt)*] $life:lifetime, $me:ident, ($($recv:tt)+), $min:expr, $setup:literal $($finish:literal)?) => {
        /// Moves a value into the arena. `T` must not have a destructor, or it does not compile: see
        /// [`alloc_box`](Self::alloc_box).
        ///
        /// # Panics
        ///
        /// If memory is refused; [`try_alloc`](Self::try_alloc) returns the error.
        #[doc = concat!("\n```\n", $setup, "\nlet x = a.alloc(7u32);\n*x += 1;\nassert_eq!(*x, 8);\n" $(, $finish)?, "\n```")]
        #[inline(always)]
        #[track_caller]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        pub fn alloc<$($own)* T>($($recv)+, value: T) -> &$life mut T {
            const { $crate::arena::assert_no_drop_glue::<T>() };
            let Ok(place) = $me.raw().value::<{ $min }, core::convert::Infallible, T>(value);
            // SAFETY: just initialised, and nobody else's.
            unsafe { $crate::arena::exclusive(place) }
        }

        /// Moves a value into the arena.
        ///
        /// # Errors
        ///
        /// If memory is refused.
        #[doc = concat!("\n```\n", $setup, "\nassert_eq!(*a.try_alloc(7u32).unwrap(), 7);\n" $(, $finish)?, "\n```")]
        #[inline(always)]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        #[track_caller]
        pub fn try_alloc<$($own)* T>($($recv)+, value: T) -> Result<&$life mut T, $crate::AllocError> {
            const { $crate::arena::assert_no_drop_glue::<T>() };
            let place = $me.raw().value::<{ $min }, $crate::AllocError, T>(value)?;
            // SAFETY: just initialised, and nobody else's.
            Ok(unsafe { $crate::arena::exclusive(place) })
        }

        /// Builds a value in place: the memory is reserved before `f` runs, and given back if `f` panics.
        ///
        /// # Panics
        ///
        /// If memory is refused.
        #[doc = concat!("\n```\n", $setup, "\nlet table = a.alloc_with(|| [0f32; 256]);\nassert_eq!(table.len(), 256);\n" $(, $finish)?, "\n```")]
        #[inline(always)]
        #[track_caller]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        pub fn alloc_with<$($own)* T>($($recv)+, f: impl FnOnce() -> T) -> &$life mut T {
            const { $crate::arena::assert_no_drop_glue::<T>() };
            let Ok(place) = $me.raw().value_with::<{ $min }, core::convert::Infallible, T>(f);
            // SAFETY: just initialised, and nobody else's.
            unsafe { $crate::arena::exclusive(place) }
        }

        /// Builds a value in place by a closure that may fail: then its memory is given back.
        ///
        /// # Errors
        ///
        /// [`InitError::Alloc`](crate::InitError::Alloc) if memory is refused, and the closure did not run;
        /// [`InitError::Init`](crate::InitError::Init) with the closure's error.
        #[doc = concat!("\n```\n", $setup, "\nassert!(a.try_alloc_with(|| \"x\".parse::<i32>()).is_err());\nassert_eq!(*a.try_alloc_with(|| \"7\".parse::<i32>()).unwrap(), 7);\n" $(, $finish)?, "\n```")]
        #[inline(always)]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        #[track_caller]
        pub fn try_alloc_with<$($own)* T, X>($($recv)+, f: impl FnOnce() -> Result<T, X>) -> Result<&$life mut T, $crate::InitError<X>> {
            const { $crate::arena::assert_no_drop_glue::<T>() };
            let place = $me.raw().value_try_with::<{ $min }, T, X>(f)?;
            // SAFETY: just initialised, and nobody else's.
            Ok(unsafe { $crate::arena::exclusive(place) })
        }

        /// Memory for a value, not initialised. `T` must not have a destructor.
        ///
        /// # Panics
        ///
        /// If memory is refused.
        #[doc = concat!("\n```\n", $setup, "\nlet x = a.alloc_uninit::<[u64; 64]>().write([1; 64]);\nassert_eq!(x[63], 1);\n" $(, $finish)?, "\n```")]
        #[inline(always)]
        #[track_caller]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        pub fn alloc_uninit<$($own)* T>($($recv)+) -> &$life mut core::mem::MaybeUninit<T> {
            const { $crate::arena::assert_no_drop_glue::<T>() };
            let Ok(place) = $me.raw().reserve::<{ $min }, core::convert::Infallible, core::mem::MaybeUninit<T>>();
            // SAFETY: a `MaybeUninit` needs no initialisation; the memory is nobody else's.
            unsafe { $crate::arena::exclusive(place) }
        }

        /// Memory for a value, not initialised.
        ///
        /// # Errors
        ///
        /// If memory is refused.
        #[inline(always)]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        #[track_caller]
        pub fn try_alloc_uninit<$($own)* T>($($recv)+) -> Result<&$life mut core::mem::MaybeUninit<T>, $crate::AllocError> {
            const { $crate::arena::assert_no_drop_glue::<T>() };
            let place = $me.raw().reserve::<{ $min }, $crate::AllocError, core::mem::MaybeUninit<T>>()?;
            // SAFETY: a `MaybeUninit` needs no initialisation; the memory is nobody else's.
            Ok(unsafe { $crate::arena::exclusive(place) })
        }

        /// Memory for `len` values, not initialised. `T` must not have a destructor.
        ///
        /// # Panics
        ///
        /// If memory is refused, or more than `isize::MAX` bytes are asked for.
        #[doc = concat!("\n```\n", $setup, "\nlet slots = a.alloc_uninit_slice::<u16>(3);\nslots[2].write(9);\nassert_eq!(slots.len(), 3);\n" $(, $finish)?, "\n```")]
        #[inline(always)]
        #[track_caller]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        pub fn alloc_uninit_slice<$($own)* T>($($recv)+, len: usize) -> &$life mut [core::mem::MaybeUninit<T>] {
            const { $crate::arena::assert_no_drop_glue::<T>() };
            let Ok(place) = $me.raw().uninit_slice::<{ $min }, core::convert::Infallible, T>(len);
            // SAFETY: `MaybeUninit`s need no initialisation; the memory is nobody else's.
            unsafe { $crate::arena::exclusive(place) }
        }

        /// Memory for `len` values, not initialised.
        ///
        /// # Errors
        ///
        /// If memory is refused, or more than `isize::MAX` bytes are asked for.
        #[inline(always)]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        #[track_caller]
        pub fn try_alloc_uninit_slice<$($own)* T>($($recv)+, len: usize) -> Result<&$life mut [core::mem::MaybeUninit<T>], $crate::AllocError> {
            const { $crate::arena::assert_no_drop_glue::<T>() };
            let place = $me.raw().uninit_slice::<{ $min }, $crate::AllocError, T>(len)?;
            // SAFETY: `MaybeUninit`s need no initialisation; the memory is nobody else's.
            Ok(unsafe { $crate::arena::exclusive(place) })
        }

        /// Memory of a layout known at run time, not initialised.
        ///
        /// # Panics
        ///
        /// If memory is refused.
        #[doc = concat!("\n```\n", $setup, "\nlet layout = std::alloc::Layout::from_size_align(100, 4096).unwrap();\nassert_eq!(a.alloc_layout(layout).as_ptr().addr() % 4096, 0);\n" $(, $finish)?, "\n```")]
        #[inline(always)]
        #[track_caller]
        pub fn alloc_layout<$($own)*>($($recv)+, layout: core::alloc::Layout) -> core::ptr::NonNull<u8> {
            let Ok(place) = $me.raw().reserve_dynamic::<{ $min }, core::convert::Infallible>(layout.size(), layout.align());
            place
        }

        /// Memory of a layout known at run time, not initialised.
        ///
        /// # Errors
        ///
        /// If memory is refused.
        #[inline(always)]
        #[track_caller]
        pub fn try_alloc_layout<$($own)*>($($recv)+, layout: core::alloc::Layout) -> Result<core::ptr::NonNull<u8>, $crate::AllocError> {
            $me.raw().reserve_dynamic::<{ $min }, $crate::AllocError>(layout.size(), layout.align())
        }

        /// Moves `N` values into the arena with one bump, and returns them one by one.
        ///
        /// # Panics
        ///
        /// If memory is refused.
        #[doc = concat!("\n```\n", $setup, "\nlet [x, y] = a.alloc_batch([1u64, 2]);\nstd::mem::swap(x, y);\nassert_eq!((*x, *y), (2, 1));\n" $(, $finish)?, "\n```")]
        #[inline(always)]
        #[track_caller]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        pub fn alloc_batch<$($own)* T: $life, const N: usize>($($recv)+, values: [T; N]) -> [&$life mut T; N] {
            $me.alloc(values).each_mut()
        }

        /// Moves `N` values into the arena with one bump, and returns them one by one.
        ///
        /// # Errors
        ///
        /// If memory is refused.
        #[inline(always)]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        #[track_caller]
        pub fn try_alloc_batch<$($own)* T: $life, const N: usize>($($recv)+, values: [T; N]) -> Result<[&$life mut T; N], $crate::AllocError> {
            Ok($me.try_alloc(values)?.each_mut())
        }

        /// Copies a string.
        ///
        /// # Panics
        ///
        /// If memory is refused.
        #[doc = concat!("\n```\n", $setup, "\nlet name = a.alloc_str(\"crate_07\");\nname.make_ascii_uppercase();\nassert_eq!(name, \"CRATE_07\");\n" $(, $finish)?, "\n```")]
        #[inline(always)]
        #[track_caller]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        pub fn alloc_str<$($own)*>($($recv)+, text: &str) -> &$life mut str {
            let Ok(place) = $me.raw().slice_copy::<{ $min }, core::convert::Infallible, u8>(text.as_bytes());
            // SAFETY: a copy of a `str`, and nobody else's.
            unsafe { $crate::arena::exclusive_str(place) }
        }

        /// Copies a string.
        ///
        /// # Errors
        ///
        /// If memory is refused.
        #[inline(always)]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        #[track_caller]
        pub fn try_alloc_str<$($own)*>($($recv)+, text: &str) -> Result<&$life mut str, $crate::AllocError> {
            let place = $me.raw().slice_copy::<{ $min }, $crate::AllocError, u8>(text.as_bytes())?;
            // SAFETY: a copy of a `str`, and nobody else's.
            Ok(unsafe { $crate::arena::exclusive_str(place) })
        }

        $crate::frame::surface::slices! {
            [$($own)*] $life, $me, ($($recv)+), $min, $setup $($finish)?;

            /// Copies a slice.
            #[doc = concat!("\n```\n", $setup, "\nassert_eq!(a.alloc_slice_copy(&[1, 2, 3]), [1, 2, 3]);\n" $(, $finish)?, "\n```")]
            alloc_slice_copy, try_alloc_slice_copy = slice_copy<T: Copy>(source: &[T]);

            /// Clones a slice, element by element. `T` must not have a destructor.
            #[doc = concat!("\n```\n", $setup, "\nassert_eq!(a.alloc_slice_clone(&[Some(1), None]), [Some(1), None]);\n" $(, $finish)?, "\n```")]
            alloc_slice_clone, try_alloc_slice_clone = slice_clone<T: Clone>(source: &[T]);

            /// A slice of `len` clones of `value`. `T` must not have a destructor.
            #[doc = concat!("\n```\n", $setup, "\nassert_eq!(a.alloc_slice_fill(3, 7u8), [7, 7, 7]);\n" $(, $finish)?, "\n```")]
            alloc_slice_fill, try_alloc_slice_fill = slice_fill<T: Clone>(len: usize, value: T);

            /// A slice whose elements `f` makes of their indices. `T` must not have a destructor.
            #[doc = concat!("\n```\n", $setup, "\nassert_eq!(a.alloc_slice_fill_with(4, |i| i * i), [0, 1, 4, 9]);\n" $(, $finish)?, "\n```")]
            alloc_slice_fill_with, try_alloc_slice_fill_with = slice_with<T>(len: usize, f: impl FnMut(usize) -> T);

            /// A slice of whatever an iterator yields; its length need not be known. `T` must not have a destructor.
            #[doc = concat!("\n```\n", $setup, "\nlet odd = a.alloc_slice_fill_iter((0..9).filter(|i| i % 2 == 1));\nassert_eq!(odd, [1, 3, 5, 7]);\n" $(, $finish)?, "\n```")]
            alloc_slice_fill_iter, try_alloc_slice_fill_iter = slice_from_iter<T>(iter: impl IntoIterator<Item = T>);

            /// Copies a slice to an address that is a multiple of `align` bytes, a power of two: 256 for a uniform
            /// buffer, 4096 for a page.
            #[doc = concat!("\n```\n", $setup, "\nlet block = a.alloc_slice_copy_aligned(&[1u8; 100], 256);\nassert_eq!(block.as_ptr().addr() % 256, 0);\n" $(, $finish)?, "\n```")]
            alloc_slice_copy_aligned, try_alloc_slice_copy_aligned = slice_copy_aligned<T: Copy>(source: &[T], align: usize);

            /// A slice at an address that is a multiple of `align` bytes, a power of two; `f` makes the elements of
            /// their indices. `T` must not have a destructor.
            #[doc = concat!("\n```\n", $setup, "\nlet page = a.alloc_slice_aligned_with(16, 16384, |i| i as f32);\nassert_eq!(page.as_ptr().addr() % 16384, 0);\n" $(, $finish)?, "\n```")]
            alloc_slice_aligned_with, try_alloc_slice_aligned_with = slice_aligned_with<T>(len: usize, align: usize, f: impl FnMut(usize) -> T);
        }

        $crate::frame::surface::boxes! {
            [$($own)*] $life, $me, ($($recv)+), $min;

            /// Moves a value of any type into a box, which drops it.
            #[doc = concat!("\n```\n", $setup, "\nlet path = a.alloc_box(std::path::PathBuf::from(\"levels\"));\nassert_eq!(path.as_os_str(), \"levels\");\n" $(, $finish)?, "\n```")]
            alloc_box, try_alloc_box -> T = value<T>(value: T);

            /// Builds a boxed value in place.
            #[doc = concat!("\n```\n", $setup, "\nlet list = a.alloc_box_with(|| vec![1, 2, 3]);\nassert_eq!(list.len(), 3);\n" $(, $finish)?, "\n```")]
            alloc_box_with, try_alloc_box_with -> T = value_with<T>(f: impl FnOnce() -> T);

            /// A boxed slice whose elements `f` makes of their indices.
            #[doc = concat!("\n```\n", $setup, "\nlet names = a.alloc_box_slice_with(3, |i| i.to_string());\nassert_eq!(names[2], \"2\");\n" $(, $finish)?, "\n```")]
            alloc_box_slice_with, try_alloc_box_slice_with -> [T] = slice_with<T>(len: usize, f: impl FnMut(usize) -> T);

            /// A boxed slice of whatever an iterator yields.
            #[doc = concat!("\n```\n", $setup, "\nlet words = a.alloc_box_slice_from_iter(\"a b\".split(' ').map(String::from));\nassert_eq!(words.len(), 2);\n" $(, $finish)?, "\n```")]
            alloc_box_slice_from_iter, try_alloc_box_slice_from_iter -> [T] = slice_from_iter<T>(iter: impl IntoIterator<Item = T>);
        }
    };
}

macro_rules! slices {
    ($own:tt $life:lifetime, $me:ident, $recv:tt, $min:expr, $setup:literal $($finish:literal)?;
     $($(#[$doc:meta])* $name:ident, $try_name:ident = $body:ident<T $(: $bound:ident)?>($($arg:ident: $type:ty),*);)*) => {
        $($crate::frame::surface::slice! {
            $own $life, $me, $recv, $min; [$(#[$doc])*] $name, $try_name = $body [T $(: $bound)?] ($($arg: $type),*)
        })*
    };
}

macro_rules! slice {
    ([$($own:tt)*] $life:lifetime, $me:ident, ($($recv:tt)+), $min:expr;
     [$(#[$doc:meta])*] $name:ident, $try_name:ident = $body:ident [T $(: $bound:ident)?] ($($arg:ident: $type:ty),*)) => {
        $(#[$doc])*
        ///
        /// # Panics
        ///
        #[doc = concat!("If memory is refused or an argument is out of bounds; [`", stringify!($try_name), "`](Self::", stringify!($try_name), ") returns the error.")]
        #[inline]
        #[track_caller]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        pub fn $name<$($own)* T $(: $bound)?>($($recv)+, $($arg: $type),*) -> &$life mut [T] {
            const { $crate::arena::assert_no_drop_glue::<T>() };
            let Ok(place) = $me.raw().$body::<{ $min }, core::convert::Infallible, T>($($arg),*);
            // SAFETY: every element was just initialised, and is nobody else's.
            unsafe { $crate::arena::exclusive(place) }
        }

        #[doc = concat!("[`", stringify!($name), "`](Self::", stringify!($name), "), with a refusal as an error.")]
        ///
        /// # Errors
        ///
        /// If memory is refused, more than `isize::MAX` bytes are asked for, or an alignment is no power of two.
        #[inline]
        #[allow(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
        #[track_caller]
        pub fn $try_name<$($own)* T $(: $bound)?>($($recv)+, $($arg: $type),*) -> Result<&$life mut [T], $crate::AllocError> {
            const { $crate::arena::assert_no_drop_glue::<T>() };
            let place = $me.raw().$body::<{ $min }, $crate::AllocError, T>($($arg),*)?;
            // SAFETY: every element was just initialised, and is nobody else's.
            Ok(unsafe { $crate::arena::exclusive(place) })
        }
    };
}

macro_rules! boxes {
    ($own:tt $life:lifetime, $me:ident, $recv:tt, $min:expr;
     $($(#[$doc:meta])* $name:ident, $try_name:ident -> $target:ty = $body:ident<T>($($arg:ident: $type:ty),*);)*) => {
        $($crate::frame::surface::boxed! {
            $own $life, $me, $recv, $min; [$(#[$doc])*] $name, $try_name, $target, $body, ($($arg: $type),*)
        })*
    };
}

macro_rules! boxed {
    ([$($own:tt)*] $life:lifetime, $me:ident, ($($recv:tt)+), $min:expr;
     [$(#[$doc:meta])*] $name:ident, $try_name:ident, $target:ty, $body:ident, ($($arg:ident: $type:ty),*)) => {
        $(#[$doc])*
        ///
        /// # Panics
        ///
        #[doc = concat!("If memory is refused; [`", stringify!($try_name), "`](Self::", stringify!($try_name), ") returns the error.")]
        #[inline]
        #[track_caller]
        pub fn $name<$($own)* T>($($recv)+, $($arg: $type),*) -> $crate::FrameBox<$life, $target> {
            let Ok(place) = $me.raw().$body::<{ $min }, core::convert::Infallible, T>($($arg),*);
            // SAFETY: just initialised, nobody else's, in memory that stays for the lifetime of the arena's borrow.
            unsafe { $crate::FrameBox::from_place(place) }
        }

        #[doc = concat!("[`", stringify!($name), "`](Self::", stringify!($name), "), with a refusal as an error.")]
        ///
        /// # Errors
        ///
        /// If memory is refused, or more than `isize::MAX` bytes are asked for.
        #[inline]
        #[track_caller]
        pub fn $try_name<$($own)* T>($($recv)+, $($arg: $type),*) -> Result<$crate::FrameBox<$life, $target>, $crate::AllocError> {
            let place = $me.raw().$body::<{ $min }, $crate::AllocError, T>($($arg),*)?;
            // SAFETY: just initialised, nobody else's, in memory that stays for the lifetime of the arena's borrow.
            Ok(unsafe { $crate::FrameBox::from_place(place) })
        }
    };
}

/// Collections, and what is built of them: for arenas of the minimum alignment of frames.
macro_rules! collections {
    ([$($own:tt)*] $life:lifetime, $me:ident, ($($recv:tt)+), $setup:literal $($finish:literal)?) => {
        /// A boxed slice of `len` default values.
        ///
        /// # Panics
        ///
        /// If memory is refused.
        #[doc = concat!("\n```\n", $setup, "\nassert_eq!(*a.slice::<u32>(3), [0, 0, 0]);\n" $(, $finish)?, "\n```")]
        #[inline]
        #[track_caller]
        pub fn slice<$($own)* T: Default>($($recv)+, len: usize) -> $crate::FrameBox<$life, [T]> {
            $me.alloc_box_slice_with(len, |_| T::default())
        }

        /// A boxed slice of `len` default values.
        ///
        /// # Errors
        ///
        /// If memory is refused, or more than `isize::MAX` bytes are asked for.
        #[inline]
        #[track_caller]
        pub fn try_slice<$($own)* T: Default>($($recv)+, len: usize) -> Result<$crate::FrameBox<$life, [T]>, $crate::AllocError> {
            $me.try_alloc_box_slice_with(len, |_| T::default())
        }

        /// An empty vector, which takes no memory yet.
        #[doc = concat!("\n```\n", $setup, "\nlet mut v = a.vec();\nv.extend([1, 2, 3]);\nassert_eq!(*v, [1, 2, 3]);\n" $(, $finish)?, "\n```")]
        #[must_use]
        #[inline]
        pub fn vec<$($own)* T>($($recv)+) -> $crate::FrameVec<$life, T> {
            $crate::FrameVec::new_in($me.frame())
        }

        /// An empty vector with room for `capacity` elements.
        ///
        /// # Panics
        ///
        /// If memory is refused.
        #[doc = concat!("\n```\n", $setup, "\nassert!(a.vec_with_capacity::<u8>(10).capacity() >= 10);\n" $(, $finish)?, "\n```")]
        #[must_use]
        #[inline]
        #[track_caller]
        pub fn vec_with_capacity<$($own)* T>($($recv)+, capacity: usize) -> $crate::FrameVec<$life, T> {
            $crate::FrameVec::with_capacity_in(capacity, $me.frame())
        }

        /// An empty vector with room for `capacity` elements.
        ///
        /// # Errors
        ///
        /// If memory is refused, or more than `isize::MAX` bytes are asked for.
        #[inline]
        #[track_caller]
        pub fn try_vec_with_capacity<$($own)* T>($($recv)+, capacity: usize) -> Result<$crate::FrameVec<$life, T>, $crate::AllocError> {
            $crate::FrameVec::try_with_capacity_in(capacity, $me.frame())
        }

        /// An empty string, which takes no memory yet.
        #[doc = concat!("\n```\n", $setup, "\nlet mut s = a.string();\ns.push_str(\"wave \");\ns.push('7');\nassert_eq!(s, \"wave 7\");\n" $(, $finish)?, "\n```")]
        #[must_use]
        #[inline]
        pub fn string<$($own)*>($($recv)+) -> $crate::FrameString<$life> {
            $crate::FrameString::new_in($me.frame())
        }

        /// An empty map, which takes no memory yet.
        #[doc = concat!("\n```\n", $setup, "\nlet mut m = a.map();\nm.insert(\"hp\", 100);\nassert_eq!(m[\"hp\"], 100);\n" $(, $finish)?, "\n```")]
        #[must_use]
        #[inline]
        pub fn map<$($own)* K, V>($($recv)+) -> $crate::FrameMap<$life, K, V> {
            $crate::FrameMap::new_in($me.frame())
        }

        /// An empty map with room for `capacity` entries.
        ///
        /// # Panics
        ///
        /// If memory is refused.
        #[must_use]
        #[inline]
        #[track_caller]
        pub fn map_with_capacity<$($own)* K: Eq + core::hash::Hash, V>($($recv)+, capacity: usize) -> $crate::FrameMap<$life, K, V> {
            $crate::FrameMap::with_capacity_in(capacity, $me.frame())
        }

        /// An empty map with room for `capacity` entries.
        ///
        /// # Errors
        ///
        /// If memory is refused, or more than `isize::MAX` bytes are asked for.
        #[inline]
        #[track_caller]
        pub fn try_map_with_capacity<$($own)* K: Eq + core::hash::Hash, V>($($recv)+, capacity: usize) -> Result<$crate::FrameMap<$life, K, V>, $crate::AllocError> {
            $crate::FrameMap::try_with_capacity_in(capacity, $me.frame())
        }

        /// An empty set, which takes no memory yet.
        #[doc = concat!("\n```\n", $setup, "\nlet mut seen = a.set();\nassert!(seen.insert(7) && !seen.insert(7));\n" $(, $finish)?, "\n```")]
        #[must_use]
        #[inline]
        pub fn set<$($own)* T>($($recv)+) -> $crate::FrameSet<$life, T> {
            $crate::FrameSet::new_in($me.frame())
        }

        /// An empty double-ended queue, which takes no memory yet.
        #[doc = concat!("\n```\n", $setup, "\nlet mut open = a.deque();\nopen.push_back(1);\nopen.push_front(0);\nassert_eq!(open.pop_front(), Some(0));\n" $(, $finish)?, "\n```")]
        #[must_use]
        #[inline]
        pub fn deque<$($own)* T>($($recv)+) -> $crate::FrameDeque<$life, T> {
            $crate::FrameDeque::new_in($me.frame())
        }

        /// Collects an iterator into a vector.
        ///
        /// # Panics
        ///
        /// If memory is refused.
        #[doc = concat!("\n```\n", $setup, "\nassert_eq!(*a.collect((0..3).map(|i| i * 2)), [0, 2, 4]);\n" $(, $finish)?, "\n```")]
        #[inline]
        #[track_caller]
        pub fn collect<$($own)* T>($($recv)+, iter: impl IntoIterator<Item = T>) -> $crate::FrameVec<$life, T> {
            let mut vec = $crate::FrameVec::new_in($me.frame());
            vec.extend(iter);
            vec
        }

        /// Collects an iterator into a vector.
        ///
        /// # Errors
        ///
        /// If memory is refused; what was taken from the iterator is dropped.
        #[inline]
        #[track_caller]
        pub fn try_collect<$($own)* T>($($recv)+, iter: impl IntoIterator<Item = T>) -> Result<$crate::FrameVec<$life, T>, $crate::AllocError> {
            let mut vec = $crate::FrameVec::new_in($me.frame());
            vec.try_extend(iter)?;
            Ok(vec)
        }

        /// Columns of `len` default values each, one for every type of the tuple: a structure of arrays. One block, each
        /// column on a cache line of its own.
        ///
        /// # Panics
        ///
        /// If memory is refused.
        #[doc = concat!("\n```\n", $setup, "\nlet (mut position, mut id) = a.columns::<([f32; 3], u32)>(100);\nposition[99] = [1.0; 3];\nid[99] = 7;\nassert_eq!(id.as_ptr().addr() % 64, 0);\n" $(, $finish)?, "\n```")]
        #[inline]
        #[track_caller]
        pub fn columns<$($own)* C: $crate::Columns + $life>($($recv)+, len: usize) -> C::Boxed<$life> {
            let Ok(columns) = C::build::<core::convert::Infallible>($me.frame(), len);
            columns
        }

        /// Columns of `len` default values each, one for every type of the tuple.
        ///
        /// # Errors
        ///
        /// If memory is refused, or more than `isize::MAX` bytes are asked for.
        #[inline]
        #[track_caller]
        pub fn try_columns<$($own)* C: $crate::Columns + $life>($($recv)+, len: usize) -> Result<C::Boxed<$life>, $crate::AllocError> {
            C::build::<$crate::AllocError>($me.frame(), len)
        }
    };
}

pub(super) use {boxed, boxes, collections, slice, slices, values};
