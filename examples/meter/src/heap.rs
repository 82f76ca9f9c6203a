//! Counts heap calls on the thread that makes them.
//!
//! Promises an exact count for whatever runs inside [`counted`], at the price of two thread-local additions a call.
//! Says nothing about memory that does not come from the global allocator (chunks mapped by the kernel, for instance).

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::{AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// Calls to the global allocator and the bytes they asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapUse {
    /// `alloc`, `realloc` and `dealloc` together.
    pub calls: u64,
    /// Bytes requested by `alloc` and `realloc`.
    pub bytes: u64,
}

impl AddAssign for HeapUse {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.bytes += other.bytes;
    }
}

impl Sub for HeapUse {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { calls: self.calls - earlier.calls, bytes: self.bytes - earlier.bytes }
    }
}

thread_local! {
    // Const and without a destructor: reading it allocates nothing, also while a thread starts or ends.
    static USED: Cell<HeapUse> = const { Cell::new(HeapUse { calls: 0, bytes: 0 }) };
}

fn note(bytes: usize) {
    USED.with(|used| {
        let HeapUse { calls, bytes: total } = used.get();
        used.set(HeapUse { calls: calls + 1, bytes: total + bytes as u64 });
    });
}

/// Runs `work` and tells what it asked of the heap on this thread.
pub fn counted<R>(work: impl FnOnce() -> R) -> (R, HeapUse) {
    let before = USED.get();
    let result = work();
    (result, USED.get() - before)
}

/// Bytes of the heap that are in use, as the system's allocator counts them itself; nothing where it does not tell.
#[must_use]
pub fn heap_bytes() -> Option<u64> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it takes the allocator's own locks, and returns a plain struct.
        let info = unsafe { libc::mallinfo2() };
        // The second are blocks that have mappings of their own.
        Some((info.uordblks + info.hblkhd) as u64)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    None
}

/// The system allocator, counted.
pub struct Counting;

// SAFETY: every method hands its arguments to `System` unchanged and returns what `System` returned; the counting
// touches only a thread-local cell and neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(new_size);
        // SAFETY: `block` came from this allocator, hence from `System`, with `layout`.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(0);
        // SAFETY: `block` came from this allocator, hence from `System`, with `layout`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counting, counted};

    #[global_allocator]
    static HEAP: Counting = Counting;

    #[test]
    fn a_box_is_two_calls() {
        let ((), used) = counted(|| drop(std::hint::black_box(Box::new(7u64))));
        assert_eq!((used.calls, used.bytes), (2, 8));
    }

    #[test]
    fn calls_of_another_thread_are_not_ours() {
        std::thread::scope(|scope| {
            let (go, wait) = std::sync::mpsc::sync_channel::<()>(1);
            let other = scope.spawn(move || {
                wait.recv().unwrap();
                drop(std::hint::black_box(Box::new(7u64)));
            });
            let ((), used) = counted(|| {
                go.send(()).unwrap();
                while !other.is_finished() {
                    std::thread::yield_now();
                }
            });
            assert_eq!(used.bytes, 0);
        });
    }
}
