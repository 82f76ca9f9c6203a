//! Everything that is owned and has something to do when it is dropped, forgotten: a leak is allowed, and nothing else. What
//! was forgotten lies in memory that is reset and used again, or is gone with its allocator.

#![cfg(feature = "std")]

mod support;

use std::mem::forget;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use framealloc_core::*;
use support::Scripted;

/// What stays for ever, by its address: a leak that is meant is reachable for a leak checker.
fn keep<T>(forgotten: &'static T) -> &'static T {
    static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    KEPT.lock().unwrap().push(std::ptr::from_ref(forgotten).addr());
    forgotten
}

fn keep_for_ever<T: 'static>(value: T) -> &'static T {
    keep(Box::leak(Box::new(value)))
}

/// Counts its destructors.
struct Counted(&'static AtomicUsize, u64);

impl Drop for Counted {
    fn drop(&mut self) {
        // Memory that was used again would show.
        assert_eq!(self.1, 0x5eed, "dropped in memory that is another's");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is forgotten in a frame, with the allocator, and a maker of values.
type Forget = fn(&SmartAlloc, &dyn Fn() -> Counted);

/// By the public type, so that none is forgotten here.
const IN_A_FRAME: &[(&str, Forget)] = &[
    ("FrameBox", |a, make| {
        forget(a.frame_box(make()));
        forget(a.frame().alloc_box_slice_with(9, |_| make()));
        let boxed: FrameBox<'_, dyn Send> = unsize!(a.frame_box(make()));
        forget(boxed);
        FrameBox::leak(a.frame_box(make())).1 = 0;
    }),
    ("BoxedSliceIter", |a, make| {
        let mut iter = a.frame().alloc_box_slice_with(9, |_| make()).into_iter();
        drop((iter.next(), iter.next_back()));
        forget(iter);
    }),
    ("FrameVec", |a, make| {
        let mut vec = a.frame_vec();
        vec.extend((0..20).map(|_| make()));
        forget(vec.drain(3..7));
        vec.extend((0..20).map(|_| make()));
        forget(vec.drain(..).rev());
        forget(vec);
        let mut vec = a.frame().collect((0..20).map(|_| make())).into_iter();
        drop(vec.next());
        forget(vec);
        forget(a.frame().collect((0..20).map(|_| make())).into_boxed_slice());
    }),
    ("FrameString", |a, _| {
        let mut string = a.frame_string();
        string.push_str("forgotten");
        forget(string);
    }),
    ("FrameMap", |a, make| {
        let mut map = a.frame_map();
        (0..20).for_each(|i| drop(map.insert(i, make())));
        forget(map.drain());
        (0..20).for_each(|i| drop(map.insert(i, make())));
        forget(map.into_iter());
        let mut map = a.frame_map();
        (0..20).for_each(|i| drop(map.insert(i, make())));
        // An iterator without a destructor of its own: what it has not come to stays.
        let _ = map.extract_if(|_, _| true);
        forget(map);
    }),
    ("FrameSet", |a, _| {
        let mut set = a.frame_set();
        set.extend(0..50);
        forget(set.drain());
        set.extend(0..50);
        forget(set);
    }),
    ("FrameDeque", |a, make| {
        let mut deque = a.frame_deque();
        (0..20).for_each(|_| deque.push_front(make()));
        drop(deque.pop_back());
        forget(deque);
    }),
    ("PromoteError", |a, make| {
        // As it comes back with the box of the frame.
        forget(PromoteError {
            error: a.frame().try_alloc_slice_fill(usize::MAX, 0u8).unwrap_err(),
            value: a.frame_box(make()),
        });
    }),
    ("Columns", |a, _| forget(a.frame_columns::<(String, Vec<u8>)>(30))),
    ("Scratch", |a, make| {
        let scratch = a.scratch();
        scratch.alloc_slice_fill(2000, 1u8);
        forget(scratch.alloc_box(make()));
        forget(scratch);
        forget((a.scratch(), a.scratch()));
    }),
];

#[test]
fn whatever_is_forgotten_in_a_frame_its_memory_is_used_again() {
    for in_flight in [1, 3] {
        for (name, forget_it) in IN_A_FRAME {
            let backend = Scripted::new();
            let config = AllocConfig::default().with_frame_chunk(1024, 4096).with_frames_in_flight(in_flight);
            let mut alloc = SmartAlloc::new(config.with_backend(backend.boxed()));
            let (drops, made) = (keep_for_ever(AtomicUsize::new(0)), AtomicUsize::new(0));
            let make = || {
                made.fetch_add(1, Ordering::Relaxed);
                Counted(drops, 0x5eed)
            };
            let mut settled = 0;
            for round in 0..60u8 {
                alloc.begin_frame();
                forget_it(&alloc, &make);
                // What follows in the same frame is not disturbed.
                let block = alloc.frame().alloc_slice_fill(500, round);
                let kept = alloc.frame_box(make());
                forget_it(&alloc, &make);
                assert!(block.iter().all(|&byte| byte == round) && kept.1 == 0x5eed, "{name}");
                drop(kept);
                alloc.end_frame();
                let scratch = alloc.scratch();
                scratch.alloc_slice_fill(3000, round);
                if round == 10 {
                    settled = alloc.stats().committed;
                }
            }
            assert!(alloc.stats().committed <= settled, "{name}: {} after {settled}", alloc.stats().committed);
            assert!(drops.load(Ordering::Relaxed) <= made.into_inner(), "{name}: a value was dropped twice");
            drop(alloc);
            assert_eq!(backend.live(), (0, 0), "{name}");
        }
    }
}

/// In an arena that is reset, and in a scope that is left.
#[test]
fn whatever_is_forgotten_in_an_arena_its_memory_is_used_again() {
    let drops = keep_for_ever(AtomicUsize::new(0));
    let make = || Counted(drops, 0x5eed);
    let mut arena = Arena::with_chunk_sizes(1024, 4096);
    let mut committed = 0;
    for round in 0..60u8 {
        arena.scope(|scope| {
            forget(scope.alloc_box(make()));
            forget(scope.collect((0..9).map(|_| make())));
            let outer = scope.alloc_slice_fill(100, round);
            scope.scope(|inner| {
                forget(inner.alloc_box_slice_with(9, |_| make()));
                let mut deque = inner.deque();
                deque.extend((0..9).map(|_| make()));
                forget(deque);
            });
            assert!(scope.alloc_slice_fill(100, !round).iter().all(|&byte| byte == !round));
            assert!(outer.iter().all(|&byte| byte == round));
        });
        forget(arena.alloc_box(make()));
        forget(arena.collect((0..9).map(|_| make())));
        arena.reset();
        arena.alloc_slice_fill(3000, round);
        arena.reset();
        if round == 10 {
            committed = arena.committed();
        }
    }
    assert!(arena.committed() <= committed);
    assert_eq!(drops.load(Ordering::Relaxed), 0);
}

/// What owns memory or keeps a frame open by itself does so for good, and disturbs nobody else.
const FOR_GOOD: &[(&str, Forget)] = &[
    ("PoolBox", |a, make| {
        forget(a.pool_box(make()));
        let boxed: PoolBox<dyn Send> = unsize!(a.pool_box(make()));
        forget(boxed);
        forget(PoolBox::into_pin(a.pool_box([1u8; 700])));
    }),
    ("HeapBox", |a, make| forget(a.heap_box((make(), [1u8; 5000])))),
    ("Pool", |a, _| assert!(keep_for_ever(a.pool().clone()).stats().slabs < 100)),
    ("Fallible", |a, _| {
        let list = allocator_api2::vec::Vec::<u64, _>::new_in(keep_for_ever(a.pool().fallible()));
        assert!(list.is_empty());
    }),
];

#[test]
fn what_is_forgotten_for_good_stays_and_disturbs_nobody() {
    // Its books have the addresses of all blocks.
    static KEPT: Mutex<Vec<Scripted>> = Mutex::new(Vec::new());
    for (name, forget_it) in FOR_GOOD {
        let backend = Scripted::new();
        KEPT.lock().unwrap().push(backend.clone());
        let mut alloc =
            SmartAlloc::new(AllocConfig::default().with_frame_chunk(1024, 4096).with_backend(backend.boxed()));
        let drops = keep_for_ever(AtomicUsize::new(0));
        let make = || Counted(drops, 0x5eed);
        for round in 0..30u64 {
            let kept: Vec<_> = (0..20).map(|i| alloc.pool_box([i ^ round; 4])).collect();
            forget_it(&alloc, &make);
            alloc.trim();
            assert!(kept.iter().zip(0..).all(|(words, i)| **words == [i ^ round; 4]), "{name}");
            drop(kept);
            alloc.end_frame();
        }
        // Slabs and blocks that hold something forgotten are never used for anything else.
        let other: Vec<_> = (0..3000u64).map(|i| alloc.pool_box([i; 4])).collect();
        assert!(other.iter().zip(0..).all(|(words, i)| **words == [i; 4]), "{name}");
        drop((other, alloc));
        assert_eq!(drops.load(Ordering::Relaxed), 0, "{name}");
    }
}

#[test]
fn forgotten_sealed_frame_keeps_its_memory() {
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_frame_chunk(1024, 4096));
    for round in 0..20u64 {
        let handle = alloc.publish_slice_fill_with(100, |i| i as u64 ^ round);
        let sealed = alloc.seal_frame();
        let kept: &'static [u64] = {
            let sealed: &'static SealedFrame = keep_for_ever(sealed);
            sealed.get(handle).unwrap()
        };
        alloc.frame().alloc_slice_fill(500, u64::MAX);
        alloc.end_frame();
        assert!(kept.iter().zip(0..).all(|(&word, i)| word == i ^ round));
    }
    drop(alloc);
}

#[test]
fn forgotten_lease_keeps_the_frame_open() {
    let mut alloc = SmartAlloc::default();
    let kept: &'static Lease = keep_for_ever(alloc.lease());
    let word: &'static mut u64 = kept.frame().alloc(7);
    assert!(alloc.try_end_frame().is_err() && alloc.try_seal_frame().is_err());
    alloc.trim();
    alloc.frame().alloc_slice_fill(10_000, 1u8);
    assert_eq!(*word, 7);
    drop(alloc);
    assert_eq!((*word, *kept.frame().alloc(8)), (7, 8));
}

#[test]
fn forgotten_allocator_and_arena_keep_all_they_have() {
    let alloc: &'static SmartAlloc = keep_for_ever(SmartAlloc::default());
    let arena: &'static Arena = keep_for_ever(Arena::new());
    let (a, b) = (alloc.frame().alloc(1u64), arena.alloc(2u64));
    // The thread dies with it: its slot is not handed on, for no frame ends.
    std::thread::spawn(|| alloc.frame().alloc_slice_fill(1000, 3u8).len()).join().unwrap();
    alloc.frame().alloc_slice_fill(1000, 4u8);
    assert_eq!((*a, *b), (1, 2));
}

/// The types in whose names `Drop` is implemented in the sources, and the collections that own others' guards: all are here.
#[test]
fn every_type_with_a_destructor_is_forgotten_here() {
    let text = include_str!("leaked_guards.rs");
    let lib = include_str!("../src/frame/mod.rs");
    let mut owners = vec!["PoolBox", "HeapBox", "Lease", "SealedFrame", "Arena", "SmartAlloc", "Pool", "PromoteError"];
    let exported = lib.lines().filter_map(|line| line.strip_prefix("pub use "));
    owners.extend(exported.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).filter(|name| {
        // Neither traits, nor handles and brands, which own nothing.
        name.starts_with(char::is_uppercase) && !["OnceFn", "FrameHandle", "StaleHandle"].contains(name)
    }));
    for owner in owners {
        assert!(text.contains(&format!("{owner}\"")) || text.contains(&format!("static {owner} =")), "{owner}");
    }
}
