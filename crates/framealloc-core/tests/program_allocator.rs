//! Where the program's allocator runs, it may use pools and frames: when a batch of freed objects is packed, it frees, allocates,
//! closes the pool, or has no memory; when a list of scratch arenas, tags or instances grows, it adds to it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::Arc;

use framealloc_core::{Pool, PoolBox, Scratch, SmartAlloc};

type Object = PoolBox<[u64; 8]>;

/// What the allocator does when this thread asks it for memory.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Serve,
    Refuse,
    UsePools,
    ClosePools,
    UseFrames,
    /// As `UseFrames`, in calls that may be for a list: of a power of two of bytes.
    UseFramesForLists,
    RefuseCaches,
}

thread_local! {
    static FRAMES: RefCell<Option<Arc<SmartAlloc>>> = const { RefCell::new(None) };
    static ANSWER: Cell<Answer> = const { Cell::new(Answer::Serve) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static STASH: RefCell<Vec<Object>> = const { RefCell::new(Vec::new()) };
    static POOL: RefCell<Option<Pool>> = const { RefCell::new(None) };
}

/// A name that is like no other number's.
fn name(letters: &'static str, number: usize) -> &'static str {
    let start = number % 18;
    &letters[start..=start + number / 18]
}

struct Program;

impl Program {
    /// What to do for this block: nothing where it may be a slab's, for a backend must not come back to the allocator it serves.
    fn answer(layout: Layout) -> Answer {
        const SMALLEST: usize = 2 << 10;
        const LARGEST: usize = 3 << 10;
        let answer = ANSWER.get();
        let served = match answer {
            Answer::UseFrames => 0..SMALLEST,
            // Larger than slabs, which are of 64 KiB.
            Answer::RefuseCaches => 65 << 10..usize::MAX,
            _ => SMALLEST..LARGEST + 1,
        };
        match answer {
            Answer::UseFramesForLists if layout.size() >= 128 && layout.size().is_power_of_two() => Answer::UseFrames,
            Answer::UseFramesForLists => Answer::Serve,
            _ if served.contains(&layout.size()) => answer,
            _ => Answer::Serve,
        }
    }

    /// Leases two scratch arenas, counts under a tag, and comes to another instance, in a call of the allocator.
    fn use_frames() {
        let answer = ANSWER.replace(Answer::Serve);
        CALLS.set(CALLS.get() + 1);
        let frames = FRAMES.with_borrow(Clone::clone).unwrap();
        drop((frames.scratch(), frames.scratch()));
        frames.with_tag(name("0123456789abcdefghijklmnopqrstuvwxyz", CALLS.get()), |_| ());
        _ = SmartAlloc::default().frame();
        ANSWER.set(answer);
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
            Answer::Refuse | Answer::RefuseCaches => {
                CALLS.set(CALLS.get() + 1);
                return ptr::null_mut();
            }
            Answer::UsePools | Answer::ClosePools => Self::use_pools(700),
            Answer::UseFrames | Answer::UseFramesForLists => Self::use_frames(),
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) };
        match Self::answer(layout) {
            Answer::Serve | Answer::Refuse | Answer::RefuseCaches => {}
            Answer::UsePools | Answer::ClosePools => Self::use_pools(300),
            Answer::UseFrames | Answer::UseFramesForLists => Self::use_frames(),
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

#[test]
fn allocator_may_use_frames_while_their_lists_grow() {
    const MANY: usize = 40;
    let frames = Arc::new(SmartAlloc::default());
    FRAMES.set(Some(Arc::clone(&frames)));
    let names: Vec<&'static str> = (0..MANY).map(|i| name("ABCDEFGHIJKLMNOPQRSTUVWXYZ", i)).collect();
    let mut scratches: Vec<Scratch<'_>> = Vec::with_capacity(MANY);
    let mut values: Vec<*const usize> = Vec::with_capacity(MANY);
    let mut others: Vec<SmartAlloc> = (0..MANY).map(|_| SmartAlloc::default()).collect();
    CALLS.set(0);
    let reentered = |f: &mut dyn FnMut()| {
        ANSWER.set(Answer::UseFrames);
        f();
        ANSWER.set(Answer::Serve);
    };
    for (i, name) in names.iter().enumerate() {
        reentered(&mut || scratches.push(frames.scratch()));
        values.push(scratches[i].alloc(i));
        reentered(&mut || frames.with_tag(*name, |_| ()));
        reentered(&mut || _ = others[i].frame());
        others[i].frame().alloc(i);
    }
    assert!(CALLS.get() > 6, "lists grew {} times", CALLS.get());
    // SAFETY: in scratch arenas that are leased still.
    assert!(values.iter().enumerate().all(|(i, &value)| unsafe { *value } == i), "an arena was leased twice");
    drop(scratches);
    others.iter_mut().for_each(|other| assert_eq!(other.end_frame().threads, 1));
    FRAMES.set(None);
    let mut frames = Arc::into_inner(frames).unwrap();
    frames.end_frame();
    let scopes =
        |name: &str| frames.tags().iter().filter(|row| row.tag.name() == name).map(|row| row.scopes).sum::<usize>();
    assert!(names.iter().all(|name| scopes(name) == 1));
    assert!((1..=CALLS.get()).all(|call| scopes(name("0123456789abcdefghijklmnopqrstuvwxyz", call)) == 1));
}

/// The list that finds no room is that of the thread's instances, and the allocator comes to another instance then.
#[test]
fn allocator_may_use_other_instances_while_a_threads_list_of_them_grows() {
    const MANY: usize = 40;
    FRAMES.set(Some(Arc::new(SmartAlloc::default())));
    let mut others: Vec<SmartAlloc> = (0..MANY).map(|_| SmartAlloc::default()).collect();
    CALLS.set(0);
    for (i, other) in others.iter().enumerate() {
        ANSWER.set(Answer::UseFramesForLists);
        let frame = other.frame();
        ANSWER.set(Answer::Serve);
        frame.alloc(i);
    }
    assert!(CALLS.get() > 3, "the list grew {} times", CALLS.get());
    others.iter_mut().for_each(|other| assert_eq!(other.end_frame().threads, 1));
    FRAMES.set(None);
}

#[test]
fn allocator_that_has_no_memory_for_a_cache_is_not_needed() {
    let alloc = SmartAlloc::default();
    let pool = alloc.pool();
    ANSWER.set(Answer::RefuseCaches);
    CALLS.set(0);
    let objects: Vec<Object> = (0..500).map(|i| pool.try_alloc_box([i; 8]).unwrap()).collect();
    assert!((0..).zip(&objects).all(|(i, object)| **object == [i; 8]));
    assert!(CALLS.get() > 0, "a cache was never asked for");
    drop(objects);
    ANSWER.set(Answer::Serve);
    let stats = pool.stats();
    assert_eq!(stats.outstanding_bytes, 0);
    assert!(stats.depot_bytes >= 500 * 64);
    drop(pool.alloc_box([1u64; 8]));
    assert!(pool.stats().outstanding_bytes > 0, "there is a cache now");
}
