//! The hook upward: refusals, bounds that hold to the byte, nonsense, re-entry, and books that balance.

#[path = "support/clerk.rs"]
mod clerk;
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::thread;

use clerk::{CALLS, Call, Clerk, governed};
use framealloc_core::*;
use support::panic_text;

/// How many words fit until the first refusal.
fn words_until_refusal(alloc: &SmartAlloc) -> usize {
    let frame = alloc.frame();
    (0..1_000_000).take_while(|&i| frame.try_alloc(i).is_ok()).count()
}

#[test]
fn refused_request_is_an_error_and_the_next_succeeds() {
    for n in 0..6 {
        let clerk = Clerk::new();
        clerk.answer(n, Verdict::Deny);
        let mut alloc = governed(&clerk);
        let mut refusals = 0;
        for i in 0..3000u64 {
            match alloc.frame().try_alloc([i; 2]) {
                Ok(block) => assert_eq!(*block, [i; 2]),
                Err(error) => {
                    let AllocErrorKind::Refused { resource: Resource::Chunk, requested, allowed: 0 } = error.kind()
                    else {
                        panic!("{error:?}")
                    };
                    assert!(error.to_string().contains(&requested.to_string()), "{error}");
                    refusals += 1;
                }
            }
        }
        assert_eq!((refusals, alloc.end_frame().refused), (1, 1));
        drop(alloc);
        assert_eq!(clerk.held(), 0);
    }
}

#[test]
fn nonsense_answers_do_no_harm() {
    for (verdict, fine) in [
        (Verdict::AllowUpTo(0), false),
        (Verdict::AllowUpTo(1), false),
        (Verdict::AllowUpTo(700), false),
        (Verdict::AllowUpTo(1023), true),
        (Verdict::AllowUpTo(1001), true),
        (Verdict::AllowUpTo(usize::MAX), true),
        (Verdict::AllowUpTo(usize::MAX - 1), true),
        (Verdict::Allow, true),
        (Verdict::Deny, false),
    ] {
        let clerk = Clerk::new();
        clerk.answer(0, verdict);
        clerk.answer(1, verdict);
        let mut alloc = governed(&clerk);
        let block = alloc.frame().try_alloc_slice_fill(600, 7u8).map(|block| block.iter().all(|&byte| byte == 7));
        assert_eq!(block.is_ok(), fine, "{verdict:?}");
        let limit = if let Verdict::AllowUpTo(bytes) = verdict { bytes } else { usize::MAX };
        assert!(alloc.stats().committed <= limit, "{verdict:?}: {}", alloc.stats().committed);
        // Whatever the chunk's size, nothing is handed out beyond its end: a checker of memory would see it.
        let mut blocks = Vec::new();
        while let Ok(block) = alloc.frame().try_alloc_slice_fill(24, 9u8) {
            blocks.push(block.as_ptr().addr());
            if blocks.len() == 400 {
                break;
            }
        }
        blocks.sort_unstable();
        assert!(blocks.windows(2).all(|pair| pair[0] + 24 <= pair[1]));
        alloc.end_frame();
        drop(alloc);
        assert_eq!(clerk.held(), 0);
    }
}

#[test]
fn pools_and_large_blocks_are_asked_for_too() {
    let clerk = Clerk::new();
    let alloc = governed(&clerk);
    (0..3).for_each(|n| clerk.answer(n, Verdict::AllowUpTo(65535)));
    let refused = alloc.try_pool_box(1).unwrap_err().kind();
    assert!(matches!(refused, AllocErrorKind::Refused { resource: Resource::Slab, .. }), "{refused:?}");
    let refused = alloc.try_heap_box([0u8; 65536]).unwrap_err().kind();
    assert!(matches!(refused, AllocErrorKind::Refused { resource: Resource::Large, .. }), "{refused:?}");
    let refused = alloc.try_pool_box([0u8; 70_000]).unwrap_err().kind();
    assert!(matches!(refused, AllocErrorKind::Refused { resource: Resource::Large, .. }), "{refused:?}");
    assert_eq!((clerk.held(), alloc.stats().committed), (0, 0));
    let kept = (alloc.pool_box(1), alloc.heap_box([0u8; 65536]));
    assert!(clerk.held() >= 131_072);
    drop(alloc);
    drop(kept);
    assert_eq!(clerk.held(), 0);
}

#[test]
fn tag_is_bounded_to_eight_bytes() {
    // Far into the second, third and many further chunks.
    for grant in [0, 1, 7, 8, 9, 100, 777, 832, 840, 1500, 3000, 10_000, 50_001] {
        let clerk = Clerk::new();
        clerk.grant("tag", Verdict::AllowUpTo(grant));
        let alloc = governed(&clerk);
        for before in [0, 40, 1000] {
            alloc.frame().alloc_slice_fill(before, 1u8);
            let (words, after) = alloc.with_tag("tag", |a| {
                let words = words_until_refusal(a);
                let error = a.frame().try_alloc(1u64).unwrap_err();
                let AllocErrorKind::OverGrant { requested: 8, remaining } = error.kind() else { panic!("{error:?}") };
                assert_eq!(remaining, grant % 8, "{error}");
                (words, a.frame().try_alloc([0u8; 0]).is_ok())
            });
            assert_eq!((words, after), (grant / 8, true), "a grant of {grant}, {before} bytes before");
            assert_eq!(clerk.closed.lock().unwrap().pop(), Some(("tag", grant / 8 * 8)));
            // Outside of the tag there is no bound.
            assert!(alloc.frame().try_alloc([0u8; 3000]).is_ok());
        }
    }
}

#[test]
fn tag_bounds_every_kind_of_block() {
    let clerk = Clerk::new();
    clerk.grant("tag", Verdict::AllowUpTo(1000));
    let alloc = governed(&clerk);
    alloc.with_tag("tag", |a| {
        let f = a.frame();
        // A dedicated chunk, a slice, a growing vector, columns, something published.
        assert!(f.try_alloc_slice_fill(100_000, 1u8).is_err());
        assert!(f.try_alloc_slice_fill(1001, 1u8).is_err());
        assert!(f.try_columns::<(u64, u64)>(100).is_err());
        assert!(a.try_publish_slice_copy(&[0u64; 200]).is_err());
        let mut vec = f.vec();
        let text = panic_text(|| (0..u64::MAX).for_each(|i| vec.push(i))).unwrap();
        assert!(text.contains("grant"), "{text}");
        assert!(vec.len() <= 125 && vec.iter().enumerate().all(|(i, &x)| x == i as u64));
        drop(vec);
        // What was freed can be had again.
        assert_eq!(words_until_refusal(a), 125);
        // Scratch memory and pools are not part of it.
        assert_eq!(a.scratch().alloc_slice_fill(5000, 1u8).len(), 5000);
        assert_eq!(*a.pool_box(5), 5);
    });
    assert_eq!(clerk.closed.lock().unwrap().pop(), Some(("tag", 1000)));
}

#[test]
fn nested_tags_hold_the_nearer_bound_and_restore_the_outer() {
    let clerk = Clerk::new();
    for (tag, bytes) in [("outer", 5000), ("inner", 1000), ("wide", usize::MAX), ("zero", 0)] {
        clerk.grant(tag, Verdict::AllowUpTo(bytes));
    }
    let alloc = governed(&clerk);
    alloc.with_tag("outer", |a| {
        assert_eq!(a.with_tag("inner", words_until_refusal), 125);
        assert_eq!(a.with_tag("zero", words_until_refusal), 0);
        assert_eq!(a.with_tag("inner", |a| a.with_tag("wide", words_until_refusal)), 125);
        // 2000 are gone.
        a.frame().alloc_slice_fill(1000, 1u8);
        assert_eq!(a.with_tag("wide", words_until_refusal), 250);
        assert_eq!((words_until_refusal(a), a.with_tag("inner", words_until_refusal)), (0, 0));
    });
    assert_eq!(words_until_refusal(&alloc), 1_000_000);
    let closed = clerk.closed.lock().unwrap();
    assert_eq!(closed.last(), Some(&("outer", 5000)));
}

#[test]
fn tag_left_by_a_panic_restores_the_outer() {
    let clerk = Clerk::new();
    clerk.grant("tag", Verdict::AllowUpTo(100));
    let mut alloc = governed(&clerk);
    for _ in 0..3 {
        let text = panic_text(|| {
            alloc.with_tag("tag", |a| {
                a.with_tag("tag", |a| {
                    a.frame().alloc_slice_fill(64, 1u8);
                    panic!("inside");
                })
            })
        });
        assert_eq!(text.as_deref(), Some("inside"));
        assert_eq!(alloc.frame().alloc_slice_fill(10_000, 1u8).len(), 10_000);
        alloc.end_frame();
    }
    assert_eq!(clerk.closed.lock().unwrap().len(), 6);
}

#[test]
fn tag_that_closes_after_a_chunk_switch_keeps_the_bound_inside_its_chunk() {
    let clerk = Clerk::new();
    clerk.grant("tag", Verdict::AllowUpTo(usize::MAX));
    let alloc = governed(&clerk);
    let mut blocks = Vec::new();
    for round in 0..50u64 {
        blocks.push((round, alloc.frame().alloc_slice_fill(30, round)));
        alloc.with_tag("tag", |a| {
            // Ends in another chunk than it began in.
            for _ in 0..3 {
                blocks.push((round, a.frame().alloc_slice_fill(100, round)));
            }
        });
        for _ in 0..5 {
            blocks.push((!round, alloc.frame().alloc_slice_fill(7, !round)));
        }
    }
    assert!(blocks.iter().all(|(mark, block)| block.iter().all(|word| word == mark)));
    let mut places: Vec<_> = blocks.iter().map(|(_, block)| (block.as_ptr().addr(), size_of_val(*block))).collect();
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
}

#[test]
fn tag_is_extended_by_what_the_governor_adds() {
    let clerk = Clerk::new();
    clerk.grant("tag", Verdict::AllowUpTo(80));
    clerk.extensions.lock().unwrap().extend([Verdict::Deny, Verdict::AllowUpTo(160), Verdict::Allow]);
    let alloc = governed(&clerk);
    assert_eq!(alloc.with_tag("tag", words_until_refusal), 10 + 1 + 20);
    assert_eq!(*clerk.asked.lock().unwrap(), [("tag", 8); 3]);
    // An extension of an inner tag does not exceed the outer one, which is asked when it runs out itself.
    clerk.grant("inner", Verdict::AllowUpTo(16));
    clerk.extensions.lock().unwrap().extend([Verdict::Deny, Verdict::AllowUpTo(usize::MAX)]);
    clerk.grant("tag", Verdict::AllowUpTo(400));
    alloc.with_tag("tag", |a| assert_eq!(a.with_tag("inner", words_until_refusal), 50));
}

#[test]
fn governor_may_use_its_allocator_in_every_call() {
    static ALLOC: OnceLock<SmartAlloc> = OnceLock::new();
    static CLERK: LazyLock<Arc<Clerk>> = LazyLock::new(Clerk::new);
    static SEEN: Mutex<Vec<Call>> = Mutex::new(Vec::new());
    let alloc = ALLOC.get_or_init(|| governed(&CLERK));
    CLERK.hooked(|call| {
        let Some(alloc) = ALLOC.get() else { return };
        let size = {
            let mut seen = SEEN.lock().unwrap();
            seen.push(call);
            seen.len() % 3000
        };
        // In the same arena, the same pool, a scratch arena, a tag of its own. Inside a tag whose grant is used up, frame
        // memory is refused to the governor too.
        let block = alloc.frame().try_alloc_slice_fill(size, 0xeeu8).unwrap_or_default();
        let boxes: Vec<_> = (0..20).map(|i| alloc.pool_box([i; 3])).collect();
        drop(alloc.heap_box([1u8; 100]));
        let scratch = alloc.scratch();
        scratch.alloc_slice_fill(size, 0xddu8);
        if let Ok(handle) = alloc.try_publish(call) {
            assert_eq!(alloc.get(handle), Ok(&call));
        }
        let _ = alloc.with_tag("governor", |a| a.frame().try_alloc(1u64));
        alloc.pool().trim();
        assert!(block.iter().all(|&byte| byte == 0xee) && boxes.iter().zip(0..).all(|(b, i)| **b == [i; 3]));
    });
    CLERK.grant("tag", Verdict::AllowUpTo(50_000));
    CLERK.extensions.lock().unwrap().extend([Verdict::Allow; 4000]);
    thread::scope(|s| {
        for mark in 0..3u64 {
            s.spawn(move || {
                let mut blocks = Vec::new();
                let mut pooled = Vec::new();
                for i in 0..300 {
                    alloc.with_tag("tag", |a| {
                        blocks.extend(a.frame().try_alloc_slice_fill(20 + i, mark));
                        if i % 50 == 0 {
                            blocks.extend(a.frame().try_alloc_slice_fill(6_000, mark));
                            blocks.extend(a.frame().try_alloc_slice_fill(400, mark));
                        }
                    });
                    pooled.push(alloc.pool_box([mark; 30]));
                    drop(alloc.heap_box(mark));
                    if i % 40 == 0 {
                        pooled.clear();
                        alloc.pool().trim();
                    }
                }
                assert!(blocks.len() > 300 && blocks.iter().all(|block| block.iter().all(|&word| word == mark)));
                assert!(pooled.iter().all(|boxed| **boxed == [mark; 30]));
            });
        }
    });
    let seen = SEEN.lock().unwrap();
    for call in CALLS {
        // Nobody can end the frame of an allocator that its governor uses.
        assert_eq!(seen.contains(&call), call != Call::EndFrame, "{call:?}");
    }
}

#[test]
fn governor_may_use_the_pool_when_a_frame_ends() {
    let clerk = Clerk::new();
    let mut alloc = governed(&clerk);
    let used = Arc::new(Mutex::new((Some(alloc.pool().clone()), Vec::new())));
    let mine = used.clone();
    clerk.hooked(move |call| {
        if call == Call::EndFrame {
            let pool = mine.lock().unwrap().0.clone().unwrap();
            let boxed = pool.alloc_box([1u8; 100]);
            mine.lock().unwrap().1.push(boxed);
            pool.trim();
        }
    });
    for _ in 0..5 {
        alloc.frame().alloc([1u64; 300]);
        alloc.end_frame();
        drop(alloc.seal_frame());
    }
    assert_eq!(clerk.frames.lock().unwrap().len(), 10);
    // The pool keeps its governor, which keeps the pool.
    let (pool, boxes) = std::mem::take(&mut *used.lock().unwrap());
    assert_eq!(boxes.len(), 10);
    drop((pool, boxes, alloc));
    assert_eq!(clerk.held(), 0);
}

#[test]
fn collection_that_is_refused_says_why() {
    let clerk = Clerk::new();
    let alloc = governed(&clerk);
    let mut list = alloc.frame_vec::<u64>();
    clerk.answer(0, Verdict::Deny);
    let error = list.try_reserve(10).unwrap_err();
    assert!(matches!(error.kind(), AllocErrorKind::Refused { allowed: 0, .. }), "{error}");
    list.try_reserve(10).unwrap();
}

#[test]
fn allocators_do_not_silence_each_others_governors() {
    static INNER: OnceLock<SmartAlloc> = OnceLock::new();
    let (outer, inner) = (Clerk::new(), Clerk::new());
    assert!(INNER.set(governed(&inner)).is_ok());
    outer.hooked(|_| {
        INNER.get().unwrap().frame().alloc_slice_fill(5000, 1u8);
    });
    let alloc = governed(&outer);
    alloc.frame().alloc_slice_fill(5000, 1u8);
    // A budget holds whoever allocates.
    assert!(inner.requests() > 0);
    assert_eq!(inner.held() as usize, INNER.get().unwrap().stats().committed);
}

#[test]
fn byte_deltas_sum_to_zero() {
    for in_flight in 1..=3 {
        let clerk = Clerk::new();
        let config = AllocConfig::default().with_frame_chunk(1024, 8192).with_frames_in_flight(in_flight);
        let mut alloc = SmartAlloc::new(config.with_prefault(20_000).with_governor(clerk.clone()));
        let mut sealed = Vec::new();
        let mut pooled = Vec::new();
        for round in 0..30usize {
            thread::scope(|s| {
                let workers: Vec<_> = (0..3)
                    .map(|_| {
                        let alloc = &alloc;
                        s.spawn(move || {
                            alloc.frame().alloc_slice_fill(round * 1000, 1u8);
                            alloc.publish_slice_fill_with(round, |i| i.to_string());
                            alloc.scratch().alloc_slice_fill(round * 500, 1u8);
                            drop(alloc.frame().collect(0..round * 3000));
                            (alloc.pool_box([round; 40]), alloc.heap_box(round))
                        })
                    })
                    .collect();
                pooled.extend(workers.into_iter().map(|worker| worker.join().unwrap()));
            });
            if round % 4 == 0 {
                sealed.push(alloc.seal_frame());
            }
            if round % 7 == 0 {
                sealed.clear();
                pooled.truncate(round);
                alloc.trim();
            }
            alloc.end_frame();
            assert_eq!(clerk.held() as usize, alloc.stats().committed);
        }
        drop(alloc);
        assert!(clerk.held() > 0);
        thread::spawn(move || drop(pooled)).join().unwrap();
        drop(sealed);
        assert!(clerk.held.lock().unwrap().values().all(|&held| held == 0));
    }
}

#[test]
fn tag_scopes_of_a_frame_are_counted_in_that_frame() {
    let mut alloc = SmartAlloc::default();
    alloc.with_tag("empty", |_| ());
    alloc.end_frame();
    let scopes = |alloc: &SmartAlloc| alloc.tags().iter().map(|row| row.scopes).sum::<usize>();
    assert_eq!(scopes(&alloc), 1);
    assert_eq!(alloc.with_tag("empty", |a| *a.frame().alloc(1)), 1);
    alloc.end_frame();
    assert_eq!((scopes(&alloc), alloc.tags()[0].bytes), (1, 8));
    alloc.end_frame();
    assert_eq!(scopes(&alloc), 0);
}

#[test]
fn extension_that_does_not_suffice_adds_nothing() {
    struct Stingy;
    impl Governor for Stingy {
        fn open_tag(&self, _: &TagScope) -> Verdict {
            Verdict::AllowUpTo(0)
        }
        fn extend_tag(&self, _: &TagScope, _: usize) -> Verdict {
            Verdict::AllowUpTo(10)
        }
    }
    let alloc = SmartAlloc::new(AllocConfig::default().with_governor(Stingy));
    alloc.with_tag("tag", |a| {
        for _ in 0..50 {
            assert!(a.frame().try_alloc([0u8; 100]).is_err());
        }
        assert!(a.frame().try_alloc(1u64).is_ok());
    });
}

/// Counts the scopes that it is told of.
struct Tells(Arc<AtomicUsize>);
impl Governor for Tells {
    fn open_tag(&self, scope: &TagScope) -> Verdict {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert_eq!((scope.tag.name(), scope.depth), ("inner", 0), "what lies around it is no scope");
        Verdict::AllowUpTo(64)
    }
}

#[test]
fn labels_are_counted_and_not_told() {
    let told = Arc::new(AtomicUsize::new(0));
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(Tells(told.clone())));
    alloc.with_label("outer", |a| {
        a.frame().alloc([0u64; 2]);
        // Freed again: the most at a time counts.
        drop(a.frame().vec_with_capacity::<u64>(8));
        a.with_tag("inner", |a| {
            assert!(a.frame().try_alloc([0u64; 8]).is_ok());
            assert!(a.frame().try_alloc(0u64).is_err());
            a.with_label("nested", |a| {
                assert!(a.frame().try_alloc(0u64).is_err(), "the limit of the tag around holds");
            });
        });
        a.with_label("nested", |a| a.frame().alloc([0u64; 100]).len());
    });
    // Left by a panic.
    let left = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        alloc.with_label("outer", |a| {
            a.frame().alloc(0u64);
            panic!("out of it");
        });
    }));
    assert!(left.is_err());
    alloc.with_label("after", |a| a.frame().alloc(0u64));
    alloc.end_frame();
    let of = |name| alloc.tags().iter().find(|of| of.tag.name() == name).map(|of| (of.bytes, of.scopes)).unwrap();
    assert_eq!(of("outer"), (16 + 64 + 8, 2));
    assert_eq!((of("inner"), of("nested"), of("after")), ((64, 1), (800, 2), (8, 1)));
    assert_eq!(told.load(Ordering::Relaxed), 1);
}
