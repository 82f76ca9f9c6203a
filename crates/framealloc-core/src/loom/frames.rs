//! Frames that end while threads die: the whole allocator, of whose slots none ever serves two threads.

use std::sync::Arc;

use loom::sync::RwLock;

use super::{Ledger, end_frame, join, model, spawn, spawn_with_late};
use crate::smart_alloc::SmartAlloc;
use crate::sync::modelled::touch;

#[test]
fn loom_slot_of_a_thread_that_dies_under_a_frames_end_serves_the_next() {
    model(|| {
        let ledger = Ledger::new();
        let mut alloc = ledger.alloc();
        alloc.begin_frame();
        let lease = alloc.lease();
        // Its guard may run before, in, or after the frame's end; its lease is gone before.
        let first = spawn(move || {
            *lease.frame().alloc(1u32) += 1;
            drop(lease);
        });
        end_frame(&mut alloc);
        alloc.begin_frame();
        let lease = alloc.lease();
        let second = spawn(move || {
            *lease.frame().alloc(2u32) += 1;
            drop(lease);
        });
        join([first, second]);
        alloc.end_frame();
        drop(alloc);
        ledger.assert_all_back();
    });
}

#[test]
fn loom_late_destructor_allocates_where_nobody_else_does() {
    /// Borrows the allocator for a moment, as readers of a lock do.
    fn visit(alloc: &RwLock<SmartAlloc>) {
        allocate(&alloc.read().unwrap());
    }
    /// The thread has its arena to itself, not only what it gets of it.
    fn allocate(alloc: &SmartAlloc) {
        let frame = alloc.frame();
        touch(core::ptr::from_ref(frame.raw()).cast(), 1);
        *frame.alloc(1u64) += 1;
    }
    model(|| {
        let ledger = Ledger::new();
        let alloc = Arc::new(RwLock::new(ledger.alloc()));
        // Between the two visits of the dying thread the frame may end and the new thread may have its slot.
        let (early, late) = (Arc::clone(&alloc), Arc::clone(&alloc));
        let late = move || {
            let late = late.read().unwrap();
            allocate(&late);
            // Others borrow it meanwhile.
            loom::thread::yield_now();
        };
        let dying = spawn_with_late(move || visit(&early), late);
        let new = Arc::clone(&alloc);
        let new = spawn(move || visit(&new));
        alloc.write().unwrap().end_frame();
        join([dying, new]);
        drop(alloc);
        ledger.assert_all_back();
    });
}
