//! Parcels: how often the lock is taken for them, where they end, and what happens without.

use core::cell::RefCell;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::thread_local;
use std::vec::Vec;

use super::super::parcel::{HAS_MEMORY, MADE, PARCELS};
use super::super::{Pool, PoolBox, class, slab::SLAB};
use super::{class_of, pool};
use crate::sync::operations;

type Object = PoolBox<[u64; 8]>;

fn batch() -> usize {
    class::batch(class_of::<[u64; 8]>())
}

fn fill(pool: &Pool, count: usize) -> Vec<Object> {
    (0..count as u64).map(|i| pool.alloc_box([i; 8])).collect()
}

#[test]
fn exchange_takes_the_lock_once_where_one_thread_fills_and_drains() {
    const OBJECTS: usize = 4000;
    let (pool, source) = pool();
    let fill_and_drain = || {
        let before = operations();
        drop(fill(&pool, OBJECTS));
        operations() - before
    };
    // The first time makes slabs, and parcels when it frees.
    fill_and_drain();
    let taken = source.traffic();
    let most = 2 * OBJECTS.div_ceil(batch()) as u64;
    for _ in 0..3 {
        let locks = fill_and_drain();
        assert!(locks > 0 && locks <= most, "{locks} where {most} exchanges suffice");
    }
    assert_eq!(source.traffic(), taken);
}

#[test]
fn exchange_takes_the_lock_once_where_one_thread_makes_and_another_frees() {
    const WARM: usize = 16;
    const ROUNDS: usize = 64;
    let (pool, _source) = pool();
    let (to, work) = sync_channel::<Vec<Object>>(0);
    let (done, locks) = sync_channel(0);
    let consumer = thread::spawn(move || {
        for objects in work {
            let before = operations();
            drop(objects);
            done.send(operations() - before).unwrap();
        }
    });
    let round = || {
        let before = operations();
        let objects = fill(&pool, batch());
        let made = operations() - before;
        to.send(objects).unwrap();
        (made, locks.recv().unwrap())
    };
    for _ in 0..WARM {
        round();
    }
    let all: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    drop(to);
    consumer.join().unwrap();
    let (made, freed) = all.iter().fold((0, 0), |sum, round| (sum.0 + round.0, sum.1 + round.1));
    assert!((1..=ROUNDS as u64).contains(&made), "{made} for {ROUNDS} batches made");
    assert!((1..=ROUNDS as u64).contains(&freed), "{freed} for {ROUNDS} batches freed");
}

#[test]
fn what_lies_in_the_depot_in_parcels_is_trimmed_and_closed() {
    let (pool, source) = pool();
    let drop_elsewhere = |all: Vec<Object>| thread::spawn(move || drop(all)).join().unwrap();
    drop_elsewhere(fill(&pool, 5000));
    let (all, held) = (fill(&pool, 5000), pool.stats());
    drop(all);
    let now = pool.stats();
    // This thread's cache keeps a magazine at most.
    assert!(now.depot_bytes >= held.depot_bytes + 4400 * 64);
    assert_eq!(now.depot_bytes + now.outstanding_bytes, held.depot_bytes + held.outstanding_bytes);
    assert_eq!(pool.trim(), now.slab_bytes);
    assert_eq!((source.committed(), pool.stats().depot_bytes), (0, 0));
    drop(fill(&pool, 5000));
    drop(pool);
    assert_eq!(source.committed(), 0);
}

#[test]
fn parcels_are_dropped_when_the_pool_is_trimmed_or_closed() {
    let (pool, _source) = pool();
    let before = PARCELS.get();
    drop(fill(&pool, 5000));
    assert!(PARCELS.get() > before + 2);
    pool.trim();
    assert_eq!(PARCELS.get(), before);
    drop(fill(&pool, 5000));
    // Some are empty now, and some are full.
    let last = fill(&pool, 2500).pop();
    assert!(PARCELS.get() > before + 2);
    drop(pool);
    assert_eq!(PARCELS.get(), before, "a live box keeps slabs, but no parcels");
    drop(last);
}

#[test]
fn parcels_are_used_again() {
    let (pool, _source) = pool();
    drop(fill(&pool, 5000));
    let made = MADE.get();
    assert!(made > 2);
    for _ in 0..3 {
        drop(fill(&pool, 5000));
    }
    assert_eq!(MADE.get(), made);
}

#[test]
fn freeing_needs_no_memory() {
    let (pool, source) = pool();
    let all = fill(&pool, 5000);
    let (slabs, before) = (pool.stats(), PARCELS.get());
    HAS_MEMORY.set(false);
    drop(all);
    let again = fill(&pool, 5000);
    assert_eq!(PARCELS.get(), before);
    assert_eq!(pool.stats().slabs, slabs.slabs, "what was freed is used again");
    drop(again);
    HAS_MEMORY.set(true);
    assert_eq!(pool.trim(), slabs.slab_bytes);
    assert_eq!(source.committed(), 0);
}

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

/// Takes an object when its thread is past its guard.
struct Late(Pool);

impl Drop for Late {
    fn drop(&mut self) {
        let before = self.0.stats().depot_bytes;
        let object = self.0.alloc_box([1u64; 8]);
        let after = self.0.stats().depot_bytes;
        let size = class::size(class_of::<[u64; 8]>());
        assert_eq!(before - after, size, "the object is one of those that were there");
        drop(object);
    }
}

#[test]
fn late_thread_finds_what_lies_in_parcels() {
    let (pool, source) = pool();
    drop(fill(&pool, 5000));
    let slabs = source.committed();
    let other = pool.clone();
    let late = thread::spawn(move || {
        // In this order: what is registered first is destroyed last.
        LATE.with_borrow_mut(|late| *late = Some(Late(other.clone())));
        drop(other.alloc_box([0u16; 100]));
    });
    late.join().unwrap();
    assert_eq!(source.committed(), slabs + SLAB, "one for the class of 200 bytes");
}

#[test]
fn closing_loses_no_parcel_that_is_on_its_way() {
    for round in 0..200 {
        let (pool, source) = pool();
        let parts = [fill(&pool, 3000), fill(&pool, 3000)];
        let start = Arc::new(Barrier::new(3));
        let threads = parts.map(|part| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                drop(part);
            })
        });
        start.wait();
        // Each round closes at another moment of the other threads' work.
        (0..round * 40).for_each(|_| core::hint::spin_loop());
        drop(pool);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(source.committed(), 0, "in round {round}");
    }
}
