//! What a warm frame costs in locks and atomic read-modify-writes, and what the stamps of frames promise.

use alloc::sync::Arc;
use std::vec::Vec;

use super::{AllocConfig, SmartAlloc};
use crate::frame::{FrameHandle, SealedFrame};
use crate::sync::operations;

/// A frame's work; the operations it took.
fn work(alloc: &SmartAlloc, seed: u64) -> u64 {
    let before = operations();
    let frame = alloc.frame();
    for i in 0..2000 {
        frame.alloc([seed; 9]);
        drop(frame.alloc_box(seed + i));
    }
    let mut list = frame.vec();
    (0..3000).for_each(|i| list.push(i ^ seed));
    let mut map = frame.map();
    (0..300).for_each(|i| assert!(map.insert(i, seed).is_none()));
    let large = frame.alloc_uninit_slice::<u64>(200_000);
    large[199_999].write(seed);
    let handle = alloc.publish_slice_fill_with(100, |i| i as u64);
    let boxed = alloc.publish(alloc.pool_box(seed));
    assert!(alloc.get(handle).is_ok_and(|values| values.len() == 100) && alloc.get(boxed).is_ok());
    {
        let scratch = alloc.scratch();
        scratch.alloc_slice_fill_with(1000, |i| i);
        alloc.scratch().alloc(seed);
    }
    alloc.with_tag("warm", |a| a.frame().alloc(seed));
    drop((list, map));
    operations() - before
}

#[test]
fn warm_frame_takes_no_lock_and_does_no_read_modify_write() {
    for in_flight in 1..=3 {
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_frames_in_flight(in_flight));
        let mut cold = 0;
        for seed in 0..100 {
            alloc.begin_frame();
            cold += work(&alloc, seed);
            alloc.end_frame();
        }
        // The counter sees what there is to see.
        assert!(cold > 0);
        for seed in 0..50 {
            let before = operations();
            alloc.begin_frame();
            let boundary = operations() - before;
            assert_eq!((work(&alloc, seed), boundary), (0, 0), "{in_flight} in flight");
            let before = operations();
            alloc.end_frame();
            // Counted references and the like, none for an allocation; the promise is one lock at most.
            let ended = operations() - before;
            assert!(ended <= 4, "{ended} operations to end a frame with {in_flight} in flight");
        }
    }
}

#[test]
fn warm_frame_of_three_megabytes_takes_no_lock_a_thousand_times() {
    let mut alloc = SmartAlloc::default();
    for round in 0..1050 {
        alloc.begin_frame();
        let before = operations();
        let frame = alloc.frame();
        for i in 0..3_000u64 {
            // 1 KiB at a time, and one large block.
            frame.alloc([i; 125])[0] += 1;
        }
        frame.alloc_uninit_slice::<u8>(100_000)[0].write(1);
        assert!(round < 50 || operations() == before, "round {round}");
        let stats = alloc.end_frame();
        assert!(stats.bytes_allocated >= 3_000_000 && stats.chunks > 3);
    }
}

#[test]
fn warm_frame_sealed_by_hand_takes_no_lock_to_fill() {
    let mut alloc = SmartAlloc::default();
    let mut kept: Option<SealedFrame> = None;
    for seed in 0..150 {
        alloc.begin_frame();
        let operations = work(&alloc, seed);
        assert!(seed < 100 || operations == 0, "{operations} operations");
        kept = Some(alloc.seal_frame());
    }
    assert_eq!(kept.map(|sealed| sealed.frame()), Some(150));
}

#[test]
fn end_of_a_frame_takes_no_longer_for_more_allocations() {
    let mut alloc = SmartAlloc::default();
    let mut ends = [0; 2];
    for (end, count) in ends.iter_mut().zip([10u64, 30_000]) {
        for _ in 0..40 {
            for i in 0..count {
                alloc.frame().alloc(i);
            }
            let before = operations();
            alloc.end_frame();
            *end = operations() - before;
        }
    }
    assert!(ends[1] <= ends[0].max(2), "{ends:?}");
}

impl SmartAlloc {
    /// Goes on with a frame shortly before the stamps come from another series.
    fn skip_to_renewal(&mut self) {
        self.stamp = self.stamp.near_renewal();
        let core = Arc::get_mut(&mut self.core).expect("nothing is out");
        core.exclusive.get_mut().frame = self.stamp.frame();
    }
}

/// Frames are counted in 64 bits, and no stamp comes twice: a series of them is used up after 2^24 frames.
#[test]
fn defect_u32_generations_that_wrap() {
    for in_flight in [1, 3] {
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_frames_in_flight(in_flight));
        let other = SmartAlloc::default();
        alloc.skip_to_renewal();
        let mut handles: Vec<FrameHandle<u64>> = Vec::new();
        for _ in 0..6 {
            let frame = alloc.begin_frame();
            handles.push(alloc.lease().publish(frame));
            for &handle in &handles {
                let readable = handle.frame() + in_flight as u64 > frame;
                match alloc.get(handle) {
                    Ok(&value) => assert!(readable && value == handle.frame()),
                    Err(stale) => {
                        assert!(!readable && !stale.is_foreign() && stale.handle_frame() == handle.frame());
                    }
                }
                assert!(other.get(handle).unwrap_err().is_foreign());
            }
            alloc.end_frame();
        }
        let last = alloc.publish(0u64);
        let sealed = alloc.seal_frame();
        assert_eq!((sealed.get(last), sealed.frame()), (Ok(&0), last.frame()));
        assert!(handles.iter().all(|&handle| sealed.get(handle).is_err_and(|stale| !stale.is_foreign())));
    }
}
