//! Where the program's allocator runs, it may use pools: when a batch of freed objects is packed, it frees, allocates, closes the
//! pool, or has no memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::ptr;

use framealloc_core::{Pool, PoolBox, SmartAlloc};

type Object = PoolBox<[u64; 8]>;

/// What the allocator does when this thread asks it for memory.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Serve,
    Refuse,
    UsePools,
    ClosePools,
}

thread_local! {
    static ANSWER: Cell<Answer> = const { Cell::new(Answer::Serve) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static STASH: RefCell<Vec<Object>> = const { RefCell::new(Vec::new()) };
    static POOL: RefCell<Option<Pool>> = const { RefCell::new(None) };
}

struct Program;

impl Program {
    /// What to do for this block: nothing where it may be a slab's, for a backend must not come back to the allocator it serves.
    fn answer(layout: Layout) -> Answer {
        const SMALLEST: usize = 2 << 10;
        const LARGEST: usize = 3 << 10;
        if (SMALLEST..=LARGEST).contains(&layout.size()) { ANSWER.get() } else { Answer::Serve }
    }

    /// Frees many objects and makes others, in a call of the allocator.
    fn use_pools(count: usize) {
        let answer = ANSWER.replace(Answer::Serve);
        CALLS.set(CALLS.get() + 1);
        for _ in 0..count {
            let object = STASH.with_borrow_mut(Vec::pop);
            drop(object);
        }
        if answer == Answer::ClosePools {
            let pool = POOL.take();
            drop(pool);
        }
        let made: Vec<Object> = POOL.with_borrow(|pool| {
            let numbers = 0..count as u64 / 2;
            pool.as_ref().map_or_else(Vec::new, |pool| numbers.map(|i| pool.alloc_box([i; 8])).collect())
        });
        assert!((0..).zip(&made).all(|(i, object)| **object == [i; 8]));
        drop(made);
        ANSWER.set(answer);
    }
}

// SAFETY: all memory is the system's; what else is done is ordinary use of pools.
unsafe impl GlobalAlloc for Program {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Self::answer(layout) {
            Answer::Serve => {}
            Answer::Refuse => {
                CALLS.set(CALLS.get() + 1);
                return ptr::null_mut();
            }
            Answer::UsePools | Answer::ClosePools => Self::use_pools(700),
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) };
        if matches!(Self::answer(layout), Answer::UsePools | Answer::ClosePools) {
            Self::use_pools(300);
        }
    }
}

#[global_allocator]
static PROGRAM: Program = Program;

/// Frees 20,000 objects while the allocator answers like that.
fn free_while(answer: Answer) {
    let alloc = SmartAlloc::default();
    let pool = alloc.pool().clone();
    let stash: Vec<Object> = (0..60_000).map(|i| pool.alloc_box([i; 8])).collect();
    STASH.set(stash);
    let mut first: Vec<Object> = (0..20_000).map(|i| pool.alloc_box([!i; 8])).collect();
    let second = first.split_off(9_000);
    POOL.set(Some(pool.clone()));
    let held = (answer != Answer::ClosePools).then_some((pool, alloc));

    CALLS.set(0);
    let free = |objects: Vec<Object>| {
        for object in objects {
            ANSWER.set(answer);
            drop(object);
            ANSWER.set(Answer::Serve);
        }
    };
    free(first);
    assert!((9_000..).zip(&second).all(|(i, object)| **object == [!i; 8]));
    free(second);
    assert!(CALLS.get() > 0, "the allocator was never called");

    let stash = STASH.take();
    assert!((0..).zip(&stash).all(|(i, object)| **object == [i; 8]));
    drop(stash);
    POOL.set(None);
    if let Some((pool, _alloc)) = held {
        pool.trim();
        let stats = pool.stats();
        assert_eq!((stats.slabs, stats.outstanding_bytes), (0, 0));
    }
}

#[test]
fn allocator_that_has_no_memory_is_not_needed_to_free() {
    free_while(Answer::Refuse);
}

#[test]
fn allocator_may_free_and_allocate_while_a_batch_is_packed() {
    free_while(Answer::UsePools);
}

#[test]
fn allocator_may_close_the_pool_while_a_batch_is_packed() {
    free_while(Answer::ClosePools);
}
