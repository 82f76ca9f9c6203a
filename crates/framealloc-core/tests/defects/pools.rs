//! Pools: values, memory that is freed elsewhere, threads that end, allocators that are gone. (Alignment is with the arenas.)

use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;

use framealloc_core::*;

use crate::small;
use crate::support::{Entered, Ledger, Scripted};

#[test]
fn defect_boxes_that_return_memory_without_dropping_the_value() {
    let (alloc, ledger) = (SmartAlloc::new(small()), Ledger::default());
    for i in 0..1000 {
        drop(alloc.pool_box(ledger.enter(i)));
        drop(alloc.heap_box(ledger.enter(i)));
        let boxed: PoolBox<dyn std::any::Any> = unsize!(alloc.pool_box(ledger.enter(i)));
        drop(boxed);
        let slice: PoolBox<[Entered]> = unsize!(alloc.pool_box([ledger.enter(i), ledger.enter(i)]));
        drop(slice);
        drop(PoolBox::into_pin(alloc.pool_box(ledger.enter(i))));
        drop(PoolBox::into_inner(alloc.pool_box(ledger.enter(i))));
        drop(alloc.promote(alloc.frame_box(ledger.enter(i))));
    }
    assert_eq!(ledger.made(), 8000);
    ledger.assert_settled();
}

/// The consumer keeps a bounded number of objects, whatever passes through its hands.
#[test]
fn defect_objects_freed_by_a_consumer_that_pile_up_there() {
    let backend = Scripted::new();
    let alloc = SmartAlloc::new(small().with_backend(backend.boxed()));
    let (send, receive) = mpsc::sync_channel::<Vec<PoolBox<[u64; 32]>>>(2);
    let consumer = thread::spawn(move || {
        let passed: usize = receive.iter().map(|batch| batch.len()).sum();
        // Alive until the end: what it keeps, it keeps.
        (passed, thread::current().id())
    });
    for round in 0..400u64 {
        send.send((0..200).map(|i| alloc.pool_box([i ^ round; 32])).collect()).unwrap();
    }
    // 20 MB went through. Four batches are alive at most, and two threads' magazines full.
    let held = backend.live().1;
    assert!(held <= 1 << 20, "{held} bytes");
    drop(send);
    assert_eq!(consumer.join().unwrap().0, 80_000);
}

#[test]
fn defect_caches_of_exited_threads_lost() {
    let alloc = SmartAlloc::new(small());
    for round in 0..50u64 {
        thread::scope(|s| {
            // Joined, for a scope does not wait for the thread-local destructors that give the cache back.
            s.spawn(|| drop((0..200).map(|i| alloc.pool_box([i ^ round; 8])).collect::<Vec<_>>())).join().unwrap();
        });
        assert_eq!(alloc.stats().pools.outstanding_bytes, 0, "round {round}");
        assert_eq!(alloc.stats().pools.slabs, 1);
    }
    assert_eq!(alloc.pool().trim(), 64 << 10);
}

#[test]
fn defect_allocator_drop_leaking_all_slabs() {
    let backend = Scripted::new();
    for kept in [0, 1, 3000] {
        let alloc = SmartAlloc::new(small().with_backend(backend.boxed()));
        let mut boxes: Vec<_> = (0..5000u64).map(|i| alloc.pool_box([i; 16])).collect();
        let large: Vec<_> = (0..3).map(|_| alloc.heap_box([1u8; 9000])).collect();
        thread::scope(|s| drop(s.spawn(|| alloc.pool_box(5u8)).join().unwrap()));
        boxes.truncate(kept);
        drop(alloc);
        assert_eq!(backend.live().0 > 3, kept > 0, "{:?}", backend.live());
        assert!(boxes.iter().zip(0..).all(|(words, i)| **words == [i; 16]));
        drop((boxes, large));
        assert_eq!(backend.live(), (0, 0), "{kept} boxes were kept");
    }
}

thread_local! {
    static FIRST: RefCell<Vec<PoolBox<Entered>>> = const { RefCell::new(Vec::new()) };
    static SECOND: RefCell<Vec<PoolBox<Entered>>> = const { RefCell::new(Vec::new()) };
}

/// In the order of registration and in the opposite one, with the pool still there and already gone.
#[test]
fn defect_dropping_a_box_from_another_thread_locals_destructor() {
    for pool_first in [false, true] {
        for gone in [false, true] {
            let (backend, ledger) = (Scripted::new(), Ledger::default());
            let alloc = SmartAlloc::new(small().with_backend(backend.boxed()));
            let pool = alloc.pool().clone();
            let mine = ledger.clone();
            let worker = thread::spawn(move || {
                if pool_first {
                    drop(pool.alloc_box(1));
                }
                FIRST.with(|list| list.borrow_mut().reserve(700));
                if !pool_first {
                    drop(pool.alloc_box(1));
                }
                SECOND.with(|list| list.borrow_mut().extend((0..700).map(|i| pool.alloc_box(mine.enter(i)))));
                FIRST.with(|list| list.borrow_mut().extend((0..700).map(|i| pool.alloc_box(mine.enter(i)))));
            });
            let alloc = if gone {
                drop(alloc);
                None
            } else {
                Some(alloc)
            };
            worker.join().unwrap();
            assert_eq!(ledger.made(), 1400);
            ledger.assert_settled();
            if let Some(alloc) = alloc {
                assert_eq!(alloc.stats().pools.outstanding_bytes, 0);
            }
            assert_eq!(backend.live(), (0, 0), "pool first: {pool_first}, gone: {gone}");
        }
    }
}
