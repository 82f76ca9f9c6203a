//! Teardown: a pool is closed while other threads free its last boxes; slabs and core are released once, by whoever is last.

use super::{Ledger, Tally, join, model, spawn, spawn_with_late};

#[test]
fn loom_pool_is_closed_while_the_last_box_is_freed() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let pool = ledger.pool();
        let last = tally.take(&pool);
        let freeing = spawn(move || drop(last));
        drop(pool);
        freeing.join().unwrap();
        ledger.assert_all_back();
    });
}

#[test]
fn loom_pool_is_closed_while_two_threads_free_the_last_boxes() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let pool = ledger.pool();
        let threads = [(); 2].map(|()| {
            let last = tally.take(&pool);
            spawn(move || drop(last))
        });
        drop(pool);
        join(threads);
        ledger.assert_all_back();
    });
}

#[test]
fn loom_pool_is_closed_by_one_of_two_threads_that_have_caches() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let pool = ledger.pool();
        let threads = [pool.clone(), pool].map(|pool| {
            let tally = tally.clone();
            // The two names of the pool go at the same time. Whichever goes last closes it, while the other's cache, which only
            // that thread drains, holds an object.
            spawn(move || {
                let last = tally.take(&pool);
                drop(pool);
                drop(last);
            })
        });
        join(threads);
        ledger.assert_all_back();
    });
}

#[test]
fn loom_last_box_is_freed_by_a_late_destructor() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let pool = ledger.pool();
        let (early, late) = (tally.take(&pool), tally.take(&pool));
        let dying = spawn_with_late(move || drop(early), move || drop(late));
        drop(pool);
        dying.join().unwrap();
        ledger.assert_all_back();
    });
}

#[test]
fn loom_allocator_goes_while_its_boxes_are_freed() {
    model(|| {
        let ledger = Ledger::new();
        let mut alloc = ledger.alloc();
        let (small, large) = (alloc.pool_box(1u64), alloc.heap_box([1u8; 16]));
        *alloc.frame().alloc(1u32) += 1;
        let sealed = alloc.seal_frame();
        let freeing = spawn(move || drop((small, large, sealed)));
        drop(alloc);
        freeing.join().unwrap();
        ledger.assert_all_back();
    });
}
