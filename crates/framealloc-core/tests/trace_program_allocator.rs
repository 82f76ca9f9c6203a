//! The tracing mode of a pool that the program's own allocator takes its memory from: it comes back into whatever allocates.

#![cfg(all(feature = "trace", not(any(asan, memcheck))))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use allocator_api2::alloc::Allocator;
use framealloc_core::{AllocConfig, SmartAlloc};

static ALLOC: OnceLock<SmartAlloc> = OnceLock::new();
/// A lock of the allocator's own, and whether it is held around the pool's calls.
static OWN: Mutex<()> = Mutex::new(());
static LOCKS: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread's memory comes from the pool, and whether the pool is asking for some just now.
    static ON: Cell<bool> = const { Cell::new(false) };
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Says in a header of 16 bytes whose memory it is.
struct OfThePool;

// SAFETY: each block is of the system or of the pool, as its header says, and goes back there with the layout that it was taken with.
unsafe impl GlobalAlloc for OfThePool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > 16 {
            // SAFETY: handed on.
            return unsafe { System.alloc(layout) };
        }
        let whole = Layout::from_size_align(layout.size() + 16, 16).unwrap();
        let pooled = ON.get() && !INSIDE.replace(true);
        let start = if pooled {
            let own = LOCKS.load(Ordering::Relaxed).then(|| OWN.lock().unwrap());
            let memory = ALLOC.get().unwrap().with_tag("heap", |a| a.pool().allocate(whole).unwrap());
            drop(own);
            INSIDE.set(false);
            memory.cast().as_ptr()
        } else {
            // SAFETY: not of size 0.
            unsafe { System.alloc(whole) }
        };
        // SAFETY: 16 bytes more than were asked for.
        unsafe {
            start.cast::<u64>().write(u64::from(pooled));
            start.add(16)
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if layout.align() > 16 {
            // SAFETY: handed on.
            return unsafe { System.dealloc(memory, layout) };
        }
        let whole = Layout::from_size_align(layout.size() + 16, 16).unwrap();
        // SAFETY: behind the header that `alloc` wrote.
        unsafe {
            let start = memory.sub(16);
            if start.cast::<u64>().read() == 0 {
                return System.dealloc(start, whole);
            }
            let outer = INSIDE.replace(true);
            ALLOC.get().unwrap().pool().deallocate(NonNull::new(start).unwrap(), whole);
            INSIDE.set(outer);
        }
    }
}

#[global_allocator]
static PROGRAM: OfThePool = OfThePool;

fn alloc() -> &'static SmartAlloc {
    let alloc = ALLOC.get_or_init(|| SmartAlloc::new(AllocConfig::default().with_tracing()));
    // This thread's cache, and its slot.
    drop(alloc.pool_box(1u64));
    alloc.frame().alloc(1u8);
    alloc
}

/// With this thread's memory from the pool.
fn pooled<R>(f: impl FnOnce() -> R) -> R {
    ON.set(true);
    let result = f();
    ON.set(false);
    result
}

#[test]
fn objects_and_the_list_s_own_memory_come_from_one_pool() {
    let alloc = alloc();
    let census = alloc.pool().census().unwrap();
    pooled(|| {
        let many: Vec<Box<u64>> = (0..5000).map(Box::new).collect();
        let kept = alloc.with_tag("kept", |a| a.pool_box(0x7777u64));
        let address = std::ptr::from_ref(&*kept).addr();
        let of = |address| census.live().into_iter().find(|of| of.address == address).map(|of| of.tags);
        assert_eq!(of(address).unwrap()[0].name(), "kept");
        drop((many, kept));
        assert!(of(address).is_none_or(|tags| tags.is_empty() || tags[0].name() != "kept"));
    });
}

/// One thread makes objects, whose list grows; the other holds the allocator's lock and comes into the pool.
#[test]
fn a_lock_of_the_program_s_allocator_is_never_waited_for_under_the_list_s() {
    let alloc = alloc();
    LOCKS.store(true, Ordering::Relaxed);
    let other = std::thread::spawn(|| pooled(|| (0..50_000u64).for_each(|n| drop(black_box(Box::new(n))))));
    pooled(|| {
        for n in 0..500u64 {
            let many: [_; 100] = std::array::from_fn(|_| alloc.pool_box(n));
            assert!(many.iter().all(|of| **of == n));
        }
    });
    other.join().unwrap();
    LOCKS.store(false, Ordering::Relaxed);
}

/// The thread's first scope makes its list grow, in which the allocator opens another one.
#[test]
fn the_program_s_allocator_may_open_tags() {
    let alloc = alloc();
    let other = std::thread::spawn(move || {
        alloc.frame().alloc(1u8);
        pooled(|| alloc.with_tag("outer", |a| a.with_tag("inner", |a| *a.pool_box(7u64) + *a.frame().alloc(1u64))))
    });
    assert_eq!(other.join().unwrap(), 8);
}

#[test]
fn backtraces_are_printed_as_ever() {
    alloc();
    let text = pooled(|| std::backtrace::Backtrace::force_capture().to_string());
    assert!(text.contains("backtraces_are_printed_as_ever"), "{text}");
    drop(text);
    let panic = pooled(|| std::panic::catch_unwind(|| panic!("on purpose")));
    assert!(panic.is_err());
}
