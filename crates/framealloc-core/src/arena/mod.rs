//! Arenas: a cursor through chunks, scopes that rewind it, and the ways to put values behind it.
//!
//! Promises that a block handed out stays untouched until the lifetime it was given ends. Needs no threads and no `std`.

use alloc::boxed::Box;
use core::alloc::Layout;
use core::cell::RefCell;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use allocator_api2::alloc::{AllocError as NoMemory, Allocator};

use crate::backend::{AllocatorBackend, Live};
use crate::chunk::{Growth, TrimPolicy};
use crate::error::AllocError;
use crate::stats::ThreadStats;

mod place;
pub(crate) mod raw;

pub(crate) use place::{Reserved, assert_no_drop_glue, exclusive, exclusive_str};
pub(crate) use raw::{MAX_MIN_ALIGN, RawArena, Supply};

/// A bump arena of its own: for a job, a fiber, an async task between awaits, or a loop without threads.
///
/// It allocates nothing until it is used, is `Send` and `'static`, and reuses its chunks after each [`reset`](Self::reset).
/// `MIN_ALIGN` is the alignment every block has at least: a power of two up to 64.
///
/// ```
/// use framealloc_core::Arena;
///
/// let mut arena = Arena::new();
/// for level in 0..3 {
///     let path = arena.alloc_slice_fill_with(100, |i| i * level);
///     assert_eq!(path[99], 99 * level);
///     arena.reset();
/// }
/// ```
#[repr(C)]
pub struct Arena<const MIN_ALIGN: usize = 8> {
    /// First, so that cursor and arena have one address: a load and a store through different registers are slower.
    raw: RawArena,
    trim: TrimPolicy,
}

// SAFETY: an arena owns its chunks and its backend (which is `Send`) and shares nothing; blocks and collections in it borrow
// it, so that none of them is left behind when it moves to another thread.
unsafe impl<const M: usize> Send for Arena<M> {}

impl Arena {
    /// An empty arena; takes its chunks from the program's allocator, of 64 KiB doubling to 1 MiB.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_min_align()
    }

    /// An empty arena that takes its chunks from `backend`. What the backend answers with `Fallback` comes from the
    /// program's allocator.
    #[must_use]
    pub fn with_backend(backend: Box<dyn AllocatorBackend>) -> Self {
        Self::build(Supply::Own(RefCell::new((backend, Live::new()))), Growth::DEFAULT)
    }

    /// An empty arena whose chunks have `min` bytes, then twice that, up to `max`.
    ///
    /// # Panics
    ///
    /// If a size is no power of two, below 1 KiB or too large, or `min` is above `max`.
    #[must_use]
    pub fn with_chunk_sizes(min: usize, max: usize) -> Self {
        Self::try_with_chunk_sizes(min, max).unwrap_or_else(|error| error.raise())
    }

    /// An empty arena whose chunks have `min` bytes, then twice that, up to `max`.
    ///
    /// # Errors
    ///
    /// If a size is no power of two, below 1 KiB or too large, or `min` is above `max`.
    ///
    /// ```
    /// use framealloc_core::Arena;
    /// let error = Arena::try_with_chunk_sizes(3000, 1 << 20).unwrap_err();
    /// assert!(error.to_string().contains("3000"));
    /// ```
    pub fn try_with_chunk_sizes(min: usize, max: usize) -> Result<Self, AllocError> {
        Ok(Self::build(Supply::Global, Growth::new(min, max)?))
    }
}

impl<const M: usize> Arena<M> {
    /// An empty arena of any minimum alignment that takes its chunks, of `min` bytes doubling to `max`, from `backend`.
    ///
    /// # Errors
    ///
    /// If a size is no power of two, below 1 KiB or too large, or `min` is above `max`.
    ///
    /// ```
    /// use framealloc_core::{Arena, FixedBackend};
    /// let arena = Arena::<16>::try_with(Box::new(FixedBackend::new(64 << 10)), 4 << 10, 16 << 10)?;
    /// assert_eq!(arena.alloc_slice_fill(1000, 7u8)[999], 7);
    /// assert_eq!(arena.committed(), 4 << 10);
    /// # Ok::<(), framealloc_core::AllocError>(())
    /// ```
    pub fn try_with(backend: Box<dyn AllocatorBackend>, min: usize, max: usize) -> Result<Self, AllocError> {
        Ok(Self::build(Supply::Own(RefCell::new((backend, Live::new()))), Growth::new(min, max)?))
    }

    /// An empty arena with the minimum alignment of its type.
    ///
    /// ```
    /// use framealloc_core::Arena;
    /// let arena = Arena::<32>::with_min_align();
    /// assert_eq!(std::ptr::from_ref(arena.alloc(1u8)).addr() % 32, 0);
    /// ```
    #[must_use]
    pub const fn with_min_align() -> Self {
        Self::build(Supply::Global, Growth::DEFAULT)
    }

    const fn build(supply: Supply, growth: Growth) -> Self {
        const {
            assert!(M.is_power_of_two() && M <= MAX_MIN_ALIGN, "the minimum alignment is a power of two up to 64");
        }
        Self { raw: RawArena::new(supply, growth, M), trim: TrimPolicy::AfterFrames(30) }
    }

    /// Sets when surplus chunks go back to the backend, counted in resets.
    #[must_use]
    pub const fn with_trim(mut self, policy: TrimPolicy) -> Self {
        self.trim = policy;
        self
    }

    #[inline(always)]
    pub(crate) fn raw(&self) -> &RawArena {
        &self.raw
    }

    /// Frees everything at once. The chunks stay for the next round; one that no round has needed for a while goes back.
    pub fn reset(&mut self) {
        // SAFETY: whatever was handed out borrows the arena, which is borrowed exclusively here.
        unsafe { self.raw.reset() };
        self.raw.age(self.trim);
    }

    /// Gives all chunks that are not in use back to the backend; the number of bytes.
    pub fn trim(&mut self) -> usize {
        self.raw.trim()
    }

    /// What was handed out since the last reset.
    #[must_use]
    pub fn stats(&self) -> ThreadStats {
        self.raw.stats()
    }

    /// Bytes of all the arena's chunks.
    #[must_use]
    pub fn committed(&self) -> usize {
        self.raw.committed()
    }

    /// Address and length of the filled part of each chunk in use, for tools that draw or dump memory.
    ///
    /// ```
    /// use framealloc_core::Arena;
    /// let mut arena = Arena::new();
    /// arena.alloc([0u8; 100]);
    /// assert_eq!(arena.chunks().map(|(_, bytes)| bytes).sum::<usize>(), 104);
    /// ```
    pub fn chunks(&mut self) -> impl Iterator<Item = (NonNull<u8>, usize)> + '_ {
        self.raw.filled_parts()
    }

    /// Runs `f` with a scope: what is allocated in it is freed when it returns.
    ///
    /// ```
    /// use framealloc_core::Arena;
    /// let mut arena = Arena::new();
    /// let sum = arena.scope(|scope| {
    ///     let numbers = scope.alloc_slice_copy(&[1, 2, 3]);
    ///     // A nested scope rewinds to here; `numbers` stays usable.
    ///     let squares: i32 = scope.scope(|inner| inner.alloc_slice_fill_with(3, |i| numbers[i] * numbers[i]).iter().sum());
    ///     squares + numbers.iter().sum::<i32>()
    /// });
    /// assert_eq!(sum, 20);
    /// assert_eq!(arena.stats().bytes_allocated, 0);
    /// ```
    pub fn scope<'env, R>(&mut self, f: impl for<'s> FnOnce(&mut Scope<'s, 'env, M>) -> R) -> R {
        scoped(&self.raw, f)
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl<const M: usize> fmt::Debug for Arena<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("min_align", &M).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// A part of an arena's use that ends by rewinding. Made by [`Arena::scope`], nested by [`Scope::scope`].
///
/// What it allocates carries `'s`, which no closure can name and nothing outside can outlive. Collections borrow the
/// scope itself, so that none can grow while a nested scope is open.
///
/// `'env` is whatever surrounds the scope: values that borrow from there may be put into it, as in `std::thread::scope`.
///
/// ```
/// use framealloc_core::Arena;
/// let name = String::from("outside");
/// let mut arena = Arena::new();
/// let len = arena.scope(|scope| {
///     let borrowed: &mut &String = scope.alloc(&name);
///     borrowed.len()
/// });
/// assert_eq!(len, 7);
/// ```
pub struct Scope<'s, 'env: 's, const MIN_ALIGN: usize = 8> {
    raw: &'s RawArena,
    /// Invariant: no scope can be swapped for another one.
    #[cfg(not(canary = "scope_covariant"))]
    brand: PhantomData<fn(&'s ()) -> &'s ()>,
    #[cfg(canary = "scope_covariant")]
    brand: PhantomData<&'s ()>,
    /// Bounds `'s` from above.
    env: PhantomData<&'env mut &'env ()>,
}

impl<'s, 'env, const M: usize> Scope<'s, 'env, M> {
    #[inline(always)]
    pub(crate) fn raw(&self) -> &'s RawArena {
        self.raw
    }

    /// Runs `f` with a nested scope: what is allocated in it is freed when it returns, what was allocated before stays.
    pub fn scope<'inner, R>(&mut self, f: impl for<'t> FnOnce(&mut Scope<'t, 'inner, M>) -> R) -> R {
        scoped(self.raw, f)
    }
}

impl<const M: usize> fmt::Debug for Scope<'_, '_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("stats", &self.raw.stats()).finish_non_exhaustive()
    }
}

/// The one body of all scopes. The caller holds the arena or scope exclusively, so that until `f` returns nothing can be
/// allocated in it but through the new scope.
pub(crate) fn scoped<'env, const M: usize, R>(
    raw: &RawArena,
    f: impl for<'s> FnOnce(&mut Scope<'s, 'env, M>) -> R,
) -> R {
    struct Rewind<'a>(&'a RawArena, raw::Checkpoint);
    impl Drop for Rewind<'_> {
        fn drop(&mut self) {
            // SAFETY: `f` is generic over the lifetime of what it allocates, so nothing of it is left in `R` or outside;
            // what was allocated before lies below the checkpoint, and cannot be freed or grown meanwhile, since the
            // collections that could borrow the arena or scope that is held exclusively.
            unsafe { self.0.rewind(self.1) };
        }
    }
    let _rewind = Rewind(raw, raw.checkpoint());
    f(&mut Scope { raw, brand: PhantomData, env: PhantomData })
}

/// Implements `Allocator` by a `RawArena`: a refusal unwinds with its text, or is an `Err` in the `try_` methods of this
/// crate's collections.
macro_rules! arena_allocator {
    ([$($generics:tt)*] $type:ty, $min:expr) => {
        // SAFETY: a block lives until the lifetime in the type ends: the arena is not reset, rewound or moved while it is
        // borrowed. Copies are handles on the same arena. `grow`, `shrink` and `deallocate` get blocks of this arena.
        unsafe impl<$($generics)*> Allocator for $type {
            #[inline]
            #[track_caller]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, NoMemory> {
                let block = self.raw().reserve_layout::<{ $min }, NoMemory>(layout.size(), layout.align())?;
                Ok(NonNull::slice_from_raw_parts(block, layout.size()))
            }

            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller's promise is the same.
                unsafe { self.raw().free::<{ $min }>(block, layout) }
            }

            #[inline]
            #[track_caller]
            unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
                // SAFETY: the caller's promise is the same.
                let block = unsafe { self.raw().grow::<{ $min }, NoMemory>(block, old, new)? };
                Ok(NonNull::slice_from_raw_parts(block, new.size()))
            }

            #[inline]
            #[track_caller]
            unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
                // SAFETY: the caller's promise is the same.
                let block = unsafe { self.raw().grow::<{ $min }, NoMemory>(block, old, new)? };
                // SAFETY: the block has `new.size()` bytes, which is not less than `old.size()`.
                unsafe { block.add(old.size()).write_bytes(0, new.size() - old.size()) };
                Ok(NonNull::slice_from_raw_parts(block, new.size()))
            }

            #[inline]
            #[track_caller]
            unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
                // SAFETY: the caller's promise is the same.
                let block = unsafe { self.raw().shrink::<{ $min }, NoMemory>(block, old, new)? };
                Ok(NonNull::slice_from_raw_parts(block, new.size()))
            }
        }

        // SAFETY: as above.
        unsafe impl<$($generics)*> $crate::fallible::TryAllocator for $type {
            #[track_caller]
            fn try_allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, $crate::AllocError> {
                let block = self.raw().reserve_layout::<{ $min }, $crate::AllocError>(layout.size(), layout.align())?;
                Ok(NonNull::slice_from_raw_parts(block, layout.size()))
            }

            unsafe fn release(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller's promise is the same.
                unsafe { self.raw().free::<{ $min }>(block, layout) }
            }

            #[track_caller]
            unsafe fn try_resize(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, $crate::AllocError> {
                // SAFETY: the caller's promise is the same, and the sizes decide which it is.
                let block = unsafe {
                    if new.size() >= old.size() {
                        self.raw().grow::<{ $min }, $crate::AllocError>(block, old, new)?
                    } else {
                        self.raw().shrink::<{ $min }, $crate::AllocError>(block, old, new)?
                    }
                };
                Ok(NonNull::slice_from_raw_parts(block, new.size()))
            }
        }
    };
}
pub(crate) use arena_allocator;

arena_allocator!(['a, const M: usize] &'a Arena<M>, M);
