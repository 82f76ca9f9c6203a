//! Objects freed by a thread that did not take them: they come back, and nobody has one twice.

use std::vec::Vec;

use super::{Ledger, Tally, join, model, spawn};

#[test]
fn loom_object_freed_elsewhere_comes_back_once() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let pool = ledger.pool();
        let (theirs, mine) = (tally.take(&pool), tally.take(&pool));
        let address = theirs.address();
        let freeing = spawn(move || drop(theirs));
        drop(mine);
        let taken: Vec<_> = (0..3).map(|_| tally.take(&pool)).collect();
        freeing.join().unwrap();
        // The other thread's cache went with it: what it freed is within reach, before any object is new.
        let came_back = taken.iter().any(|held| held.address() == address);
        let more: Vec<_> = (0..2).map(|_| tally.take(&pool)).collect();
        assert!(came_back || more.iter().any(|held| held.address() == address), "an object is lost");
        drop((taken, more));
        drop(pool);
        ledger.assert_all_back();
    });
}

#[test]
fn loom_two_threads_free_each_others_objects() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let pool = ledger.pool();
        let (first, second) = (tally.take(&pool), tally.take(&pool));
        let threads = [first, second].map(|held| {
            let (pool, tally) = (pool.clone(), tally.clone());
            spawn(move || {
                let own = tally.take(&pool);
                drop(held);
                own
            })
        });
        let owned = join(threads);
        drop(owned);
        assert!(tally.is_empty());
        drop(pool);
        ledger.assert_all_back();
    });
}
