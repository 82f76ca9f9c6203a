//! Threads: what is freed elsewhere, what a dead thread leaves, and destructors of thread-locals.

use core::alloc::Layout;
use core::cell::RefCell;
use core::ptr::NonNull;
use std::sync::mpsc;
use std::thread;
use std::thread_local;
use std::vec::Vec;

use allocator_api2::alloc::Allocator;

use super::super::slab::{self, SLAB};
use super::super::{Pool, PoolBox, class};
use super::{Ledger, class_of, pool};
use crate::sync::operations;

type Value = [u64; 8];
type Object = PoolBox<Value>;

#[test]
fn memory_freed_by_another_thread_is_used_again() {
    let (pool, source) = pool();
    let mut most = 0;
    for _ in 0..20 {
        let all: Vec<Object> = (0..5000).map(|i| pool.alloc_box([i; 8])).collect();
        most = source.committed().max(most);
        thread::spawn(move || drop(all)).join().unwrap();
    }
    assert_eq!(most, source.committed());
    let class = class_of::<Value>();
    let slots = SLAB / class::size(class) - slab::first(class);
    assert!(most <= 5200usize.div_ceil(slots) * SLAB);
    drop(pool);
    assert_eq!(source.committed(), 0);
}

/// A thread that comes to many pools makes room in its list for them; it forgets those that are gone, and no others.
#[test]
fn cache_of_a_live_pool_stays_where_others_come_and_go() {
    let pools: Vec<_> = (0..40).map(|_| pool()).collect();
    for (pool, _source) in &pools {
        drop(pool.alloc_box([1; 8]));
    }
    let before = operations();
    for (pool, _source) in &pools {
        assert_eq!(pool.alloc_box([2; 8])[7], 2);
    }
    assert_eq!(operations(), before, "objects were in their thread's cache");
}

#[test]
fn producer_and_consumer_do_not_pile_up_memory() {
    let (pool, source) = pool();
    let (send, receive) = mpsc::sync_channel::<Vec<Object>>(4);
    let consumer = thread::spawn(move || receive.into_iter().flatten().map(|object| object[7]).sum::<u64>());
    for _ in 0..200 {
        send.send((0..256).map(|i| pool.alloc_box([i; 8])).collect()).unwrap();
    }
    drop(send);
    assert_eq!(consumer.join().unwrap(), 200 * 255 * 128);
    // Six batches in flight and what two caches and their last exchange hold.
    let most = 3 * SLAB / size_of::<Value>() * class::size(class_of::<Value>());
    assert!(source.committed() <= most, "{} bytes", source.committed());
}

/// Whole batches change hands: either thread meets the lock once or twice for each, not for each object.
#[test]
fn defect_magazines_that_collapse_under_producer_and_consumer() {
    const OBJECTS: u64 = 20_000;
    let (pool, _source) = pool();
    let batch = class::batch(class_of::<Value>()) as u64;
    let (send, receive) = mpsc::channel::<Object>();
    let other = pool.clone();
    let consumer = thread::spawn(move || {
        // Its cache is there.
        drop(other.alloc_box([0; 8]));
        let mut locks = 0;
        for object in receive {
            let before = operations();
            drop(object);
            locks += operations() - before;
        }
        locks
    });
    let mut locks = 0;
    for i in 0..OBJECTS {
        let before = operations();
        let object = pool.alloc_box([i; 8]);
        locks += operations() - before;
        send.send(object).unwrap();
    }
    drop(send);
    // A slab costs the producer a few more: its backend is asked, and what is counted.
    let (least, most) = (OBJECTS / batch / 2, 4 * OBJECTS / batch);
    let slabs = OBJECTS.div_ceil(1021) * 12;
    let freed = consumer.join().unwrap();
    assert!(locks <= most + slabs, "{locks} operations to take {OBJECTS} objects");
    assert!((least..=most).contains(&freed), "{freed} operations to free {OBJECTS} objects");
}

/// What caches hold after one thread has filled and another one drained.
fn outstanding<T: Copy + Send + 'static>(pool: &Pool, value: T) -> usize {
    pool.trim();
    let before = pool.stats().outstanding_bytes;
    let all: Vec<_> = (0..2000).map(|_| pool.alloc_box(value)).collect();
    let other = pool.clone();
    thread::spawn(move || {
        drop(all);
        other.stats().outstanding_bytes - before
    })
    .join()
    .unwrap()
}

#[test]
fn cache_is_bounded() {
    let (pool, _source) = pool();
    // Two threads' caches.
    assert!(outstanding(&pool, [0u8; 8]) <= 2 * 512 * 8);
    assert!(outstanding(&pool, [0u8; 512]) <= 2 * (256 << 10));
    assert!(outstanding(&pool, [0u8; 4096]) <= 2 * (256 << 10));
    assert_eq!(class::limit(class::CLASSES - 1), 64);
}

#[test]
fn cache_of_a_dead_thread_is_not_lost() {
    let (pool, source) = pool();
    let other = pool.clone();
    thread::spawn(move || drop((0..50u64).map(|i| other.alloc_box([i; 8])).collect::<Vec<_>>())).join().unwrap();
    assert_eq!(pool.stats().outstanding_bytes, 0);
    assert_eq!(pool.trim(), SLAB);
    drop(pool);
    assert_eq!(source.committed(), 0);
}

thread_local! {
    static LATE: RefCell<Vec<Object>> = const { RefCell::new(Vec::new()) };
    static USER: RefCell<Option<Late>> = const { RefCell::new(None) };
}

/// Uses the pool in a thread-local's destructor.
struct Late(Pool, Ledger);

impl Drop for Late {
    fn drop(&mut self) {
        let all: Vec<_> = (0..300).map(|_| self.0.alloc_box(self.1.entered::<64>())).collect();
        drop(all);
        drop(self.0.heap_box(1));
    }
}

/// Thread-locals are dropped in the order of their registration, or in the opposite one, by platform: both are tried.
fn late(pool_first: bool) {
    let (pool, source) = pool();
    let ledger = Ledger::default();
    let (other, entered) = (pool.clone(), ledger.clone());
    thread::spawn(move || {
        let touch = || drop(other.alloc_box([0; 8]));
        if pool_first {
            touch();
        }
        USER.with(|user| *user.borrow_mut() = Some(Late(other.clone(), entered)));
        LATE.with(|late| late.borrow_mut().reserve(500));
        if !pool_first {
            touch();
        }
        LATE.with(|late| late.borrow_mut().extend((0..500).map(|i| other.alloc_box([i; 8]))));
    })
    .join()
    .unwrap();
    assert_eq!(ledger.drops(), 300);
    assert_eq!(pool.stats().outstanding_bytes, 0);
    drop(pool);
    assert_eq!(source.committed(), 0);
}

#[test]
fn late_destructors_may_use_the_pool() {
    late(true);
    late(false);
}

thread_local! {
    static CARVER: RefCell<Option<Carver>> = const { RefCell::new(None) };
}

/// Takes objects one by one, as a thread without a cache does.
struct Carver(Pool);

impl Carver {
    /// More objects than a slab has room for, which lie in slabs, apart from each other and from `others`.
    fn take(&self, layout: Layout, others: &[NonNull<u8>]) -> Vec<NonNull<u8>> {
        let mut all = others.to_vec();
        let size = class::size(class::of(layout).unwrap());
        all.extend((0..=SLAB / size).map(|_| self.0.allocate(layout).unwrap().cast::<u8>()));
        let mut places: Vec<_> = all.iter().map(|object| object.addr().get()).collect();
        places.sort_unstable();
        // A slab's first bytes are its header, and an object behind its end would be there.
        assert!(places.iter().all(|place| place % SLAB != 0 && place % SLAB + layout.size() <= SLAB), "{places:x?}");
        assert!(places.windows(2).all(|pair| pair[0] + size <= pair[1]), "{places:x?}");
        all.split_off(others.len())
    }
}

impl Drop for Carver {
    fn drop(&mut self) {
        assert!(crate::thread::is_late(), "it has a cache");
        let layout = Layout::new::<[u64; 128]>();
        let free = |objects: &[NonNull<u8>]| {
            // SAFETY: taken from the pool with this layout, and not used again.
            objects.iter().for_each(|&object| unsafe { self.0.deallocate(object, layout) });
        };
        let first = self.take(layout, &[]);
        // The slab of the one that stays is full, and not to be carved any further.
        free(&first[1..]);
        assert_eq!(self.0.trim(), 2 * SLAB, "the next one, and that of the thread's first object");
        free(&self.take(layout, &first[..1]));
        free(&first[..1]);
    }
}

#[test]
fn late_thread_never_takes_more_of_a_slab_than_there_is() {
    let (pool, source) = pool();
    let other = pool.clone();
    thread::spawn(move || {
        CARVER.with_borrow_mut(|carver| *carver = Some(Carver(other.clone())));
        drop(other.alloc_box(0u64));
    })
    .join()
    .unwrap();
    assert_eq!(pool.stats().outstanding_bytes, 0);
    drop(pool);
    assert_eq!(source.committed(), 0);
}

#[test]
fn another_pools_first_use_leaves_a_threads_cache_alone() {
    let (a, _source) = pool();
    drop((0..100u64).map(|i| a.alloc_box([i; 8])).collect::<Vec<_>>());
    let (b, _source) = pool();
    let before = a.stats();
    drop(b.alloc_box([0u64; 8]));
    assert_eq!(a.stats().depot_bytes, before.depot_bytes);
    drop(b);
    drop(pool().0.alloc_box([0u64; 8]));
    assert_eq!(a.stats().depot_bytes, before.depot_bytes);
}

#[test]
fn two_pools_never_mix() {
    let ((a, source_a), (b, source_b)) = (pool(), pool());
    let mut kept = Vec::new();
    for i in 0..5000u64 {
        kept.push((a.alloc_box([i; 8]), b.alloc_box([!i; 8])));
        if i % 3 == 0 {
            kept.swap_remove(kept.len() / 2);
        }
    }
    drop(a);
    assert!(kept.iter().all(|(a, b)| a[0] == !b[0]));
    let (of_a, of_b): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
    drop(of_a);
    assert_eq!(source_a.committed(), 0);
    assert!(source_b.committed() > 0);
    drop((of_b, b));
    assert_eq!(source_b.committed(), 0);
}

#[test]
fn many_threads_exchange_objects() {
    let (pool, source) = pool();
    thread::scope(|scope| {
        let (sends, receives): (Vec<_>, Vec<_>) = (0..4).map(|_| mpsc::channel::<Vec<Object>>()).unzip();
        let mut running = Vec::new();
        for (at, receive) in receives.into_iter().enumerate() {
            let (next, pool) = (sends[(at + 1) % 4].clone(), &pool);
            running.push(scope.spawn(move || {
                for round in 0..20u64 {
                    let all = (0..100).map(|i| pool.alloc_box([i + round; 8])).collect();
                    next.send(all).unwrap();
                    let got = receive.recv().unwrap();
                    assert!(got.iter().enumerate().all(|(i, v)| **v == [i as u64 + round; 8]));
                }
            }));
        }
        // The end of the scope alone does not wait for thread-local destructors.
        running.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert!(source.committed() <= 3 * SLAB);
    assert_eq!(pool.stats().outstanding_bytes, 0);
    drop(pool);
    assert_eq!(source.committed(), 0);
}
