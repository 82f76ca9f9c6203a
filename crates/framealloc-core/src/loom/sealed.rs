//! A sealed frame is read and dropped on another thread while its allocator goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Ledger, Watched, join, model, spawn};

#[test]
fn loom_sealed_frame_is_dropped_while_the_next_frame_runs() {
    model(|| {
        let (ledger, drops) = (Ledger::new(), Arc::new(AtomicUsize::new(0)));
        let mut alloc = ledger.alloc();
        alloc.begin_frame();
        let value = alloc.publish(Watched::new(7, &drops));
        let sealed = alloc.seal_frame();
        let render = spawn(move || {
            assert_eq!(sealed.get(value).unwrap().read(), 7);
            drop(sealed);
        });
        // The frame has the chunk that has come back, or a new one.
        alloc.begin_frame();
        let next = alloc.publish(Watched::new(8, &drops));
        assert!(alloc.get(value).is_err(), "a sealed frame is read through its own object");
        assert_eq!(alloc.get(next).unwrap().read(), 8);
        alloc.end_frame();
        render.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 2);
        alloc.begin_frame();
        *alloc.frame().alloc(1u32) += 1;
        drop(alloc);
        ledger.assert_all_back();
    });
}

#[test]
fn loom_two_sealed_frames_come_back_at_once() {
    model(|| {
        let (ledger, drops) = (Ledger::new(), Arc::new(AtomicUsize::new(0)));
        let mut alloc = ledger.alloc();
        let frames = [1, 2].map(|value| {
            alloc.begin_frame();
            alloc.publish(Watched::new(value, &drops));
            alloc.seal_frame()
        });
        let threads = frames.map(|sealed| spawn(move || drop(sealed)));
        alloc.begin_frame();
        *alloc.frame().alloc(1u32) += 1;
        alloc.end_frame();
        join(threads);
        assert_eq!(drops.load(Ordering::Relaxed), 2);
        drop(alloc);
        ledger.assert_all_back();
    });
}

#[test]
fn loom_sealed_frame_outlives_its_allocator() {
    model(|| {
        let (ledger, drops) = (Ledger::new(), Arc::new(AtomicUsize::new(0)));
        let mut alloc = ledger.alloc();
        alloc.publish(Watched::new(7, &drops));
        let sealed = alloc.seal_frame();
        *alloc.frame().alloc(1u32) += 1;
        let render = spawn(move || drop(sealed));
        drop(alloc);
        render.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        ledger.assert_all_back();
    });
}
