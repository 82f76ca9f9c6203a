//! The warm frame is free: no heap call, no backend call, no page fault.
#![cfg(target_os = "linux")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use framealloc_core::*;
use support::warm::frame_of_3_mb;

/// Counts this thread's calls of the heap.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: forwards to `System`; the counter is constant and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// Counts calls of the backend.
struct Backend(SystemBackend, &'static AtomicUsize);

// SAFETY: forwards to `SystemBackend`.
unsafe impl AllocatorBackend for Backend {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.allocate(layout)
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        self.1.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is handed on.
        unsafe { self.0.deallocate(ptr, layout) }
    }
}

/// Minor and major page faults of this thread.
fn faults() -> i64 {
    // SAFETY: all zeros is a valid `rusage`, which the call fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage), 0);
        usage
    };
    usage.ru_minflt + usage.ru_majflt
}

#[track_caller]
fn stays_free(calls: &'static AtomicUsize, frames_in_flight: usize, by_hand: bool) {
    let config = AllocConfig::default().with_backend(Box::new(Backend(SystemBackend::new(), calls)));
    let mut alloc = SmartAlloc::new(config.with_frames_in_flight(frames_in_flight));
    let mut kept = None;
    let mut bytes = 0;
    let mut one = |seed| {
        alloc.begin_frame();
        let sum = frame_of_3_mb(&alloc, seed);
        if by_hand {
            // The sealed frame of before is dropped while this one is kept.
            kept = Some(alloc.seal_frame());
            bytes = alloc.stats().last_frame.bytes_allocated;
        } else {
            bytes = alloc.end_frame().bytes_allocated;
        }
        sum
    };
    // More than the trim window: what only the first frames needed is gone.
    for seed in 0..100 {
        std::hint::black_box(one(seed));
    }
    let before = (CALLS.get(), calls.load(Ordering::Relaxed), faults());
    for seed in 0..1000 {
        std::hint::black_box(one(seed));
    }
    let after = (CALLS.get(), calls.load(Ordering::Relaxed), faults());
    assert!((3_000_000..5_000_000).contains(&bytes), "{bytes}");
    // The measuring itself sees what happens.
    drop(Box::new(1));
    assert!(CALLS.get() > after.0);
    let used = (after.0 - before.0, after.1 - before.1, after.2 - before.2);
    println!("heap calls, backend calls, page faults of 1000 warm frames of {bytes} bytes: {used:?}");
    let allowed = if cfg!(asan) { used.2 } else { 0 };
    assert_eq!(used, (0, 0, allowed));
}

#[test]
fn warm_frame_is_free() {
    static BACKEND: AtomicUsize = AtomicUsize::new(0);
    stays_free(&BACKEND, 1, false);
}

#[test]
fn warm_frame_with_two_in_flight_is_free() {
    static BACKEND: AtomicUsize = AtomicUsize::new(0);
    stays_free(&BACKEND, 2, false);
}

#[test]
fn warm_frame_sealed_by_hand_is_free() {
    static BACKEND: AtomicUsize = AtomicUsize::new(0);
    stays_free(&BACKEND, 1, true);
}
