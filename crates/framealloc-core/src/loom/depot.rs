//! The depot: batches change hands between two threads, whole or one by one, and no object is out twice.

use std::vec::Vec;

use super::{Ledger, Tally, model, spawn, spawn_with_late};

#[test]
fn loom_parcels_change_hands() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let pool = ledger.pool();
        let held: Vec<_> = (0..5).map(|_| tally.take(&pool)).collect();
        // The fifth finds a full magazine: two go into a parcel.
        let freeing = spawn(move || drop(held));
        // One is left in this thread's magazine; then it takes a parcel, or new objects.
        let taken: Vec<_> = (0..3).map(|_| tally.take(&pool)).collect();
        freeing.join().unwrap();
        drop(taken);
        assert!(tally.is_empty());
        drop(pool);
        ledger.assert_all_back();
    });
}

#[test]
fn loom_full_parcels_are_paid_with_empty_ones() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let pool = ledger.pool();
        let mut held: Vec<_> = (0..10).map(|_| tally.take(&pool)).collect();
        let mine = held.split_off(5);
        // Each packs a parcel, and has an empty one of the other's if that has unpacked one.
        let (theirs, their_tally) = (pool.clone(), tally.clone());
        let other = spawn(move || {
            drop(held);
            (0..5).map(|_| their_tally.take(&theirs)).collect::<Vec<_>>()
        });
        drop(mine);
        let taken: Vec<_> = (0..5).map(|_| tally.take(&pool)).collect();
        drop((other.join().unwrap(), taken));
        assert!(tally.is_empty());
        drop(pool);
        ledger.assert_all_back();
    });
}

#[test]
fn loom_loose_objects_change_hands() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let pool = ledger.pool();
        let (first, second) = (tally.take(&pool), tally.take(&pool));
        // One comes from a cache whose thread dies, the other from a thread that has none any more, and takes one as well.
        let (theirs, their_tally) = (pool.clone(), tally.clone());
        let dying = spawn_with_late(
            move || drop(first),
            move || {
                drop(second);
                drop(their_tally.take(&theirs));
            },
        );
        let taken: Vec<_> = (0..3).map(|_| tally.take(&pool)).collect();
        dying.join().unwrap();
        drop(taken);
        assert!(tally.is_empty());
        drop(pool);
        ledger.assert_all_back();
    });
}
