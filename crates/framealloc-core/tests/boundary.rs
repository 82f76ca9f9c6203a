//! The frame boundary under abuse: order of calls, moves, threads that die, frames in flight, sealed frames, leases, handles.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use framealloc_core::*;
use support::Ledger;

fn small() -> AllocConfig {
    AllocConfig::default().with_frame_chunk(1024, 4096)
}

#[test]
fn beginning_twice_and_ending_unbegun_are_fine() {
    let mut alloc = SmartAlloc::default();
    let start_up = alloc.publish(1);
    assert!(!alloc.is_frame_open());
    assert_eq!((alloc.begin_frame(), alloc.begin_frame()), (1, 1));
    assert!(alloc.is_frame_open());
    alloc.frame().alloc([0u8; 100]);
    assert_eq!(alloc.get(start_up), Ok(&1));
    let stats = alloc.end_frame();
    // What was allocated before the first `begin_frame` belongs to the frame that ends first.
    assert_eq!((stats.frame, stats.bytes_allocated), (1, 112));
    assert!(!alloc.is_frame_open());
    for frame in 2..5 {
        assert_eq!((alloc.end_frame().frame, alloc.stats().frame), (frame, frame + 1));
    }
    assert!(alloc.get(start_up).is_err());
}

#[test]
fn moved_swapped_and_sent_between_frames() {
    let mut a = SmartAlloc::default();
    let mut b = SmartAlloc::default();
    let (in_a, in_b) = (a.publish(String::from("a")), b.publish(String::from("b")));
    std::mem::swap(&mut a, &mut b);
    assert_eq!((b.get(in_a).unwrap().as_str(), a.get(in_b).unwrap().as_str()), ("a", "b"));
    assert!(a.get(in_a).unwrap_err().is_foreign());
    let mut boxed = Box::new(a);
    *boxed.frame().alloc(1) += 1;
    let moved = thread::spawn(move || {
        assert_eq!(boxed.get(in_b).unwrap(), "b");
        boxed.frame().alloc([1u8; 5000]);
        let stats = boxed.end_frame();
        assert_eq!(stats.threads, 2);
        *boxed
    });
    let mut a = moved.join().unwrap();
    assert!(a.get(in_b).is_err());
    assert_eq!(a.frame().alloc_str("again"), "again");
    assert_eq!(a.end_frame().frame, 2);
    assert_eq!(b.get(in_a).unwrap(), "a");
}

#[test]
fn memory_of_a_dead_thread_is_readable_until_the_frame_ends() {
    let mut alloc = SmartAlloc::new(small());
    let ledger = Ledger::default();
    for _ in 0..3 {
        let boxed: FrameBox<'_, [u64]> =
            thread::scope(|s| s.spawn(|| alloc.frame().alloc_box_slice_with(1000, |i| i as u64 * 3)).join().unwrap());
        let handle = thread::scope(|s| s.spawn(|| alloc.publish(ledger.enter(7))).join().unwrap());
        // Other threads come and go, and write all over their own memory.
        for _ in 0..4 {
            thread::scope(|s| {
                s.spawn(|| alloc.frame().alloc_slice_fill(4000, 0xffu8).len());
            });
        }
        assert!(boxed.iter().enumerate().all(|(i, &x)| x == i as u64 * 3));
        assert_eq!(alloc.get(handle).map(|value| value.value), Ok(7));
        drop(boxed);
        assert_eq!(alloc.end_frame().destructors, 1);
    }
    ledger.assert_settled();
}

/// A thread that comes to many allocators makes room in its list for them; it forgets those that are gone, and no others.
#[test]
fn thread_keeps_its_slots_where_it_comes_to_many_allocators() {
    let all: Vec<SmartAlloc> = (0..40).map(|_| SmartAlloc::default()).collect();
    for _ in 0..2 {
        for alloc in &all {
            alloc.frame().alloc(1u8);
        }
    }
    assert!(all.iter().all(|alloc| alloc.stats().threads == 1));
}

#[test]
fn boundary_leaves_living_threads_their_slots() {
    let mut alloc = SmartAlloc::new(small());
    alloc.frame().alloc(1u8);
    alloc.end_frame();
    thread::scope(|s| s.spawn(|| *alloc.frame().alloc(2u8)).join().unwrap());
    assert_eq!(alloc.stats().threads, 2);
}

#[test]
fn slots_of_dead_threads_serve_new_ones() {
    let mut alloc = SmartAlloc::new(small());
    for round in 0..50 {
        for _ in 0..2 {
            // Joined by name: the scope alone does not wait for thread-local destructors.
            thread::scope(|s| s.spawn(|| alloc.frame().alloc([round; 100])[99]).join().unwrap());
        }
        alloc.end_frame();
        assert!(alloc.stats().threads <= 2, "{} slots after {round} rounds", alloc.stats().threads);
    }
    let committed = alloc.stats().committed;
    assert!(committed <= 2 * 2048, "{committed} bytes for two threads at a time");
}

#[test]
fn live_threads_keep_their_slots_to_themselves() {
    let alloc = SmartAlloc::new(small());
    let barrier = Barrier::new(4);
    thread::scope(|s| {
        for mark in 0..4u8 {
            let (alloc, barrier) = (&alloc, &barrier);
            s.spawn(move || {
                let mut mine = Vec::new();
                for _ in 0..50 {
                    barrier.wait();
                    mine.push(alloc.frame().alloc_slice_fill(333, mark));
                }
                assert!(mine.iter().all(|block| block.iter().all(|&byte| byte == mark)));
            });
        }
    });
    assert_eq!(alloc.stats().threads, 4);
}

#[test]
fn handles_live_as_long_as_frames_are_in_flight() {
    for in_flight in 1..=3 {
        let mut alloc = SmartAlloc::new(small().with_frames_in_flight(in_flight));
        let ledger = Ledger::default();
        let mut handles = Vec::new();
        for frame in 0..10usize {
            alloc.begin_frame();
            handles.push(alloc.publish(ledger.enter(frame as u64)));
            for (of, &handle) in handles.iter().enumerate() {
                let read = alloc.get(handle).map(|value| value.value);
                assert_eq!(read.ok(), (of + in_flight > frame).then_some(of as u64), "{in_flight} in flight");
            }
            alloc.end_frame();
            assert_eq!(ledger.dropped(), (frame + 2).saturating_sub(in_flight));
            assert_eq!(alloc.stats().frames_in_flight, (frame + 1).min(in_flight - 1));
        }
        drop(alloc);
        ledger.assert_settled();
    }
}

#[test]
fn memory_of_frames_in_flight_is_reused_and_bounded() {
    for in_flight in 1..=3 {
        let mut alloc = SmartAlloc::new(small().with_frames_in_flight(in_flight));
        let mut committed = 0;
        for frame in 0..60 {
            for _ in 0..20 {
                alloc.frame().alloc([frame; 200]);
            }
            alloc.end_frame();
            if frame == 10 {
                committed = alloc.stats().committed;
            }
        }
        assert_eq!(alloc.stats().committed, committed);
    }
}

#[test]
fn hand_sealed_frame_never_enters_the_ring() {
    let mut alloc = SmartAlloc::new(small().with_frames_in_flight(3));
    let ringed = alloc.publish(1);
    alloc.end_frame();
    let by_hand = alloc.publish(2);
    let sealed = alloc.seal_frame();
    assert_eq!(alloc.stats().frames_in_flight, 1);
    assert_eq!((alloc.get(ringed), alloc.get(by_hand).is_err()), (Ok(&1), true));
    assert_eq!((sealed.get(by_hand), sealed.get(ringed).is_err()), (Ok(&2), true));
    assert_eq!(sealed.frame(), 2);
    alloc.end_frame();
    alloc.end_frame();
    assert!(alloc.get(ringed).is_err());
    assert_eq!(sealed.get(by_hand), Ok(&2));
}

#[test]
fn sealed_frames_are_dropped_in_any_order_anywhere() {
    let ledger = Ledger::default();
    let mut alloc = SmartAlloc::new(small());
    let mut sealed = Vec::new();
    for frame in 0..12u64 {
        let handle = alloc.publish(ledger.enter(frame));
        alloc.frame().alloc([frame; 300]);
        sealed.push((alloc.seal_frame(), handle, frame));
    }
    // Every third here, every third elsewhere, the last third after the allocator.
    let mut elsewhere = Vec::new();
    for at in [9, 6, 3, 0] {
        drop(sealed.remove(at));
    }
    for at in [6, 4, 2, 0] {
        elsewhere.push(sealed.remove(at));
    }
    thread::spawn(move || drop(elsewhere)).join().unwrap();
    for frame in 0..30u64 {
        alloc.frame().alloc([frame; 300]);
        alloc.end_frame();
    }
    drop(alloc);
    for (frame, handle, value) in &sealed {
        assert_eq!(frame.get(*handle).map(|entered| entered.value), Ok(*value));
    }
    assert_eq!(ledger.dropped(), 8);
    drop(sealed);
    ledger.assert_settled();
}

#[test]
fn sealed_frame_is_read_while_later_frames_end() {
    let mut alloc = SmartAlloc::new(small());
    let (send, receive) = mpsc::sync_channel::<(SealedFrame, FrameHandle<[u32]>, u32)>(2);
    let render = thread::spawn(move || {
        receive
            .into_iter()
            .map(|(frame, handle, seed)| {
                let values = frame.get(handle).unwrap();
                assert!(values.iter().enumerate().all(|(i, &x)| x == seed + i as u32));
            })
            .count()
    });
    for seed in 0..200 {
        let handle = alloc.publish_slice_fill_with(500, |i| seed + i as u32);
        send.send((alloc.seal_frame(), handle, seed)).unwrap();
    }
    drop(send);
    assert_eq!(render.join().unwrap(), 200);
    assert!(alloc.stats().committed <= 10 * 4096, "{}", alloc.stats().committed);
}

struct Nested {
    _inner: Option<SealedFrame>,
    count: Arc<AtomicUsize>,
}

impl Drop for Nested {
    fn drop(&mut self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// `depth` frames, each sealed and published in the next.
fn nested(alloc: &mut SmartAlloc, depth: usize, count: &Arc<AtomicUsize>) {
    let mut inner = None;
    for _ in 0..depth {
        alloc.publish(Nested { _inner: inner.take(), count: count.clone() });
        inner = Some(alloc.seal_frame());
    }
    alloc.publish(Nested { _inner: inner, count: count.clone() });
}

#[test]
fn sealed_frames_nest_without_using_the_stack() {
    const DEPTH: usize = 100_000;
    let work = || {
        let config = || AllocConfig::default().with_frame_chunk(1024, 1024);
        let count = Arc::new(AtomicUsize::new(0));
        let mut alloc = SmartAlloc::new(config());
        nested(&mut alloc, DEPTH, &count);
        assert_eq!(count.load(Ordering::Relaxed), 0);
        alloc.end_frame();
        assert_eq!(count.load(Ordering::Relaxed), DEPTH + 1);
        // All of it can be used again, and given back.
        alloc.trim();
        assert_eq!(alloc.stats().committed, 0);
        // Reclaimed by the allocator's drop, by a sealed frame's, and on another thread.
        nested(&mut alloc, 20_000, &count);
        drop(alloc);
        assert_eq!(count.load(Ordering::Relaxed), DEPTH + 20_002);
        let mut alloc = SmartAlloc::new(config());
        nested(&mut alloc, 20_000, &count);
        let last = alloc.seal_frame();
        drop(alloc);
        thread::Builder::new().stack_size(64 << 10).spawn(move || drop(last)).unwrap().join().unwrap();
        assert_eq!(count.load(Ordering::Relaxed), DEPTH + 40_003);
    };
    thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap().join().unwrap();
}

#[test]
fn allocators_nest_in_frames_of_allocators_without_using_the_stack() {
    let work = || {
        let ledger = Ledger::default();
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_frame_chunk(1024, 1024));
        for _ in 0..2_000 {
            let outer = SmartAlloc::new(AllocConfig::default().with_frame_chunk(1024, 1024));
            outer.publish((alloc, ledger.enter(1)));
            alloc = outer;
        }
        drop(alloc);
        ledger.assert_settled();
    };
    thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap().join().unwrap();
}

#[test]
fn frames_cannot_end_while_leases_are_out() {
    let mut alloc = SmartAlloc::default();
    let handle = alloc.publish(3);
    let first = alloc.lease();
    let second = first.clone();
    let third = second.lease();
    assert_eq!(alloc.stats().leases, 3);
    let error = alloc.try_end_frame().unwrap_err();
    assert!(error.to_string().contains('3'), "{error}");
    assert_eq!(error.kind(), AllocErrorKind::Leased { leases: 3 });
    assert!(alloc.try_seal_frame().is_err());
    let text = support::panic_text(|| alloc.end_frame()).unwrap();
    assert!(text.contains("leases") && text.contains('3'), "{text}");
    // Nothing was changed by the refusals.
    assert_eq!((alloc.get(handle), alloc.stats().frame), (Ok(&3), 1));
    drop((first, third));
    assert!(alloc.try_end_frame().unwrap_err().to_string().contains('1'));
    drop(second);
    assert_eq!(alloc.try_end_frame().unwrap().frame, 1);
}

#[test]
fn lease_outlives_its_allocator() {
    let ledger = Ledger::default();
    let alloc = SmartAlloc::default();
    let lease = alloc.lease();
    let handle = alloc.publish(ledger.enter(9));
    drop(alloc);
    let task = thread::spawn(move || {
        assert_eq!(lease.get(handle).map(|value| value.value), Ok(9));
        lease.frame().alloc([1u8; 100_000])[7]
    });
    assert_eq!(task.join().unwrap(), 1);
    ledger.assert_settled();
}

#[test]
#[cfg(target_pointer_width = "64")]
fn a_handle_is_a_pointer_and_one_word() {
    assert_eq!(size_of::<FrameHandle<[u8; 100]>>(), 16);
    assert_eq!((size_of::<FrameHandle<[u8]>>(), size_of::<Option<FrameHandle<str>>>()), (24, 24));
}

#[test]
fn iterators_that_promise_wrongly_lose_nothing() {
    struct Promise<I>(I, usize);
    impl<I: Iterator> Iterator for Promise<I> {
        type Item = I::Item;
        fn next(&mut self) -> Option<I::Item> {
            self.0.next()
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (self.1, Some(self.1))
        }
    }
    for len in [0u32, 1, 3, 4, 5, 100] {
        for promised in [0, 1, 3, 4, 5, 200] {
            let alloc = SmartAlloc::default();
            let iter = || Promise((0..len).map(|i| i.to_string()), promised);
            let wanted: Vec<String> = (0..len).map(|i| i.to_string()).collect();
            let boxed = alloc.frame_box_slice_from_iter(iter());
            assert_eq!(*boxed, *wanted);
            // What was reserved for the rest of the promise is given back.
            assert_eq!(alloc.frame().stats().bytes_allocated, size_of_val(&*boxed));
            let published = alloc.publish_slice_fill_iter(iter());
            assert_eq!(*alloc.get(published).unwrap(), *wanted);
            let mut vec = alloc.frame_vec();
            vec.extend(iter());
            vec.extend_from_slice(&wanted);
            vec.try_extend(iter()).unwrap();
            assert_eq!(*vec, *[&wanted[..], &wanted, &wanted].concat());
        }
    }
}

#[test]
fn an_iterator_may_allocate_where_it_is_collected() {
    let alloc = SmartAlloc::default();
    let frame = alloc.frame();
    for len in [1usize, 5, 100, 20_000] {
        for kept in [1, 3] {
            let mut texts = Vec::new();
            let mut next = |i: usize| {
                texts.push(frame.alloc_str(&i.to_string()));
                i
            };
            let numbers = match kept {
                1 => frame.alloc_slice_fill_iter((0..len).map(&mut next)),
                _ => frame.alloc_slice_fill_iter((0..len).map(&mut next).filter(|i| i % kept == 0)),
            };
            assert!(numbers.iter().copied().eq((0..len).step_by(kept)));
            assert!(texts.iter().enumerate().all(|(i, text)| **text == i.to_string()));
        }
    }
}

#[test]
fn a_vector_keeps_what_was_appended_when_the_next_one_panics() {
    let alloc = SmartAlloc::default();
    let mut vec = alloc.frame_vec::<String>();
    let next = |i: u32| if i < 10 { i.to_string() } else { panic!("no more") };
    let appended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| vec.extend((0..20).map(next))));
    assert!(appended.is_err());
    assert_eq!(vec.len(), 10);
    assert_eq!(vec[9], "9");
}

#[test]
fn stale_and_foreign_handles_are_refused_with_a_text() {
    let mut alloc = SmartAlloc::default();
    let other = SmartAlloc::default();
    let handle = alloc.publish(1);
    assert_eq!(alloc.get(handle), Ok(&1));
    let foreign = other.get(handle).unwrap_err();
    assert!(foreign.is_foreign() && foreign.to_string().contains("allocator"));
    alloc.end_frame();
    let stale = alloc.get(handle).unwrap_err();
    assert!(!stale.is_foreign());
    assert_eq!(stale.handle_frame(), 1);
    assert!(stale.to_string().contains("frame 1") && stale.to_string().contains("frame 2"), "{stale}");
    // The memory is handed out again, and the old handle still does not read it.
    let fresh = alloc.publish(2);
    assert!(alloc.get(handle).is_err() && fresh != handle);
    assert_eq!(alloc.get(fresh), Ok(&2));
}

#[test]
fn two_instances_interleaved_on_a_thread_stay_apart() {
    let mut a = SmartAlloc::new(small());
    let mut b = SmartAlloc::new(small());
    for round in 0..20u32 {
        let mut in_a = a.frame().vec();
        let mut in_b = b.frame().vec();
        for i in 0..500 {
            in_a.push(round ^ i);
            in_b.push(!(round ^ i));
        }
        drop(in_b);
        // Ending `b` leaves what is in `a` alone.
        b.end_frame();
        let in_b = b.frame().alloc_slice_fill(3000, 0xa5u8);
        assert!(in_a.iter().zip(0..).all(|(&x, i)| x == round ^ i));
        drop(in_a);
        // And ending `a` what is in `b`, whichever was used last.
        a.end_frame();
        a.frame().alloc_slice_fill(6000, 0x5au8);
        assert!(in_b.iter().all(|&byte| byte == 0xa5));
        assert_eq!(a.end_frame().bytes_allocated, 6000);
        assert_eq!(b.end_frame().bytes_allocated, 3000);
    }
}

#[test]
fn forgotten_guards_leak_at_most() {
    let mut alloc = SmartAlloc::new(small());
    for round in 0..40u8 {
        let scratch = alloc.scratch();
        scratch.alloc([round; 900]);
        std::mem::forget(scratch);
        std::mem::forget(alloc.frame().alloc_box_slice_with(10, |_| round));
        let mut vec = alloc.frame_vec();
        vec.extend([round; 700]);
        std::mem::forget(vec.drain(10..20));
        std::mem::forget(vec);
        let mut map = alloc.frame_map();
        map.insert(round, round);
        std::mem::forget(map);
        alloc.end_frame();
        let kept = alloc.scratch();
        let block = kept.alloc_slice_fill(900, !round);
        let other = alloc.scratch();
        other.alloc_slice_fill(900, round);
        alloc.frame().alloc_slice_fill(3000, round);
        assert!(block.iter().all(|&byte| byte == !round));
    }
    assert!(alloc.stats().committed < 100_000, "{}", alloc.stats().committed);
}

#[test]
fn scratches_never_rewind_each_other() {
    let alloc = SmartAlloc::new(small());
    let a = alloc.scratch();
    let first = a.alloc_slice_fill(500, 1u8);
    let b = alloc.scratch();
    let second = b.alloc_slice_fill(500, 2u8);
    // Of sizes that fit into the chunks of the others as well.
    for bytes in [100, 500, 900, 2000] {
        let c = alloc.scratch();
        c.alloc_slice_fill(bytes, 3u8);
        assert!(first.iter().all(|&x| x == 1) && second.iter().all(|&x| x == 2));
        drop(c);
        alloc.scratch().alloc_slice_fill(bytes, 5u8);
        assert!(first.iter().all(|&x| x == 1) && second.iter().all(|&x| x == 2));
    }
    // Given back in the order of their making, not in reverse.
    assert!(first.iter().all(|&x| x == 1));
    drop(a);
    for bytes in [100, 500, 900, 2000] {
        let d = alloc.scratch();
        d.alloc_slice_fill(bytes, 4u8);
        assert!(second.iter().all(|&x| x == 2));
    }
}

#[test]
fn peak_is_the_most_of_all_frames() {
    let mut alloc = SmartAlloc::default();
    for (bytes, peak) in [(1000, 1000), (5000, 5000), (200, 5000), (8000, 8000)] {
        alloc.frame().alloc_slice_fill(bytes, 1u8);
        let stats = alloc.end_frame();
        assert_eq!((stats.bytes_allocated, stats.peak), (bytes, peak));
        assert_eq!(alloc.stats().last_frame, stats);
    }
}

#[test]
fn prefaulted_memory_stays_for_a_late_spike() {
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_prefault(8 << 20));
    for _ in 0..200 {
        alloc.frame().alloc(1);
        alloc.end_frame();
    }
    let before = alloc.stats().backend_allocations;
    for _ in 0..7 {
        assert_eq!(alloc.frame().alloc_uninit_slice::<u8>(900 << 10).len(), 900 << 10);
    }
    assert_eq!(alloc.stats().backend_allocations, before);
    alloc.end_frame();
    assert!(alloc.trim() >= 8 << 20);
    // Asked for by name, the floor is gone as well.
    (0..7).for_each(|_| assert_eq!(alloc.frame().alloc_uninit_slice::<u8>(900 << 10).len(), 900 << 10));
    for _ in 0..200 {
        alloc.end_frame();
    }
    assert!(alloc.stats().committed < 2 << 20);
}

#[test]
fn handles_of_different_slices_differ() {
    let alloc = SmartAlloc::default();
    alloc.frame().alloc(1u64);
    let empty = alloc.publish_slice_copy::<u32>(&[]);
    let three = alloc.publish_slice_copy(&[1u32, 2, 3]);
    assert_ne!(empty, three);
    assert_eq!(three, three.clone());
}

#[test]
fn bytes_count_what_was_freed_within_the_frame() {
    let mut alloc = SmartAlloc::default();
    alloc.with_tag("vec", |a| {
        let mut vec = a.frame_vec::<u8>();
        vec.resize(50 << 20, 1);
    });
    alloc.with_tag("after", |a| a.frame().alloc(1u64));
    let stats = alloc.end_frame();
    assert!(stats.bytes_allocated >= 50 << 20 && stats.peak == stats.bytes_allocated, "{stats:?}");
    let bytes = |tag: &str| alloc.tags().iter().find(|row| row.tag.name() == tag).unwrap().bytes;
    assert!(bytes("vec") >= 50 << 20);
    assert_eq!(bytes("after"), 8);
    alloc.frame().alloc(1u64);
    assert_eq!(alloc.end_frame().bytes_allocated, 8);
}

#[test]
fn sealing_by_hand_ages_the_frames_in_flight() {
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_frames_in_flight(2));
    let ledger = std::sync::Arc::new(());
    let handle = alloc.publish(ledger.clone());
    alloc.end_frame();
    assert!(alloc.get(handle).is_ok());
    drop(alloc.seal_frame());
    assert!(alloc.get(handle).is_err());
    assert_eq!(std::sync::Arc::strong_count(&ledger), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn numa_node_and_backend_go_together() {
    let config = AllocConfig::default().with_numa_node(0).with_backend(Box::new(FixedBackend::new(1 << 20)));
    let mut alloc = SmartAlloc::new(config);
    assert_eq!(*alloc.frame().alloc(7), 7);
    assert_eq!(alloc.end_frame().threads, 1);
}
