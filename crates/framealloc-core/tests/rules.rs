//! The thirteen rules that keep it sound, each by a test that fails when the rule is broken. What a rule forbids at compile time
//! is in `tests/compile`; here is its run-time side. More of each is in the test program named with it.

mod support;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use framealloc_core::*;
use support::{Ledger, Scripted, panic_text};

fn small() -> AllocConfig {
    AllocConfig::default().with_frame_chunk(1024, 4096)
}

struct Late(RefCell<Option<Box<dyn FnOnce()>>>);

impl Drop for Late {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

thread_local! {
    static LATE: Late = const { Late(RefCell::new(None)) };
}

/// Exit guards touch only the owner word: a thread that dies beside frames that end changes nothing of them.
/// (More: `threads_that_die.rs`.)
#[test]
fn rule_01_dying_threads_touch_no_arena_state() {
    let mut alloc = SmartAlloc::new(small());
    let (exit, go) = mpsc::sync_channel::<()>(0);
    let go = Arc::new(Mutex::new(go));
    for round in 0..100u64 {
        // Threads that used the allocator are on their way out while it goes on: their scope does not wait for that.
        thread::scope(|s| {
            for mark in 0..2 {
                let (alloc, go) = (&alloc, go.clone());
                s.spawn(move || {
                    alloc.frame().alloc_slice_fill(100, mark);
                    drop(alloc.pool_box(mark));
                    // Dies a little later, after frames have ended.
                    LATE.with(|late| {
                        *late.0.borrow_mut() = Some(Box::new(move || {
                            let _ = go.lock().unwrap().recv();
                        }));
                    });
                });
            }
        });
        for step in 0..4 {
            let block = alloc.frame().alloc_slice_fill(300, round);
            let handle = alloc.publish_slice_fill_with(50, |i| i as u64 ^ round);
            if step == 1 || step == 2 {
                let _ = exit.send(());
            }
            thread::yield_now();
            assert!(block.iter().all(|&word| word == round));
            assert!(alloc.get(handle).unwrap().iter().zip(0..).all(|(&word, i)| word == i ^ round));
            assert!(alloc.end_frame().bytes_allocated >= 2400);
        }
    }
    assert!(alloc.stats().committed < 2 << 20);
}

/// Reading the figures while all threads allocate gives those of the last boundary, whatever they do. (A data race is a
/// matter for the thread sanitizer.)
#[test]
fn rule_02_stats_are_of_the_last_boundary() {
    let mut alloc = SmartAlloc::new(small());
    alloc.frame().alloc([1u8; 1000]);
    let last = alloc.end_frame();
    let done = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                for _ in 0..3000 {
                    alloc.frame().alloc([1u64; 5]);
                    alloc.with_tag("busy", |a| a.frame().alloc(1u8));
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        while done.load(Ordering::Relaxed) < 2 {
            let stats = alloc.stats();
            assert_eq!((stats.last_frame, stats.frame), (last, 2));
            assert!(alloc.tags().is_empty());
        }
    });
    assert!(alloc.end_frame().bytes_allocated >= 2 * 3000 * 48);
    assert_eq!(alloc.tags().len(), 1);
}

/// The number advances before the first destructor; each leaves the list before it runs; the rest run after a panic; the
/// memory is returned last. (More: `destructors.rs`.)
#[test]
fn rule_03_frame_is_left_before_its_destructors_run() {
    struct Check(Ledger, [u64; 90], bool);
    impl Drop for Check {
        fn drop(&mut self) {
            // Its own memory is still whole.
            assert!(self.1.iter().all(|&word| word == 5));
            drop(self.0.enter(1));
            assert!(!self.2, "one of many");
        }
    }
    let ledger = Ledger::default();
    let mut alloc = SmartAlloc::new(small());
    for i in 0..30 {
        alloc.publish(Check(ledger.clone(), [5; 90], i == 20));
    }
    let text = panic_text(|| alloc.end_frame());
    assert_eq!(text.as_deref(), Some("one of many"));
    assert_eq!(ledger.dropped(), 30);
    assert_eq!(alloc.stats().frame, 2);
    // Sealed: the number has advanced although no destructor has run.
    let handle = alloc.publish(1);
    let sealed = alloc.seal_frame();
    assert_eq!((alloc.get(handle).is_err(), sealed.get(handle)), (true, Ok(&1)));
    // None of those destructors runs again.
    alloc.end_frame();
    drop((sealed, alloc));
    assert_eq!(ledger.dropped(), 30);
}

/// User code runs with no lock held: it may do everything again, and nesting uses no stack. (More: `governor.rs`,
/// `destructors.rs`, `boundary.rs`.)
#[test]
fn rule_04_user_code_runs_outside_of_locks() {
    struct Again(Pool, Option<SealedFrame>, Arc<AtomicUsize>);
    impl Drop for Again {
        fn drop(&mut self) {
            let boxes: Vec<_> = (0..300).map(|i| self.0.alloc_box([i; 4])).collect();
            drop(boxes);
            self.0.trim();
            drop(self.1.take());
            self.2.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (done, finished) = mpsc::channel();
    // On a small stack, in time: a lock that is held is a deadlock.
    let worker = thread::Builder::new().stack_size(128 << 10).spawn(move || {
        let count = Arc::new(AtomicUsize::new(0));
        let mut alloc = SmartAlloc::new(small());
        let mut inner = None;
        for _ in 0..3000 {
            alloc.publish(Again(alloc.pool().clone(), inner.take(), count.clone()));
            inner = Some(alloc.seal_frame());
        }
        let pool = alloc.pool().clone();
        // From a pool's box, from a frame, and from the allocator's own drop.
        alloc.publish(alloc.pool_box(Again(pool.clone(), inner, count.clone())));
        alloc.end_frame();
        alloc.publish(Again(pool, None, count.clone()));
        drop(alloc);
        done.send(count.load(Ordering::Relaxed)).unwrap();
    });
    let count = finished.recv_timeout(std::time::Duration::from_secs(60));
    assert_eq!(count, Ok(3002), "a lock is held, or the stack ran out");
    worker.unwrap().join().unwrap();
}

/// A slab with a live object is never freed, and none is left when the last object is gone.
#[test]
fn rule_05_slabs_with_live_objects_stay() {
    static LEAKED: AtomicPtr<[u64; 4]> = AtomicPtr::new(std::ptr::null_mut());
    let backend = support::Scripted::new();
    let mut alloc = SmartAlloc::new(small().with_backend(backend.boxed()));
    let pinned = PoolBox::into_pin(alloc.pool_box([7u64; 4]));
    let kept: &'static mut [u64; 4] = PoolBox::leak(alloc.pool_box([8u64; 4]));
    let place = std::ptr::from_mut(kept);
    // What can be reached from here is no leak to a checker, unless the store is optimised away.
    std::hint::black_box(&LEAKED).store(place, Ordering::Relaxed);
    for _ in 0..3 {
        drop((0..5000).map(|i| alloc.pool_box([i; 4])).collect::<Vec<_>>());
        alloc.trim();
        assert_eq!(alloc.stats().pools.slabs, 1);
    }
    let boxes: Vec<_> = (0..5000u64).map(|i| alloc.pool_box([i; 4])).collect();
    drop(alloc);
    assert!(*pinned == [7; 4] && boxes.iter().zip(0..).all(|(b, i)| **b == [i; 4]));
    thread::spawn(move || drop(boxes)).join().unwrap();
    assert_eq!(*pinned, [7; 4]);
    drop(pinned);
    // SAFETY: leaked, so that it is there for ever.
    assert_eq!(unsafe { *place }, [8; 4]);
    assert_eq!(backend.live().0, 1, "the slab of what was leaked, and nothing else");
}

/// A rewind never crosses a live tip: nested scopes keep what is outside. (`&mut Arena` and `&mut Scope` are invariant and
/// generative: `compile/`. More: `memory.rs`.)
#[test]
fn rule_06_rewind_never_crosses_a_live_tip() {
    let mut arena = Arena::with_chunk_sizes(1024, 2048);
    arena.alloc([0u8; 100]);
    let before = arena.stats();
    arena.scope(|outer| {
        let a = outer.alloc_slice_fill(50, 1u64);
        let inner_sum = outer.scope(|inner| {
            let b = inner.alloc_slice_fill(200, 2u64);
            inner.scope(|innermost| innermost.alloc_slice_fill(3000, 3u64).len());
            let c = inner.alloc_slice_fill(50, 4u64);
            assert!(a.iter().all(|&x| x == 1) && b.iter().all(|&x| x == 2));
            c.len()
        });
        let d = outer.alloc_slice_fill(300, 5u64);
        // A scope that is left by a panic is rewound as well.
        let panicked =
            catch_unwind(AssertUnwindSafe(|| outer.scope(|s| panic!("{}", s.alloc_slice_fill(400, 6u64).len()))));
        assert!(panicked.is_err());
        let e = outer.alloc_slice_fill(300, 7u64);
        assert!(a.iter().all(|&x| x == 1) && d.iter().all(|&x| x == 5) && e.iter().all(|&x| x == 7));
        assert_eq!(inner_sum, 50);
    });
    assert_eq!(arena.stats().bytes_allocated, before.bytes_allocated);
}

/// A forgotten box's memory is used again, which is why it cannot be pinned (`compile/`): it is a leak of the value only.
#[test]
fn rule_07_forgotten_boxes_leak_their_value_only() {
    let (mut alloc, ledger) = (SmartAlloc::new(small()), Ledger::default());
    alloc.frame().alloc(1);
    alloc.end_frame();
    let committed = alloc.stats().committed;
    for _ in 0..100 {
        std::mem::forget(alloc.frame().alloc_box_slice_with(9, |i| i));
        let value = FrameBox::leak(alloc.frame_box(5u64));
        *value += 1;
        alloc.end_frame();
    }
    assert_eq!(alloc.stats().committed, committed);
    // A pool's box can: its memory stays.
    let pinned = PoolBox::into_pin(alloc.pool_box(ledger.enter(1)));
    assert_eq!(pinned.value, 1);
    drop(pinned);
    ledger.assert_settled();
}

/// A governor that answers nonsense, a tag that closes after a chunk switch: nothing is handed out outside of a chunk. (More:
/// `governor.rs`.)
#[test]
fn rule_08_bound_lies_in_the_current_chunk() {
    struct Nonsense(AtomicUsize);
    impl Governor for Nonsense {
        fn open_tag(&self, _: &TagScope) -> Verdict {
            let n = self.0.fetch_add(1, Ordering::Relaxed);
            Verdict::AllowUpTo([usize::MAX, usize::MAX - 1, usize::MAX / 2, 1 << 40, 5000][n % 5])
        }
        fn extend_tag(&self, _: &TagScope, _: usize) -> Verdict {
            Verdict::AllowUpTo(usize::MAX)
        }
    }
    let backend = Scripted::new();
    let alloc = SmartAlloc::new(small().with_backend(backend.boxed()).with_governor(Nonsense(AtomicUsize::new(0))));
    let mut places = Vec::new();
    let mut take = |a: &SmartAlloc, words: usize| {
        let block = a.frame().alloc_slice_fill(words, 1u64);
        places.push((block.as_ptr().addr(), words * 8));
    };
    for i in 0..200 {
        take(&alloc, 10 + i % 50);
        alloc.with_tag("outer", |a| {
            take(a, 60);
            a.with_tag("inner", |a| (0..4).for_each(|_| take(a, 40 + i % 30)));
            take(a, 30);
        });
        take(&alloc, 5);
    }
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "blocks overlap");
    let outside = places.iter().find(|(start, bytes)| !backend.has(*start, *bytes));
    assert_eq!(outside, None, "a block outside of the backend's memory");
}

/// Caches are keyed by a number that is never used again, and slots stay where they are when the allocator moves.
#[test]
fn rule_09_caches_are_keyed_by_instance() {
    let mut place = SmartAlloc::new(small());
    for round in 0..50u64 {
        place.end_frame();
        let handle = place.publish_slice_copy(&[round; 60]);
        // Moved, with the slot in use.
        let boxed = Box::new(place);
        assert_eq!(boxed.get(handle), Ok(&[round; 60][..]));
        assert_eq!(boxed.frame().stats().bytes_allocated, 480);
        let kept = boxed.lease();
        // Another instance at the same address, used by the same thread.
        place = *boxed;
        let old = std::mem::replace(&mut place, SmartAlloc::new(small()));
        assert_eq!(place.frame().stats().bytes_allocated, 0);
        place.frame().alloc_slice_fill(100, !round);
        assert_eq!(kept.get(handle), Ok(&[round; 60][..]));
        assert!(place.get(handle).unwrap_err().is_foreign());
        drop(old);
        assert_eq!(kept.get(handle), Ok(&[round; 60][..]));
    }
}

/// Published values belong to this instance's current frame, wherever they were built. (`T: Send + Sync + 'static` and no
/// constructor for handles: `compile/`.)
#[test]
fn rule_10_published_memory_is_of_this_frame() {
    let (mut alloc, mut other) = (SmartAlloc::new(small()), SmartAlloc::new(small()));
    let ledger = Ledger::default();
    let handles = {
        let arena = Arena::new();
        let scratch = alloc.scratch();
        let mut from_scratch = scratch.vec();
        let mut from_other = other.frame_vec();
        let mut from_arena = arena.vec();
        let mut mine = alloc.frame_vec();
        for i in 0..40 {
            for vec in [&mut from_scratch, &mut from_other, &mut from_arena, &mut mine] {
                vec.push(ledger.enter(i));
            }
        }
        [from_scratch, from_other, from_arena, mine].map(|vec| alloc.publish_vec(vec))
    };
    // What they were built in is gone, and written over.
    alloc.scratch().alloc_slice_fill(3000, 0xffu8);
    other.end_frame();
    other.frame().alloc_slice_fill(3000, 0xffu8);
    for handle in handles {
        let values = alloc.get(handle).unwrap();
        assert!(values.iter().zip(0..).all(|(entered, i)| entered.value == i));
    }
    assert_eq!(ledger.dropped(), 0);
    assert_eq!(alloc.end_frame().destructors, 160);
    ledger.assert_settled();
}

/// Boxes travel between threads and are dropped anywhere within the frame; a vector is frozen into one.
#[test]
fn rule_11_boxes_travel_and_collections_freeze() {
    let (mut alloc, ledger) = (SmartAlloc::new(small()), Ledger::default());
    for _ in 0..10 {
        let (boxes, frozen) = thread::scope(|s| {
            let worker = s.spawn(|| {
                let mut vec = alloc.frame_vec();
                vec.extend((0..70).map(|i| ledger.enter(i)));
                (alloc.frame_box(ledger.enter(9)), vec.into_boxed_slice())
            });
            worker.join().unwrap()
        });
        assert!(boxes.value == 9 && frozen.iter().zip(0..).all(|(entered, i)| entered.value == i));
        thread::scope(|s| s.spawn(move || drop((boxes, frozen))).join().unwrap());
        alloc.end_frame();
    }
    ledger.assert_settled();
}

/// The owner of a block is recorded with it: every block goes back to the backend it came from, with its layout.
#[test]
fn rule_12_blocks_go_home() {
    let backends = [support::Scripted::new(), support::Scripted::new()];
    let config = small().with_backend(backends[0].boxed()).with_backend(backends[1].boxed());
    let mut alloc = SmartAlloc::new(config.with_frames_in_flight(2));
    let mut kept = Vec::new();
    for round in 0..40 {
        // The first gives way every other round, the second every third.
        backends[0].always(if round % 2 == 0 { support::Answer::Memory } else { support::Answer::Fallback });
        backends[1].always(if round % 3 == 0 { support::Answer::Fallback } else { support::Answer::Memory });
        alloc.frame().alloc_slice_fill(300 * round, 1u8);
        alloc.frame().alloc_slice_fill(9000, 1u8);
        kept.push((alloc.pool_box([1u8; 3000]), alloc.heap_box(round)));
        alloc.end_frame();
    }
    assert!(backends.iter().all(|backend| backend.live().0 > 3));
    drop(alloc);
    drop(kept);
    // The backend itself checks each layout.
    assert!(backends.iter().all(|backend| backend.live() == (0, 0)));
}

/// A slot never serves two threads at once, not even in late thread-local destructors. (More: `threads_that_die.rs`.)
#[test]
fn rule_13_late_destructors_keep_their_slot() {
    let alloc = SmartAlloc::new(small());
    let (late, is_late) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let lease = alloc.lease();
    let dying = thread::spawn(move || {
        LATE.with(|_| ());
        lease.frame().alloc(1u64);
        let last = move || {
            // The allocator's own guard of this thread has run, or will run: it makes no difference.
            let mine = lease.frame().alloc_slice_fill(40, 7u64);
            let more = lease.publish_slice_copy(&[8u64; 40]);
            late.send(()).unwrap();
            may_go.recv().unwrap();
            let again = lease.frame().alloc_slice_fill(40, 9u64);
            let sound = mine.iter().all(|&x| x == 7) && again.iter().all(|&x| x == 9);
            assert!(sound && lease.get(more) == Ok(&[8; 40][..]), "memory is shared with another thread");
        };
        LATE.with(|guard| *guard.0.borrow_mut() = Some(Box::new(last)));
    });
    is_late.recv().unwrap();
    for mark in 0..4u64 {
        thread::scope(|s| s.spawn(|| alloc.frame().alloc_slice_fill(100, mark).len()).join().unwrap());
    }
    go.send(()).unwrap();
    dying.join().unwrap();
    for mark in 0..4u64 {
        thread::scope(|s| s.spawn(|| alloc.frame().alloc_slice_fill(100, mark).len()).join().unwrap());
    }
    // No slot was handed on within the frame: nine threads, nine slots at least.
    assert!(alloc.stats().threads >= 9, "{}", alloc.stats().threads);
}
