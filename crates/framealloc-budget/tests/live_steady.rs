//! A frame's end takes no more memory from the heap while somebody watches than while nobody does.
#![cfg(feature = "live")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use framealloc_budget::live::greeting;
use framealloc_budget::{Budget, Limit};
use framealloc_core::{AllocConfig, SmartAlloc};

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// Counts each thread's calls that take memory.
struct Counting;

// SAFETY: all is `System`'s; the count is a cell without a destructor, which takes no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

#[test]
fn a_copy_takes_no_memory_once_it_is_warm() {
    let budget = Budget::new().with_history(8).with_tag("physics", Limit::soft(100).with_hard(10_000));
    let view = budget.serve_live(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
    let _kept = alloc.pool_box([0u8; 100]);
    let mut frame = || {
        for tag in ["physics", "audio", "ui"] {
            alloc.with_tag(tag, |a| a.with_tag("inner", |a| a.frame().alloc_slice_fill(100, 0u64).len()));
        }
        alloc.end_frame();
    };
    let calls_of = |frame: &mut dyn FnMut()| {
        let before = CALLS.get();
        frame();
        CALLS.get() - before
    };
    (0..50).for_each(|_| frame());
    let without: Vec<usize> = (0..50).map(|_| calls_of(&mut frame)).collect();

    let mut viewer = BufReader::new(TcpStream::connect(view.address()).unwrap());
    viewer.get_mut().write_all(greeting().as_bytes()).unwrap();
    // Each frame is read before the next one, so that the copies' memory changes hands each time.
    let mut line = String::new();
    let mut read = || {
        line.clear();
        assert_ne!(viewer.read_line(&mut line).unwrap(), 0);
    };
    read();
    while view.viewers() == 0 {
        std::thread::yield_now();
    }
    frame();
    // The tags, and the frame.
    read();
    read();
    for _ in 0..10 {
        frame();
        read();
    }
    let with: Vec<usize> = (0..50)
        .map(|_| {
            let calls = calls_of(&mut frame);
            read();
            calls
        })
        .collect();
    assert_eq!(with, without);
    assert_eq!(view.stats().copied, 61);
}
