//! Eviction: called once for a refusal, without a lock, told what is needed, and heeded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use framealloc_budget::bytes::{kib, mib};
use framealloc_budget::{Account, Budget, Limit, OverLimit};
use framealloc_core::{AllocConfig, HeapBox, Resource, Scarce, SealedFrame, SmartAlloc};

fn governed(budget: &Budget) -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()))
}

#[test]
fn what_eviction_frees_serves_the_request() {
    let cache: Arc<Mutex<Vec<HeapBox<[u8; 10_000]>>>> = Arc::default();
    let (evicted, calls) = (Arc::downgrade(&cache), Arc::new(AtomicUsize::new(0)));
    let counted = calls.clone();
    let budget = Budget::new().with_pools(Limit::hard(kib(100))).on_evict(move |shortage| {
        counted.fetch_add(1, Ordering::Relaxed);
        assert_eq!(shortage.scarce, Scarce::Resource(Resource::Large));
        assert!((10_000..11_000).contains(&shortage.bytes), "{shortage:?}");
        evicted.upgrade().unwrap().lock().unwrap().pop().is_some()
    });
    let mut alloc = governed(&budget);
    for _ in 0..50 {
        let boxed = alloc.heap_box([1; 10_000]);
        cache.lock().unwrap().push(boxed);
        assert!(budget.used(&Account::Pools) <= kib(100));
    }
    assert_eq!((cache.lock().unwrap().len(), calls.load(Ordering::Relaxed)), (10, 40));
    alloc.end_frame();
    assert_eq!(
        budget.metrics().report().account(&Account::Pools).unwrap().refused,
        0,
        "nothing was refused in the end"
    );
    // With nothing to evict it is an error, after one call.
    let kept = std::mem::take(&mut *cache.lock().unwrap());
    assert!(alloc.try_heap_box([1u8; 10_000]).is_err());
    assert_eq!(calls.load(Ordering::Relaxed), 41);
    drop(kept);
}

#[test]
fn eviction_that_says_it_freed_and_did_not_is_asked_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let budget = Budget::new().with_committed(Limit::hard(0)).on_evict(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    });
    let alloc = governed(&budget);
    assert!(alloc.frame().try_alloc(1).is_err());
    assert!(alloc.try_pool_box(1).is_err());
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn sealed_frames_that_are_dropped_make_room_for_the_next() {
    let held: Arc<Mutex<Vec<SealedFrame>>> = Arc::default();
    let oldest = Arc::downgrade(&held);
    let budget = Budget::new().with_sealed(Limit::hard(kib(200))).on_evict(move |shortage| {
        assert_eq!(shortage.scarce, Scarce::Resource(Resource::Sealed));
        // Dropped outside of its lock, as everywhere.
        let frame = oldest.upgrade().unwrap().lock().unwrap().pop();
        frame.is_some()
    });
    let mut alloc = governed(&budget);
    for round in 0..20u64 {
        alloc.publish(round);
        let sealed = alloc.seal_frame();
        held.lock().unwrap().push(sealed);
    }
    assert_eq!(held.lock().unwrap().len(), 3);
}

/// Threads that evict at once, each of which allocates in its callback and has another thread allocate.
#[test]
fn eviction_is_called_without_a_lock_by_several_threads_at_once() {
    let (done, finished) = std::sync::mpsc::channel();
    thread::spawn(move || {
        static ALLOC: OnceLock<SmartAlloc> = OnceLock::new();
        static INSIDE: AtomicUsize = AtomicUsize::new(0);
        let budget = Budget::new()
            .with_committed(Limit::hard(mib(1)))
            .with_tag("tag", Limit::hard(kib(64)).with_over(OverLimit::Heap))
            .on_evict(|_| {
                let alloc = ALLOC.get().unwrap();
                let work = || {
                    drop(alloc.try_pool_box([1u8; 100]));
                    drop(alloc.try_heap_box([1u8; 5000]));
                    alloc.with_tag("inside", |a| a.frame().try_alloc([1u8; 100]).is_ok());
                    alloc.pool().trim();
                };
                work();
                if INSIDE.fetch_add(1, Ordering::SeqCst) < 20 {
                    thread::scope(|s| s.spawn(work).join().unwrap());
                }
                true
            });
        let alloc = ALLOC.get_or_init(|| governed(&budget));
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for size in 0..100 {
                        let _ = alloc.frame().try_alloc_slice_fill(size * 64, 1u8);
                        alloc.with_tag("tag", |a| a.frame().try_alloc_slice_fill(size * 64, 1u8).is_ok());
                        drop(alloc.try_heap_box([1u8; 70_000]));
                    }
                });
            }
        });
        assert!(budget.used(&Account::Committed) <= mib(1));
        assert!(INSIDE.load(Ordering::SeqCst) > 20);
        done.send(()).unwrap();
    });
    finished.recv_timeout(std::time::Duration::from_secs(60)).expect("no deadlock");
}

#[test]
fn eviction_that_panics_breaks_nothing() {
    let armed = Arc::new(AtomicUsize::new(0));
    let arm = armed.clone();
    let budget = Budget::new().with_tag("tag", Limit::hard(80)).with_pools(Limit::hard(kib(64))).on_evict(move |_| {
        assert!(arm.fetch_add(1, Ordering::Relaxed) % 2 == 1, "every other time");
        false
    });
    let mut alloc = governed(&budget);
    for _ in 0..10 {
        let attempt = |f: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
        let tagged = || assert!(alloc.with_tag("tag", |a| a.frame().try_alloc([1u8; 100]).is_err()));
        assert!(attempt(&tagged));
        tagged();
        let large = || drop(alloc.try_heap_box([1u8; 100_000]));
        assert!(attempt(&large));
        large();
        assert_eq!(alloc.with_tag("tag", |a| a.frame().alloc([1u64; 10])[9]), 1);
        assert_eq!(budget.used(&Account::Pools), 0);
        alloc.end_frame();
        assert_eq!(budget.used(&Account::tag("tag")), 0);
    }
}
