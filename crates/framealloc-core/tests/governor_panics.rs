//! Governors that panic: in each call, with payloads whose destructors panic, while memory goes back and while threads die.

#[path = "support/clerk.rs"]
mod clerk;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use clerk::{CALLS, Call, Clerk, governed};
use framealloc_core::*;
use support::{Ledger, panic_text};

/// A governor that panics in one kind of call, when armed.
fn panicking(call: Call) -> (Arc<Clerk>, Arc<AtomicUsize>) {
    let (clerk, armed) = (Clerk::new(), Arc::new(AtomicUsize::new(0)));
    let left = armed.clone();
    clerk.hooked(move |this| {
        if this == call && left.load(Ordering::Relaxed) > 0 {
            left.fetch_sub(1, Ordering::Relaxed);
            panic!("the governor panics");
        }
    });
    (clerk, armed)
}

#[test]
fn governor_that_panics_breaks_nothing() {
    for call in CALLS {
        for in_flight in 1..=2 {
            let (clerk, armed) = panicking(call);
            let ledger = Ledger::default();
            clerk.grant("tag", Verdict::AllowUpTo(10_000));
            let config = AllocConfig::default().with_frame_chunk(1024, 4096).with_governor(clerk.clone());
            let mut alloc =
                SmartAlloc::new(config.with_frames_in_flight(in_flight).with_trim(TrimPolicy::AfterFrames(0)));
            let mut panics = 0;
            for round in 0..60 {
                armed.store(round % 2, Ordering::Relaxed);
                let mut attempt = |alloc: &mut SmartAlloc, f: &mut dyn FnMut(&mut SmartAlloc)| {
                    panics += usize::from(catch_unwind(AssertUnwindSafe(|| f(alloc))).is_err());
                };
                attempt(&mut alloc, &mut |alloc| {
                    alloc.with_tag("tag", |a| {
                        let _ = a.frame().try_alloc_slice_fill(2000 + round * 100, 1u8);
                        let _ = a.frame().try_alloc_slice_fill(9000, 1u8);
                    });
                });
                attempt(&mut alloc, &mut |alloc| {
                    alloc.publish(ledger.enter(1));
                    alloc.publish_slice_fill_with(30 * (60 - round), |i| ledger.enter(i as u64));
                });
                attempt(&mut alloc, &mut |alloc| {
                    let boxes: Vec<_> = (0..70).map(|i| alloc.pool_box((ledger.enter(i), [0u8; 900]))).collect();
                    drop(boxes);
                    drop(alloc.heap_box(ledger.enter(3)));
                    alloc.pool().trim();
                });
                attempt(&mut alloc, &mut |alloc| {
                    let mut vec = alloc.frame_vec();
                    (0..200).for_each(|i| vec.push(ledger.enter(i)));
                });
                attempt(&mut alloc, &mut |alloc| {
                    alloc.end_frame();
                });
                attempt(&mut alloc, &mut |alloc| {
                    alloc.publish(ledger.enter(1));
                    drop(alloc.seal_frame());
                });
                attempt(&mut alloc, &mut |alloc| {
                    alloc.trim();
                });
            }
            assert!(panics >= 20, "{call:?}: {panics}");
            armed.store(0, Ordering::Relaxed);
            for _ in 0..3 {
                alloc.end_frame();
            }
            ledger.assert_settled();
            assert_eq!(clerk.held() as usize, alloc.stats().committed, "{call:?}, {in_flight} in flight");
            alloc.trim();
            assert_eq!((clerk.held(), alloc.stats().committed), (0, 0), "{call:?}, {in_flight} in flight");
            drop(alloc);
            assert_eq!(clerk.held(), 0);
        }
    }
}

#[test]
fn frame_sealed_under_a_panicking_governor_is_reclaimed() {
    let (clerk, armed) = panicking(Call::EndFrame);
    let ledger = Ledger::default();
    let mut alloc = governed(&clerk);
    alloc.publish(ledger.enter(1));
    armed.store(1, Ordering::Relaxed);
    assert!(panic_text(|| alloc.seal_frame()).is_some());
    ledger.assert_settled();
    alloc.end_frame();
    alloc.trim();
    assert_eq!(alloc.stats().committed, 0);
}

#[test]
fn release_that_panics_loses_no_other_chunk() {
    let (clerk, armed) = panicking(Call::Release);
    let mut alloc = governed(&clerk);
    for _ in 0..20 {
        alloc.frame().alloc([1u8; 3000]);
    }
    alloc.end_frame();
    armed.store(1, Ordering::Relaxed);
    assert!(panic_text(|| alloc.trim()).is_some());
    // What the threads kept is gone; the shelf's and the pool's turn comes with the next call.
    alloc.trim();
    assert_eq!((alloc.stats().committed, clerk.held()), (0, 0));
    // Neither does a sealed frame that outlives its allocator, nor do those dropped after it on the thread.
    let ledger = Ledger::default();
    for _ in 0..20 {
        alloc.publish((ledger.enter(1), [0u8; 3000]));
    }
    let inner = alloc.seal_frame();
    drop(alloc);
    let mut outer = SmartAlloc::default();
    outer.publish(inner);
    let sealed = outer.seal_frame();
    armed.store(1, Ordering::Relaxed);
    assert!(panic_text(|| drop(sealed)).is_some());
    ledger.assert_settled();
    assert_eq!(clerk.held(), 0);
    outer.publish(ledger.enter(2));
    drop(outer.seal_frame());
    ledger.assert_settled();
}

#[test]
fn release_that_panics_when_the_allocator_is_dropped_loses_nothing() {
    let (clerk, armed) = panicking(Call::Release);
    let mut alloc = governed(&clerk);
    let fill = |alloc: &SmartAlloc| (0..20).for_each(|_| _ = alloc.frame().alloc([1u8; 3000]));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| fill(&alloc)).join().unwrap();
        }
    });
    fill(&alloc);
    alloc.end_frame();
    armed.store(2, Ordering::Relaxed);
    assert!(panic_text(|| drop(alloc)).is_some());
    assert_eq!((armed.load(Ordering::Relaxed), clerk.held()), (0, 0));
}

#[test]
fn release_that_panics_does_not_lose_the_object_that_is_freed() {
    let (clerk, armed) = panicking(Call::Release);
    let alloc = governed(&clerk);
    let pool = alloc.pool().clone();
    let (send, closed) = std::sync::mpsc::channel::<()>();
    let (ready, cached) = std::sync::mpsc::channel();
    // Other pools, to which the thread comes for the first time when the list of its caches grows.
    let others: Vec<_> = (0..70).map(|_| SmartAlloc::default()).collect();
    let objects: Vec<_> = others.iter().map(|other| other.pool().alloc_box(1u64)).collect();
    let worker = thread::spawn(move || {
        let (last, cached) = (pool.alloc_box(1u64), pool.alloc_box([1u64; 8]));
        let other = SmartAlloc::new(AllocConfig::default().with_governor(clerk.clone()));
        drop((cached, other.pool().alloc_box([1u64; 8])));
        drop(pool);
        ready.send(other).unwrap();
        closed.recv().unwrap();
        // What is cached goes back first.
        armed.store(1, Ordering::Relaxed);
        assert!(panic_text(|| drop(last)).is_some());
        armed.store(1, Ordering::Relaxed);
        let panics = objects.into_iter().filter_map(|object| panic_text(|| drop(object))).count();
        assert_eq!((panics, armed.load(Ordering::Relaxed)), (1, 0));
        clerk
    });
    // Closed here, where nothing of the worker's is at hand.
    drop((cached.recv().unwrap(), alloc));
    send.send(()).unwrap();
    let clerk = worker.join().unwrap();
    assert_eq!(clerk.held(), 0);
    for other in others {
        other.pool().trim();
        let stats = other.pool().stats();
        assert_eq!((stats.outstanding_bytes, stats.slabs), (0, 0));
    }
}

#[test]
fn payload_whose_destructor_panics_does_no_harm() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the payload panics");
        }
    }
    let (clerk, armed) = (Clerk::new(), Arc::new(AtomicUsize::new(0)));
    let left = armed.clone();
    clerk.hooked(move |this| {
        if this == Call::Release && left.load(Ordering::Relaxed) > 0 {
            left.fetch_sub(1, Ordering::Relaxed);
            std::panic::panic_any(Bomb);
        }
    });
    let ledger = Ledger::default();
    let mut alloc = governed(&clerk);
    (0..20).for_each(|_| _ = alloc.frame().alloc([1u8; 3000]));
    let inner = alloc.seal_frame();
    drop(alloc);
    let mut outer = SmartAlloc::default();
    outer.publish(ledger.enter_panicking(1));
    outer.publish(inner);
    let sealed = outer.seal_frame();
    armed.store(2, Ordering::Relaxed);
    assert!(panic_text(|| drop(sealed)).is_some());
    assert_eq!((armed.load(Ordering::Relaxed), clerk.held()), (0, 0));
    // The next ones on this thread are reclaimed at once.
    outer.publish(ledger.enter(2));
    drop(outer.seal_frame());
    ledger.assert_settled();
    // Chunks, slots and slabs, each of which throws one.
    let mut alloc = governed(&clerk);
    let kept = thread::scope(|scope| {
        let pool = alloc.pool();
        scope.spawn(|| (pool.alloc_box(1u64), pool.alloc_box([1u64; 8]), pool.alloc_box([1u64; 32]))).join().unwrap()
    });
    (0..20).for_each(|_| _ = alloc.frame().alloc([1u8; 3000]));
    alloc.end_frame();
    armed.store(1_000, Ordering::Relaxed);
    for panics in [catch_unwind(AssertUnwindSafe(|| drop(alloc))), catch_unwind(AssertUnwindSafe(|| drop(kept)))] {
        std::mem::forget(panics.unwrap_err());
    }
    assert_eq!(clerk.held(), 0);
    // A thread that dies, with the last of what a closed pool has in its cache.
    let alloc = governed(&clerk);
    let (closed, dying) = thread_with_a_cache(alloc.pool().clone());
    armed.store(0, Ordering::Relaxed);
    drop(alloc);
    armed.store(2, Ordering::Relaxed);
    closed.send(()).unwrap();
    dying.join().unwrap();
    assert_eq!(armed.load(Ordering::Relaxed), 0);
    assert_eq!(clerk.held(), 0);
}

#[test]
fn tag_left_by_a_panic_survives_a_governor_that_panics_too() {
    let (clerk, armed) = panicking(Call::CloseTag);
    let alloc = governed(&clerk);
    armed.store(1, Ordering::Relaxed);
    let text = panic_text(|| alloc.with_tag("tag", |_| panic!("inside")));
    assert_eq!(text.as_deref(), Some("inside"));
    assert_eq!(*alloc.frame().alloc(1), 1);
}

/// A thread that has all of two slabs in its cache, and dies when it is told to: the last of them if the pool is closed by then.
fn thread_with_a_cache(pool: Pool) -> (mpsc::Sender<()>, thread::JoinHandle<()>) {
    let (closed, is_closed) = mpsc::channel();
    let (cached, is_cached) = mpsc::channel();
    let dying = thread::spawn(move || {
        drop((pool.alloc_box([1u8; 50]), pool.alloc_box([1u8; 500])));
        drop(pool);
        cached.send(()).unwrap();
        is_closed.recv().unwrap();
    });
    is_cached.recv().unwrap();
    (closed, dying)
}

#[test]
fn governor_that_panics_in_a_dying_thread_does_not_end_the_process() {
    let (clerk, armed) = panicking(Call::Release);
    let alloc = governed(&clerk);
    let (closed, dying) = thread_with_a_cache(alloc.pool().clone());
    drop(alloc);
    assert_eq!(clerk.held(), 2 * 65536);
    armed.store(1, Ordering::Relaxed);
    closed.send(()).unwrap();
    dying.join().unwrap();
    assert_eq!((clerk.held(), armed.load(Ordering::Relaxed)), (0, 0));
}
