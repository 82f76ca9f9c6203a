//! Threads that die: what late thread-local destructors do, who gets their slots, and what they leave behind.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, LazyLock, RwLock};
use std::thread;

use framealloc_core::*;

/// Counts the bytes that each thread has taken of the heap and not given back.
struct PerThread;

thread_local! {
    static HEAP: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: forwards to `System`; the counter is constant and has no destructor.
unsafe impl GlobalAlloc for PerThread {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HEAP.set(HEAP.get() + layout.size() as isize);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        HEAP.set(HEAP.get() - layout.size() as isize);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static HEAP_COUNTER: PerThread = PerThread;

/// Runs what was left in it when its thread dies.
struct Last(RefCell<Vec<Box<dyn FnOnce()>>>);

impl Drop for Last {
    fn drop(&mut self) {
        for f in self.0.take() {
            f();
        }
    }
}

thread_local! {
    static BEFORE: Last = const { Last(RefCell::new(Vec::new())) };
    static AFTER: Last = const { Last(RefCell::new(Vec::new())) };
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    /// The user's thread-local is registered before the allocator's own.
    UserFirst,
    AllocatorFirst,
}

fn config() -> AllocConfig {
    AllocConfig::default().with_frame_chunk(1024, 8192)
}

/// A block of every kind, filled with a mark that only this thread uses; checked when asked.
struct Blocks<'a> {
    mark: u64,
    slices: Vec<&'a mut [u64]>,
    published: Vec<FrameHandle<[u64]>>,
    pooled: Vec<PoolBox<[u64; 5]>>,
}

impl<'a> Blocks<'a> {
    fn new(mark: u64) -> Self {
        Self { mark, slices: Vec::new(), published: Vec::new(), pooled: Vec::new() }
    }

    fn take(&mut self, alloc: &'a SmartAlloc, frame: Option<Frame<'a>>) {
        let mark = self.mark;
        self.slices.push(frame.unwrap_or_else(|| alloc.frame()).alloc_slice_fill(17, mark));
        self.published.push(alloc.publish_slice_fill_with(9, |_| mark));
        self.pooled.push(alloc.pool_box([mark; 5]));
        if self.pooled.len() > 20 {
            self.pooled.drain(..7);
        }
        let scratch = alloc.scratch();
        let temporary = scratch.alloc_slice_fill(33, mark);
        thread::yield_now();
        assert!(temporary.iter().all(|&word| word == mark), "scratch memory is shared");
    }

    fn check(&self, alloc: &SmartAlloc) {
        let is_mine = |words: &[u64]| words.iter().all(|&word| word == self.mark);
        assert!(self.slices.iter().all(|slice| is_mine(slice)), "frame memory is shared");
        assert!(self.published.iter().all(|&handle| is_mine(alloc.get(handle).unwrap())), "published memory is shared");
        assert!(self.pooled.iter().all(|boxed| is_mine(&boxed[..])), "pool memory is shared");
    }
}

fn crowd(alloc: &SmartAlloc, marks: std::ops::Range<u64>) {
    thread::scope(|s| {
        for mark in marks {
            s.spawn(move || {
                let mut blocks = Blocks::new(mark);
                for _ in 0..60 {
                    blocks.take(alloc, None);
                    blocks.check(alloc);
                }
            });
        }
    });
}

/// Leaves `last` to be run by a destructor of this thread, registered in that order with respect to the allocator's use.
fn leave(order: Order, use_allocator: impl FnOnce() -> Box<dyn FnOnce()>) {
    match order {
        Order::UserFirst => {
            BEFORE.with(|_| ());
            let last = use_allocator();
            BEFORE.with(|guard| guard.0.borrow_mut().push(last));
        }
        Order::AllocatorFirst => {
            let last = use_allocator();
            AFTER.with(|guard| guard.0.borrow_mut().push(last));
        }
    }
}

/// A thread whose late destructor works on while others take slots.
fn late_worker(alloc: &'static SmartAlloc, order: Order, with_frame: bool, mark: u64) {
    let (late, is_late): (Sender<()>, Receiver<()>) = mpsc::channel();
    let (done, is_done) = mpsc::channel();
    let (finished, is_finished) = mpsc::channel();
    let dying = thread::spawn(move || {
        leave(order, move || {
            let frame: Option<Frame<'static>> = with_frame.then(|| alloc.frame());
            let mut blocks = Blocks::new(mark);
            for _ in 0..10 {
                blocks.take(alloc, frame);
            }
            Box::new(move || {
                blocks.check(alloc);
                late.send(()).unwrap();
                // The message comes once, perhaps before the rounds are over: it is remembered.
                let (mut rounds, mut is_over) = (0, false);
                while !is_over || rounds < 50 {
                    is_over |= is_done.try_recv().is_ok();
                    if rounds < 200 {
                        blocks.take(alloc, frame);
                    }
                    rounds += 1;
                    blocks.check(alloc);
                }
                blocks.check(alloc);
                finished.send(()).unwrap();
            })
        });
    });
    is_late.recv().unwrap();
    crowd(alloc, mark + 1..mark + 4);
    done.send(()).unwrap();
    dying.join().unwrap();
    // A panic in a thread-local destructor ends the process; this says that the destructor ran to its end.
    is_finished.recv().unwrap();
    crowd(alloc, mark + 4..mark + 6);
}

#[test]
fn late_destructors_share_no_memory_with_new_threads() {
    static ALLOC: LazyLock<SmartAlloc> = LazyLock::new(|| SmartAlloc::new(config()));
    for round in 0..3 {
        for (at, (order, with_frame)) in [Order::UserFirst, Order::AllocatorFirst]
            .into_iter()
            .flat_map(|order| [(order, true), (order, false)])
            .enumerate()
        {
            late_worker(&ALLOC, order, with_frame, (round * 4 + at as u64) * 100 + 1);
        }
    }
}

#[test]
fn allocator_first_used_in_a_late_destructor() {
    static ALLOC: LazyLock<SmartAlloc> = LazyLock::new(|| SmartAlloc::new(config()));
    for mark in 1..20 {
        let (finished, is_finished) = mpsc::channel();
        let dying = thread::spawn(move || {
            leave(Order::UserFirst, move || {
                Box::new(move || {
                    let mut blocks = Blocks::new(mark);
                    for _ in 0..30 {
                        blocks.take(&ALLOC, None);
                    }
                    blocks.check(&ALLOC);
                    finished.send(()).unwrap();
                })
            });
        });
        dying.join().unwrap();
        is_finished.recv().unwrap();
    }
    crowd(&ALLOC, 100..103);
}

#[test]
fn late_thread_does_not_keep_a_slot_that_was_handed_on() {
    let alloc = Arc::new(RwLock::new(SmartAlloc::new(config())));
    let (late, is_late) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let theirs = Arc::clone(&alloc);
    let dying = thread::spawn(move || {
        leave(Order::UserFirst, move || {
            theirs.read().unwrap().frame().alloc(1u8);
            Box::new(move || {
                theirs.read().unwrap().frame().alloc(2u8);
                late.send(()).unwrap();
                may_go_on.recv().unwrap();
                theirs.read().unwrap().frame().alloc(4u8);
            })
        });
    });
    is_late.recv().unwrap();
    alloc.write().unwrap().end_frame();
    let shared = alloc.read().unwrap();
    shared.frame().alloc(3u8);
    assert_eq!(shared.stats().threads, 1, "this thread has the slot now");
    go_on.send(()).unwrap();
    dying.join().unwrap();
    assert_eq!(shared.stats().threads, 2, "the late thread has another one");
}

#[test]
fn boundary_hands_slots_of_late_threads_on() {
    for order in [Order::UserFirst, Order::AllocatorFirst] {
        let mut alloc = SmartAlloc::new(config());
        for round in 0..40u64 {
            for mark in [round * 2 + 1, round * 2 + 2] {
                let lease = Arc::new(alloc.lease());
                let dying = thread::spawn(move || {
                    leave(order, move || {
                        lease.frame().alloc([mark; 50]);
                        Box::new(move || {
                            let early = lease.frame().alloc_slice_fill(100, mark);
                            let late = lease.publish_slice_fill_with(100, |_| mark);
                            crowd(&lease, 1000..1002);
                            assert!(early.iter().all(|&word| word == mark));
                            assert!(lease.get(late).unwrap().iter().all(|&word| word == mark));
                        })
                    });
                });
                dying.join().unwrap();
            }
            // The threads of `crowd` may still be on their way out when its scope ends.
            while alloc.try_end_frame().is_err() {
                thread::yield_now();
            }
            alloc.end_frame();
        }
        assert!(alloc.stats().threads <= 20, "{} slots", alloc.stats().threads);
    }
}

#[test]
fn pool_boxes_are_dropped_by_late_destructors() {
    for order in [Order::UserFirst, Order::AllocatorFirst] {
        let mut alloc = SmartAlloc::new(config());
        let counted = Arc::new(());
        for _ in 0..10 {
            let lease = alloc.lease();
            let counted = counted.clone();
            let dying = thread::spawn(move || {
                leave(order, move || {
                    let boxes: Vec<_> = (0..500).map(|_| lease.pool_box((counted.clone(), [1u8; 100]))).collect();
                    let large = lease.heap_box([1u8; 9000]);
                    drop(lease);
                    Box::new(move || {
                        drop(boxes);
                        drop(large);
                    })
                });
            });
            dying.join().unwrap();
        }
        assert_eq!(Arc::strong_count(&counted), 1);
        alloc.end_frame();
        alloc.trim();
        let pools = alloc.stats().pools;
        assert_eq!((pools.slabs, pools.large_blocks, alloc.stats().committed), (0, 0, 0), "{order:?}");
    }
}

#[test]
fn pool_boxes_outlive_the_allocator_in_late_destructors() {
    for order in [Order::UserFirst, Order::AllocatorFirst] {
        let counted = Arc::new(());
        let alloc = SmartAlloc::new(config());
        let boxes: Vec<_> = (0..3000).map(|_| alloc.pool_box(counted.clone())).collect();
        let sealed = {
            let mut alloc = alloc;
            alloc.publish(counted.clone());
            alloc.seal_frame()
        };
        let dying = thread::spawn(move || {
            leave(order, move || {
                drop(SmartAlloc::default().pool_box(1));
                Box::new(move || drop((boxes, sealed)))
            });
        });
        dying.join().unwrap();
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}

#[test]
fn objects_cached_by_dead_threads_come_back() {
    let mut alloc = SmartAlloc::new(config());
    for _ in 0..100 {
        thread::scope(|s| {
            let alloc = &alloc;
            s.spawn(move || drop((0..100).map(|i| alloc.pool_box([i; 8])).collect::<Vec<_>>())).join().unwrap();
        });
    }
    assert!(alloc.stats().pools.slabs <= 2, "{:?}", alloc.stats().pools);
    assert_eq!(alloc.stats().pools.outstanding_bytes, 0);
    alloc.trim();
    assert_eq!(alloc.stats().committed, 0);
}

#[test]
fn a_threads_list_does_not_grow_with_dead_instances() {
    let work = || {
        let use_one = || {
            let alloc = SmartAlloc::new(config());
            alloc.frame().alloc([1u8; 100]);
            drop(alloc.pool_box(1));
            drop(alloc.scratch());
        };
        (0..200).for_each(|_| use_one());
        let before = HEAP.get();
        (0..5000).for_each(|_| use_one());
        let grown = HEAP.get() - before;
        assert!(grown < 200_000, "{grown} bytes of heap stay for 5000 dead instances");
        // Also between instances that live on.
        let kept: Vec<_> = (0..40).map(|_| SmartAlloc::new(config())).collect();
        kept.iter().for_each(|alloc| *alloc.frame().alloc(1) += 1);
        let before = HEAP.get();
        for _ in 0..2000 {
            use_one();
            kept.iter().for_each(|alloc| assert!(alloc.frame().stats().bytes_allocated <= 8));
        }
        let grown = HEAP.get() - before;
        assert!(grown < 2_000_000, "{grown} bytes of heap stay for 2000 dead instances");
        assert!(kept.iter().all(|alloc| alloc.frame().stats().bytes_allocated == 8));
        drop(kept);
    };
    thread::spawn(work).join().unwrap();
}

#[test]
fn instances_made_and_dropped_by_different_threads() {
    // The cache of the last slot is keyed by a number that is never used again: an allocator in the place of a dead one
    // does not get its slot.
    let mut place = Box::new(SmartAlloc::new(config()));
    for round in 0..200u64 {
        place.frame().alloc_slice_fill(200, round);
        *place = SmartAlloc::new(config());
        let block = place.frame().alloc_slice_fill(200, !round);
        assert!(block.iter().all(|&word| word == !round));
        assert_eq!(place.frame().stats().bytes_allocated, 1600);
        place = thread::spawn(move || {
            place.frame().alloc_slice_fill(10, 1u64);
            place
        })
        .join()
        .unwrap();
        assert_eq!(place.stats().threads, 2);
    }
}
