//! The end of a pool: what outlives it, and that nothing is left when all is dropped.

use core::pin::Pin;
use std::boxed::Box;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::vec::Vec;

use super::super::slab::SLAB;
use super::super::{HeapBox, PoolBox};
use super::{Ledger, pool};
use crate::backend::{AllocationResult, AllocatorBackend, SystemBackend};

#[test]
fn box_outlives_its_pool() {
    let (pool, source) = pool();
    let ledger = Ledger::default();
    let pooled: Vec<_> = (0..3000).map(|_| pool.alloc_box(ledger.entered::<90>())).collect();
    let heaped = pool.heap_box(ledger.entered::<90>());
    drop(pool);
    assert!(source.committed() > 0);
    drop((pooled, heaped));
    assert_eq!((source.committed(), ledger.drops()), (0, 3001));
}

#[test]
fn box_outlives_its_pool_on_another_thread() {
    let (pool, source) = pool();
    let (send, receive) = mpsc::channel::<PoolBox<u64>>();
    let (ready, wait) = mpsc::channel();
    let other = thread::spawn(move || {
        // This thread has a cache of the pool.
        drop(receive.recv().unwrap());
        ready.send(()).unwrap();
        receive.into_iter().map(PoolBox::into_inner).sum::<u64>()
    });
    send.send(pool.alloc_box(0)).unwrap();
    wait.recv().unwrap();
    let last: Vec<_> = (0..1000).map(|i| pool.alloc_box(i)).collect();
    drop(pool);
    for boxed in last {
        send.send(boxed).unwrap();
    }
    drop(send);
    assert_eq!(other.join().unwrap(), 499_500);
    assert_eq!(source.committed(), 0);
}

#[test]
fn clone_keeps_the_pool_open() {
    let (pool, source) = pool();
    let clone = pool.clone();
    drop(pool.alloc_box(1));
    drop(pool);
    assert_eq!(*clone.alloc_box(2), 2);
    assert_eq!(clone.stats().slabs, 1);
    drop(clone);
    assert_eq!(source.committed(), 0);
}

#[test]
fn slab_of_a_forgotten_box_is_never_freed() {
    let (pool, source) = pool();
    // As `mem::forget`, but for a pointer to come back by.
    let forgotten: *mut u64 = pool.alloc_box(42).__into_raw();
    let all: Vec<_> = (0..20_000u64).map(|i| pool.alloc_box(i)).collect();
    drop(all);
    pool.trim();
    let all: Vec<_> = (0..20_000u64).map(|i| pool.alloc_box(i)).collect();
    drop(pool);
    drop(all);
    // SAFETY: a value that was not dropped stays where it is.
    assert_eq!(unsafe { *forgotten }, 42);
    assert_eq!(source.committed(), SLAB);
    // Found again, it is the last one, and all is free.
    // SAFETY: the pointer came from a box of this kind, and this is its only use.
    drop(unsafe { PoolBox::__from_raw(forgotten) });
    assert_eq!(source.committed(), 0);
}

#[test]
fn pinned_value_stays_until_it_is_dropped() {
    let (pool, source) = pool();
    let ledger = Ledger::default();
    let pinned: Pin<PoolBox<_>> = PoolBox::into_pin(pool.alloc_box(ledger.entered::<8>()));
    let at = (&raw const *pinned).addr();
    drop(pool);
    let moved = pinned;
    assert_eq!(((&raw const *moved).addr(), ledger.drops()), (at, 0));
    drop(moved);
    assert_eq!((source.committed(), ledger.drops()), (0, 1));
}

#[test]
fn leaked_value_stays() {
    // Reachable for ever, so that a leak checker does not mind.
    static KEPT: std::sync::Mutex<Option<&'static mut u64>> = std::sync::Mutex::new(None);
    let (pool, source) = pool();
    let leaked = PoolBox::leak(pool.alloc_box(1));
    drop(pool);
    *leaked += 1;
    assert_eq!((*leaked, source.committed()), (2, SLAB));
    *KEPT.lock().unwrap() = Some(leaked);
}

#[test]
fn thread_returns_its_cache_when_it_next_frees() {
    let (pool, source) = pool();
    let other = pool.clone();
    let (send, receive) = mpsc::channel::<()>();
    let (ready, wait) = mpsc::channel();
    let worker = thread::spawn(move || {
        let (last, cached) = (other.alloc_box(1u64), other.alloc_box([1u64; 8]));
        drop(cached);
        drop(other);
        ready.send(()).unwrap();
        receive.recv().unwrap();
        drop(last);
        ready.send(()).unwrap();
        receive.recv().unwrap();
    });
    wait.recv().unwrap();
    drop(pool);
    assert_eq!(source.committed(), 2 * SLAB);
    send.send(()).unwrap();
    wait.recv().unwrap();
    assert_eq!(source.committed(), 0);
    send.send(()).unwrap();
    worker.join().unwrap();
}

#[test]
fn idle_threads_return_their_cache_when_they_next_use_pools() {
    let (pool, source) = pool();
    let (send, receive) = mpsc::channel::<()>();
    let (ready, wait) = mpsc::channel();
    let other = pool.clone();
    let worker = thread::spawn(move || {
        drop(other.alloc_box(1u64));
        drop(other);
        ready.send(()).unwrap();
        receive.recv().unwrap();
        // Registering caches of new pools sweeps those of closed ones.
        let fresh: Vec<_> = (0..70).map(|_| super::pool()).collect();
        fresh.iter().for_each(|(pool, _)| drop(pool.alloc_box(1u64)));
        ready.send(()).unwrap();
        receive.recv().unwrap();
    });
    wait.recv().unwrap();
    drop(pool);
    assert_eq!(source.committed(), SLAB, "another thread's cache is not touched");
    send.send(()).unwrap();
    wait.recv().unwrap();
    assert_eq!(source.committed(), 0);
    send.send(()).unwrap();
    worker.join().unwrap();
}

/// Tells when it is dropped.
struct Mortal(Ledger);

impl Drop for Mortal {
    fn drop(&mut self) {
        drop(self.0.entered::<0>());
    }
}

// SAFETY: forwards to the system's backend.
unsafe impl AllocatorBackend for Mortal {
    fn allocate(&mut self, layout: core::alloc::Layout) -> AllocationResult {
        SystemBackend::new().allocate(layout)
    }

    unsafe fn deallocate(&mut self, ptr: core::ptr::NonNull<u8>, layout: core::alloc::Layout) {
        // SAFETY: by the caller's promise.
        unsafe { SystemBackend::new().deallocate(ptr, layout) }
    }
}

#[test]
fn backend_lives_until_the_last_box_and_no_longer() {
    let ledger = Ledger::default();
    let source = super::Source::new(std::vec![Box::new(Mortal(ledger.clone()))], Arc::new(super::Ungoverned));
    let pool = super::Pool::new(Arc::new(source));
    let (pooled, heaped): (PoolBox<_>, HeapBox<_>) = (pool.alloc_box(1), pool.heap_box(2));
    drop(pool);
    drop(pooled);
    assert_eq!((*heaped, ledger.drops()), (2, 0));
    drop(heaped);
    assert_eq!(ledger.drops(), 1);
}
