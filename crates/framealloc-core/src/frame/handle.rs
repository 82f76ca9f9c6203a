//! Handles: names for published values, without a lifetime, checked against the stamp of a frame when used.
//!
//! Also the list of published values whose destructors are due when their frame is reclaimed.

use core::alloc::Layout;
use core::any::type_name;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::mem;
use core::ptr::{self, NonNull};

use crate::arena::raw::Refusal;
use crate::arena::{RawArena, Reserved};
use crate::frame::ALIGN;
use crate::frame::stamp::Stamp;
use crate::unwind::{Panic, attempt};

/// Names a value that was published into a frame. `Copy`, `Send`, `Sync`, `'static`: it goes into components, messages and
/// commands, where a borrow cannot.
///
/// A handle is made by publishing only, and read by `SmartAlloc::get` or `SealedFrame::get`, which refuse a handle of
/// another allocator or of a frame that is gone. It is a pointer and one word, the frame's name, which no other frame of
/// any allocator of the process ever has: names do not wrap.
///
/// ```
/// use framealloc_core::SmartAlloc;
/// let mut alloc = SmartAlloc::default();
/// alloc.begin_frame();
/// let contacts = alloc.publish_slice_copy(&[1, 2, 3]);
/// assert_eq!(alloc.get(contacts)?, [1, 2, 3]);
/// alloc.end_frame();
/// assert!(alloc.get(contacts).is_err());
/// # Ok::<(), framealloc_core::StaleHandle>(())
/// ```
pub struct FrameHandle<T: ?Sized> {
    value: NonNull<T>,
    stamp: Stamp,
    /// Covariant, and `Send` and `Sync` whatever `T` is: a handle gives no access by itself.
    names: PhantomData<fn() -> *const T>,
}

// SAFETY: a handle is a number until `get` checks it, and only values that are `Send + Sync` are published.
unsafe impl<T: ?Sized> Send for FrameHandle<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: ?Sized> Sync for FrameHandle<T> {}

impl<T: ?Sized> FrameHandle<T> {
    #[inline(always)]
    pub(crate) fn new(value: NonNull<T>, stamp: Stamp) -> Self {
        Self { value, stamp, names: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn value(self) -> NonNull<T> {
        self.value
    }

    /// What the frame is checked by.
    #[inline(always)]
    pub(crate) fn stamp(self) -> Stamp {
        self.stamp
    }

    /// Number of the frame the value was published in.
    #[must_use]
    pub fn frame(self) -> u64 {
        self.stamp.frame()
    }
}

impl<T: ?Sized> Clone for FrameHandle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for FrameHandle<T> {}

/// Handles are equal if they name the same place of the same frame; zero-sized values may share one.
impl<T: ?Sized> PartialEq for FrameHandle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.stamp == other.stamp && ptr::eq(self.value.as_ptr(), other.value.as_ptr())
    }
}

impl<T: ?Sized> Eq for FrameHandle<T> {}

impl<T: ?Sized> core::hash::Hash for FrameHandle<T> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (self.stamp, self.value.cast::<()>()).hash(state);
    }
}

impl<T: ?Sized> fmt::Debug for FrameHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (frame, instance) = (self.stamp.frame(), self.stamp.instance());
        write!(f, "FrameHandle<{}>(frame {frame} of allocator {instance})", type_name::<T>())
    }
}

/// A handle whose frame is gone, or that belongs to another allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleHandle {
    handle_instance: u64,
    handle_frame: u64,
    instance: u64,
    oldest: u64,
    newest: u64,
}

impl StaleHandle {
    /// Why a handle of one frame cannot be read where the frames from `oldest` to `newest` can.
    #[cold]
    #[inline(never)]
    pub(crate) fn new(handle: Stamp, oldest: Stamp, newest: Stamp) -> Self {
        Self {
            handle_instance: handle.instance(),
            handle_frame: handle.frame(),
            instance: newest.instance(),
            oldest: oldest.frame(),
            newest: newest.frame(),
        }
    }

    /// Number of the frame the handle was published in.
    #[must_use]
    pub const fn handle_frame(&self) -> u64 {
        self.handle_frame
    }

    /// Whether the handle was published in another allocator.
    #[must_use]
    pub const fn is_foreign(&self) -> bool {
        self.handle_instance != self.instance
    }
}

impl fmt::Display for StaleHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handle_instance, handle_frame, instance, oldest, newest } = self;
        if self.is_foreign() {
            write!(f, "the handle belongs to allocator {handle_instance}, and was used with allocator {instance}")
        } else if oldest == newest {
            write!(f, "the handle is of frame {handle_frame}, and only frame {newest} can be read here")
        } else {
            write!(
                f,
                "the handle is of frame {handle_frame}, which is not among those kept here, from {oldest} to {newest}"
            )
        }
    }
}

impl core::error::Error for StaleHandle {}

/// The published values of one thread whose destructors are due, newest first. The entries lie in the frame's memory.
pub(crate) struct DropList {
    head: Cell<*mut Entry>,
}

struct Entry {
    next: *mut Entry,
    value: NonNull<u8>,
    len: usize,
    drop: unsafe fn(NonNull<u8>, usize),
}

impl DropList {
    pub(crate) const fn new() -> Self {
        Self { head: Cell::new(ptr::null_mut()) }
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.get().is_null()
    }

    /// The list as the address of its newest entry; this one is empty afterwards.
    pub(crate) fn take(&self) -> *mut u8 {
        self.head.replace(ptr::null_mut()).cast()
    }

    /// Publishes what `make` puts into the arena: its entry is reserved before, so that nothing can fail between the
    /// value's making and its registration.
    #[inline]
    #[track_caller]
    pub(crate) fn publish<E: Refusal, T: Send + 'static>(
        &self,
        arena: &RawArena,
        make: impl FnOnce() -> Result<NonNull<[T]>, E>,
    ) -> Result<NonNull<[T]>, E> {
        if !mem::needs_drop::<T>() {
            return make();
        }
        let entry = arena.reserve::<ALIGN, E, Entry>()?;
        // SAFETY: just reserved; used below only, once it is kept.
        let reserved = unsafe { Reserved::<ALIGN>::new(arena, entry.cast(), Layout::new::<Entry>()) };
        let values = make()?;
        reserved.keep();
        // SAFETY: `entry` is reserved for an entry.
        unsafe {
            entry.write(Entry {
                next: self.head.get(),
                value: values.cast(),
                len: values.len(),
                drop: drop_slice::<T>,
            });
        }
        self.head.set(entry.as_ptr());
        Ok(values)
    }
}

/// # Safety
///
/// `value` points to `len` initialised values of `T`, which nobody uses any more.
unsafe fn drop_slice<T>(value: NonNull<u8>, len: usize) {
    // SAFETY: this function's contract.
    unsafe { ptr::drop_in_place(ptr::slice_from_raw_parts_mut(value.cast::<T>().as_ptr(), len)) };
}

/// Runs the destructors of a list; how many, and the first panic among them.
///
/// # Safety
///
/// `list` came from [`DropList::take`], is passed once, and its frame's memory is still there. Nobody reads the values.
pub(crate) unsafe fn run_destructors(list: *mut u8, panicked: &mut Option<Panic>) -> usize {
    let mut at = list.cast::<Entry>();
    let mut count = 0;
    while !at.is_null() {
        // SAFETY: an entry of the list, in memory that is still there. It is left behind before its destructor runs.
        let entry = unsafe { at.read() };
        at = entry.next;
        count += entry.len;
        // SAFETY: the values were initialised when they were published, and are dropped once, here.
        let run = || unsafe { (entry.drop)(entry.value, entry.len) };
        if !attempt(panicked, run) {
            canary!("panic_stops_destructors", (), return count);
        }
    }
    count
}
