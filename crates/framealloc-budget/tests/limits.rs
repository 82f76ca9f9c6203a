//! Hard limits: what they let through, to the byte where that is promised, and what becomes of the rest.

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use framealloc_budget::bytes::{kib, mib};
use framealloc_budget::{Account, Budget, BudgetError, Limit, OverLimit};
use framealloc_core::{
    AllocConfig, AllocErrorKind, AllocationResult, AllocatorBackend, FixedBackend, Frame, Resource, SmartAlloc,
};

fn governed(budget: &Budget) -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()))
}

/// How many words fit until the first refusal.
fn words(frame: Frame<'_>) -> usize {
    (0..1_000_000u64).take_while(|&word| frame.try_alloc(word).is_ok()).count()
}

fn panic_text<R>(f: impl FnOnce() -> R) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(f)).err()?;
    payload.downcast_ref::<String>().cloned().or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).into()))
}

#[test]
fn tag_limit_holds_to_the_word_across_scopes_of_a_frame() {
    for limit in [0, 8, 4096, kib(64), kib(64) + 8, kib(200), mib(3)] {
        let budget = Budget::new().with_tag("tag", Limit::hard(limit));
        let mut alloc = governed(&budget);
        for _ in 0..3 {
            let mut fitted = 0;
            for piece in 0..7 {
                fitted += alloc.with_tag("tag", |a| {
                    let most = if piece == 6 { usize::MAX } else { limit / 80 };
                    (0..most).take_while(|&word| a.frame().try_alloc(word as u64).is_ok()).count()
                });
            }
            assert_eq!(fitted, limit / 8, "a limit of {limit}");
            assert!(budget.used(&Account::tag("tag")) <= limit);
            // Outside nothing is refused.
            alloc.frame().alloc([0u8; 10_000]);
            alloc.end_frame();
            assert_eq!(budget.used(&Account::tag("tag")), 0, "each frame begins anew");
        }
    }
}

#[test]
fn nested_tags_hold_all_their_limits() {
    let budget = Budget::new()
        .with_tag("outer", Limit::hard(kib(300)))
        .with_tag("outer/inner", Limit::hard(kib(200)))
        .with_tag("outer/inner/deep", Limit::hard(kib(1)));
    let mut alloc = governed(&budget);
    for _ in 0..2 {
        alloc.with_tag("outer", |a| {
            a.with_tag("inner", |a| {
                assert_eq!(a.with_tag("deep", |a| words(a.frame())), kib(1) / 8);
                assert_eq!(words(a.frame()), kib(199) / 8);
                assert_eq!(a.with_tag("free", |a| words(a.frame())), 0, "the enclosing tag has no more");
            });
            assert_eq!(a.with_tag("free", |a| words(a.frame())), kib(100) / 8, "what a scope uses is of the outer one");
            assert_eq!(words(a.frame()), 0);
        });
        // A path as a tag is the same tag.
        assert_eq!(alloc.with_tag("outer/inner/deep", |a| words(a.frame())), 0);
        assert_eq!(alloc.with_tag("inner", |a| words(a.frame())), 1_000_000, "another tag of that name");
        alloc.end_frame();
    }
    assert_eq!(alloc.with_tag("outer/inner/deep", |a| words(a.frame())), kib(1) / 8);
    assert_eq!(alloc.with_tag("outer/inner", |a| words(a.frame())), kib(199) / 8);
}

#[test]
fn a_scope_whose_outer_scope_has_room_is_extended_with_it() {
    // Each is granted a slice first: the outer slice does not bound the inner scope.
    let budget = Budget::new().with_tag("outer", Limit::hard(mib(1))).with_tag("outer/inner", Limit::hard(kib(900)));
    let alloc = governed(&budget);
    let fitted = alloc.with_tag("outer", |a| a.with_tag("inner", |a| words(a.frame())));
    assert_eq!(fitted, kib(900) / 8);
}

#[test]
fn recursion_counts_as_one_tag() {
    fn descend(alloc: &SmartAlloc, depth: usize) -> usize {
        alloc.with_tag("tree", |a| match depth {
            0 => words(a.frame()),
            _ => a.frame().alloc([1u64; 16]).len() + descend(a, depth - 1),
        })
    }
    let budget = Budget::new().with_tag("tree", Limit::hard(kib(100)));
    let mut alloc = governed(&budget);
    assert_eq!(descend(&alloc, 50), kib(100) / 8);
    alloc.end_frame();
    let metrics = budget.metrics();
    assert_eq!(metrics.tags().len(), 2);
    let tag = metrics.last().unwrap().tags[1];
    assert_eq!((tag.own, tag.total, tag.peak, tag.scopes), (kib(100) as isize, kib(100) as isize, kib(100), 51));
}

#[test]
fn thread_and_frame_limits_hold_without_a_tag() {
    let budget = Budget::new().with_thread(Limit::hard(kib(100))).with_frame(Limit::hard(kib(250)));
    let mut alloc = governed(&budget);
    for _ in 0..3 {
        let fitted: Vec<usize> = std::thread::scope(|s| {
            // One after the other, so that none is refused what another one keeps.
            (0..4).map(|_| s.spawn(|| words(alloc.frame())).join().unwrap()).collect()
        });
        assert!(fitted.iter().all(|&words| words * 8 <= kib(100)), "{fitted:?}");
        assert_eq!(fitted.iter().sum::<usize>() * 8, kib(250), "{fitted:?}");
        let stats = alloc.end_frame();
        assert_eq!(stats.bytes_allocated, kib(250));
        assert_eq!(budget.used(&Account::Frame), 0);
    }
}

#[test]
fn a_tag_is_bounded_by_its_thread_and_frame_as_well() {
    let budget = Budget::new().with_thread(Limit::hard(kib(40))).with_tag("tag", Limit::hard(mib(1)));
    let mut alloc = governed(&budget);
    assert_eq!(alloc.with_tag("tag", |a| words(a.frame())), kib(40) / 8);
    alloc.end_frame();
    assert_eq!(words(alloc.frame()), kib(40) / 8);
}

#[test]
fn committed_memory_stays_below_its_limit_and_chunks_shrink_to_fit() {
    for limit in [4096, kib(64), kib(100), kib(700)] {
        let budget = Budget::new().with_committed(Limit::hard(limit));
        let mut alloc = governed(&budget);
        let fitted = words(alloc.frame());
        let stats = alloc.stats();
        assert!(stats.committed <= limit && fitted * 8 <= stats.committed);
        assert!(stats.committed > limit - 1024 && fitted * 8 > limit - limit / 10 - 1024, "{fitted} words of {limit}");
        assert_eq!(budget.used(&Account::Committed), stats.committed);
        alloc.end_frame();
        let record = budget.metrics().last().unwrap();
        assert_eq!((record.committed, record.refused), (stats.committed, 1));
        drop(alloc);
        assert_eq!(budget.used(&Account::Committed), 0);
    }
}

#[test]
fn pools_have_a_limit_of_their_own() {
    let budget = Budget::new().with_pools(Limit::hard(kib(256))).with_committed(Limit::hard(mib(64)));
    let mut alloc = governed(&budget);
    let mut kept = Vec::new();
    let error = loop {
        match alloc.try_heap_box([0u8; 10_000]) {
            Ok(boxed) => kept.push(boxed),
            Err(error) => break error,
        }
    };
    assert!(matches!(error.kind(), AllocErrorKind::Refused { resource: Resource::Large, .. }), "{error}");
    assert_eq!(kept.len(), 26);
    assert!(alloc.frame().try_alloc([0u8; 100_000]).is_ok(), "frames have room");
    kept.clear();
    assert_eq!(budget.used(&Account::Pools), 0);
    assert_eq!(alloc.heap_box([1u8; 200_000]).len(), 200_000);
    alloc.end_frame();
    let report = budget.metrics().report();
    let pools = report.account(&Account::Pools).unwrap();
    assert_eq!(pools.refused, 1);
    assert!(pools.peak > 260_000 && pools.peak <= kib(256), "{}", pools.peak);
}

#[test]
fn a_frame_that_may_not_be_sealed_stays_open() {
    let budget = Budget::new().with_sealed(Limit::hard(kib(150)));
    let mut alloc = governed(&budget);
    let mut sealed = Vec::new();
    for round in 0..2u64 {
        alloc.begin_frame();
        alloc.publish(round);
        sealed.push(alloc.try_seal_frame().unwrap());
    }
    assert_eq!(budget.used(&Account::Sealed), kib(128));
    let (open, handle) = (alloc.begin_frame(), alloc.publish(7u64));
    let error = alloc.try_seal_frame().unwrap_err();
    let refused = AllocErrorKind::Refused { resource: Resource::Sealed, requested: kib(64), allowed: 0 };
    assert_eq!(error.kind(), refused, "{error}");
    assert_eq!((alloc.get(handle), alloc.stats().frame), (Ok(&7), open), "nothing was changed");
    drop(sealed.pop());
    assert_eq!(alloc.try_seal_frame().unwrap().get(handle), Ok(&7));
    assert_eq!(budget.used(&Account::Sealed), kib(64), "the other one went back at once");
    drop(sealed);
    drop(alloc);
    assert_eq!((budget.used(&Account::Sealed), budget.used(&Account::Committed)), (0, 0));
}

#[test]
fn beyond_a_limit_the_heap_serves_and_is_counted() {
    // The limit on the whole: memory then comes from the program's allocator, not from the backend.
    let budget = Budget::new().with_committed(Limit::hard(kib(64)).with_over(OverLimit::Heap));
    let backend = FixedBackend::new(mib(16));
    let mut alloc =
        SmartAlloc::new(AllocConfig::default().with_backend(Box::new(backend)).with_governor(budget.clone()));
    alloc.frame().alloc([1u8; 60_000]);
    alloc.frame().alloc([1u8; 60_000]);
    let large = alloc.heap_box([1u8; 30_000]);
    assert_eq!(budget.used(&Account::Committed), kib(64));
    alloc.end_frame();
    let record = budget.metrics().last().unwrap();
    assert!(record.heap >= 90_000 && record.committed == kib(64) + record.heap, "{record:?}");
    assert_eq!(record.refused, 0);
    drop(large);
    alloc.trim();
    alloc.end_frame();
    let record = budget.metrics().last().unwrap();
    assert_eq!((record.heap, record.committed), (0, 0));
    let report = budget.metrics().report();
    let row = report.account(&Account::Committed).unwrap();
    assert!(row.over >= 90_000 && row.peak <= kib(64));

    // A tag's: it is frame memory like any other, counted as overflow.
    let budget = Budget::new().with_tag("tag", Limit::hard(1000).with_over(OverLimit::Heap));
    let mut alloc = governed(&budget);
    alloc.with_tag("tag", |a| (0..500u64).for_each(|word| assert_eq!(*a.frame().alloc(word), word)));
    alloc.with_tag("tag", |a| a.frame().alloc([1u8; 80]).len());
    alloc.end_frame();
    let tag = budget.metrics().last().unwrap().tags[1];
    assert_eq!((tag.peak, tag.over, tag.refused), (4080, 3080, 0));
}

#[test]
fn a_panic_beyond_a_limit_names_account_need_and_limit() {
    let budget = Budget::new()
        .with_over(OverLimit::Panic)
        .with_tag("tag", Limit::hard(kib(8)))
        .with_pools(Limit::hard(kib(4)))
        .with_tag("quiet", Limit::hard(0).with_over(OverLimit::Error));
    let mut alloc = governed(&budget);
    for _ in 0..3 {
        let text = panic_text(|| alloc.with_tag("tag", |a| a.frame().try_alloc([0u8; 9000]).is_ok())).unwrap();
        assert!(text.contains("tag tag: ") && text.contains("8192 (8.00 KiB)"), "{text}");
        let text = panic_text(|| alloc.try_pool_box(1)).unwrap();
        assert!(text.contains("pools: 65536 bytes") && text.contains("limit of 4096"), "{text}");
        assert!(alloc.with_tag("quiet", |a| a.frame().try_alloc(1).is_err()));
        // It goes on.
        assert_eq!(alloc.with_tag("tag", words_until_panic), kib(8) / 8);
        alloc.end_frame();
        let record = budget.metrics().last().unwrap();
        assert_eq!(record.tags[1].refused, 2, "both panics are counted");
    }
}

fn words_until_panic(alloc: &SmartAlloc) -> usize {
    let count = AtomicUsize::new(0);
    let stopped = catch_unwind(AssertUnwindSafe(|| {
        loop {
            alloc.frame().alloc(0u64);
            count.fetch_add(1, Ordering::Relaxed);
        }
    }));
    assert!(stopped.is_err());
    count.into_inner()
}

#[test]
fn limits_that_move_hold_from_the_next_frame_on() {
    let budget = Budget::new().with_tag("tag", Limit::hard(800)).with_frame(Limit::hard(mib(1)));
    let mut alloc = governed(&budget);
    let fitted = |alloc: &SmartAlloc| alloc.with_tag("tag", |a| words(a.frame()));
    assert_eq!(fitted(&alloc), 100);
    budget.set_limit(Account::tag("tag"), Limit::hard(1600)).unwrap();
    assert_eq!(fitted(&alloc), 0, "not in this frame");
    alloc.end_frame();
    assert_eq!(fitted(&alloc), 200);
    budget.set_limit(Account::tag("tag"), Limit::NONE).unwrap();
    budget.set_limit(Account::Frame, Limit::hard(kib(4))).unwrap();
    alloc.end_frame();
    assert_eq!(fitted(&alloc), kib(4) / 8);
    // Below what is held: nothing is taken back, and nothing more is given.
    let committed = alloc.stats().committed;
    budget.set_limit(Account::Committed, Limit::hard(1)).unwrap();
    budget.set_limit(Account::Frame, Limit::NONE).unwrap();
    alloc.end_frame();
    assert!(words(alloc.frame()) * 8 <= committed && alloc.stats().committed == committed);
    assert!(alloc.try_pool_box(1).is_err());
}

#[test]
fn bad_limits_are_refused_with_their_values() {
    let budget = Budget::new();
    let error = budget.set_limit(Account::Frame, Limit::soft(10).with_hard(9)).unwrap_err();
    assert!(
        error.to_string().contains("frame: the soft limit of 10 bytes") && error.to_string().contains("limit of 9")
    );
    for path in ["", "/", "a//b", "a/", "a/a"] {
        let error = budget.set_limit(Account::tag(path), Limit::hard(1)).unwrap_err();
        assert!(matches!(error, BudgetError::Path { .. }) && error.to_string().contains(&format!("`{path}`")));
    }
    assert!(panic_text(|| Budget::new().with_tag("x", Limit::soft(2).with_hard(1))).unwrap().contains("tag x"));
    let alloc = governed(&budget);
    let error = budget.set_limit(Account::Thread, Limit::hard(1)).unwrap_err();
    assert!(matches!(error, BudgetError::NotBounded { account: Account::Thread }), "{error}");
    assert_eq!(budget.set_limit(Account::Thread, Limit::soft(1)), Ok(()), "a soft one binds nobody");
    drop(alloc);
}

#[test]
fn a_budget_governs_one_allocator() {
    let budget = Budget::new();
    let first = governed(&budget);
    let error = SmartAlloc::try_new(AllocConfig::default().with_governor(budget.clone())).unwrap_err();
    assert!(
        matches!(error.kind(), AllocErrorKind::Governor { .. }) && error.to_string().contains("one allocator"),
        "{error}"
    );
    assert_eq!(*first.frame().alloc(1), 1);
}

/// Of two accounts that have no room, or one that has and one that has none.
#[test]
fn what_goes_beyond_has_the_leave_of_all() {
    let (heap, error) = (OverLimit::Heap, OverLimit::Error);
    // Tags in one scope: the outer one's limit holds, and is charged with what goes beyond the inner one's.
    let budget = Budget::new()
        .with_tag("a", Limit::hard(kib(10)).with_over(error))
        .with_tag("a/b", Limit::hard(kib(1)).with_over(heap));
    let mut alloc = governed(&budget);
    assert_eq!(alloc.with_tag("a/b", |a| words(a.frame())), kib(10) / 8);
    assert_eq!(alloc.with_tag("a", |a| words(a.frame())), 0);
    assert!(budget.used(&Account::tag("a")) <= kib(10) && budget.used(&Account::tag("a/b")) <= kib(1));
    alloc.end_frame();
    let record = budget.metrics().last().unwrap();
    assert_eq!((record.tags[1].over, record.tags[2].over, record.tags[2].peak), (0, kib(9), kib(10)));

    // Threads and frames.
    for (of_thread, of_frame, fits) in [(heap, error, kib(64)), (error, heap, kib(16)), (error, error, kib(16))] {
        let budget = Budget::new()
            .with_thread(Limit::hard(kib(16)).with_over(of_thread))
            .with_frame(Limit::hard(kib(64)).with_over(of_frame));
        let mut alloc = governed(&budget);
        assert_eq!(words(alloc.frame()), fits / 8, "{of_thread:?} {of_frame:?}");
        alloc.end_frame();
        let record = budget.metrics().last().unwrap();
        assert_eq!(record.over, fits.saturating_sub(kib(16)), "{of_thread:?} {of_frame:?}");
        assert_eq!(budget.used(&Account::Frame), 0);
    }

    // Memory held: both must give leave.
    for (of_pools, of_all, refused) in [(heap, error, true), (error, heap, true), (heap, heap, false)] {
        let budget = Budget::new()
            .with_pools(Limit::hard(kib(100)).with_over(of_pools))
            .with_committed(Limit::hard(kib(300)).with_over(of_all));
        let mut alloc = governed(&budget);
        let kept: Vec<_> = (0..20).filter_map(|_| alloc.try_heap_box([1u8; 50_000]).ok()).collect();
        assert_eq!(kept.len() == 2, refused, "{of_pools:?} {of_all:?}");
        assert!(budget.used(&Account::Pools) <= kib(100) && budget.used(&Account::Committed) <= kib(300));
        alloc.end_frame();
        let report = budget.metrics().report();
        let over = |account| report.account(&account).unwrap().over;
        assert_eq!(over(Account::Pools) > 0, !refused);
        assert_eq!(over(Account::Pools), over(Account::Committed));
        drop((kept, alloc));
        assert_eq!((budget.used(&Account::Pools), budget.used(&Account::Committed)), (0, 0));
    }
}

#[test]
fn a_frame_sealed_beyond_its_limit_leaves_the_books_even() {
    let budget = Budget::new().with_sealed(Limit::hard(kib(64)).with_over(OverLimit::Heap));
    let mut alloc = governed(&budget);
    for _ in 0..3 {
        let sealed: Vec<_> = (0..4u64)
            .map(|value| {
                alloc.publish(value);
                alloc.seal_frame()
            })
            .collect();
        assert_eq!(budget.used(&Account::Sealed), kib(64));
        alloc.end_frame();
        let record = budget.metrics().last().unwrap();
        assert_eq!((record.sealed, record.heap), (kib(256), 0), "no memory was taken for it");
        drop(sealed);
        assert_eq!(budget.used(&Account::Sealed), 0);
        alloc.end_frame();
        assert_eq!(budget.metrics().last().unwrap().sealed, 0);
    }
    assert!(budget.metrics().report().account(&Account::Sealed).unwrap().over >= kib(64));
}

/// A backend that has no memory.
struct Empty;

// SAFETY: it hands out nothing.
unsafe impl AllocatorBackend for Empty {
    fn allocate(&mut self, _: Layout) -> AllocationResult {
        AllocationResult::Failed
    }
    unsafe fn deallocate(&mut self, _: NonNull<u8>, _: Layout) {}
}

#[test]
fn what_the_backend_has_not_is_not_charged() {
    let budget = Budget::new().with_committed(Limit::hard(mib(1))).with_pools(Limit::hard(mib(1)));
    let config = AllocConfig::default().with_backend(Box::new(Empty)).with_governor(budget.clone());
    let alloc = SmartAlloc::new(config);
    for _ in 0..50 {
        assert!(
            alloc.frame().try_alloc(1).is_err() && alloc.try_pool_box(1).is_err() && alloc.try_heap_box(1).is_err()
        );
        assert_eq!((budget.used(&Account::Committed), budget.used(&Account::Pools)), (0, 0));
    }
}

#[test]
fn what_was_refused_is_no_peak() {
    let budget = Budget::new().with_pools(Limit::soft(kib(100))).with_committed(Limit::hard(kib(64)));
    let mut alloc = governed(&budget);
    assert!(alloc.try_pool_box([0u8; 200_000]).is_err());
    alloc.end_frame();
    assert_eq!(budget.metrics().report().account(&Account::Pools).map_or(0, |row| row.peak), 0);
}

#[test]
fn a_panic_policy_is_an_error_while_the_thread_unwinds() {
    struct Late<'a>(&'a SmartAlloc);
    impl Drop for Late<'_> {
        fn drop(&mut self) {
            assert!(self.0.with_tag("tag", |a| a.frame().try_alloc([0u8; 100]).is_err()));
        }
    }
    let budget = Budget::new().with_tag("tag", Limit::hard(10).with_over(OverLimit::Panic));
    let alloc = governed(&budget);
    let text = panic_text(|| {
        let _late = Late(&alloc);
        panic!("the first");
    });
    assert_eq!(text.as_deref(), Some("the first"));
}

#[test]
fn a_budget_may_govern_the_next_allocator_when_the_first_is_gone() {
    let budget = Budget::new().with_tag("tag", Limit::hard(kib(1))).with_frame(Limit::hard(kib(8)));
    for _ in 0..3 {
        let alloc = governed(&budget);
        assert_eq!(alloc.with_tag("tag", |a| words(a.frame())), kib(1) / 8);
        let boxed = alloc.pool_box(1);
        // With a frame open, and a box that is dropped last.
        drop(alloc);
        assert!(SmartAlloc::try_new(AllocConfig::default().with_governor(budget.clone())).is_err());
        drop(boxed);
        for account in [Account::Committed, Account::Frame, Account::tag("tag")] {
            assert_eq!(budget.used(&account), 0, "{account}");
        }
    }
    let tight = Budget::new().with_committed(Limit::hard(kib(4)));
    let config = || AllocConfig::default().with_governor(tight.clone());
    assert!(SmartAlloc::try_new(config().with_prefault(mib(1))).is_err());
    assert!(SmartAlloc::try_new(config()).is_ok(), "an allocator that could not be made has no budget");
}

#[test]
fn the_last_destructor_of_a_thread_may_open_a_tag() {
    use std::cell::RefCell;
    static ALLOC: std::sync::OnceLock<SmartAlloc> = std::sync::OnceLock::new();
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            let alloc = ALLOC.get().unwrap();
            alloc.with_tag("late", |a| a.with_tag("inside", |a| assert_eq!(*a.frame().alloc(7u64), 7)));
        }
    }
    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    let budget = Budget::new().with_tag("late", Limit::hard(kib(64)));
    let alloc = ALLOC.get_or_init(|| governed(&budget));
    for first in [true, false] {
        std::thread::spawn(move || {
            // Destructors run in the reverse order of first use: of the two orders one is after the allocator's own.
            let keep = || LATE.with(|late| *late.borrow_mut() = Some(Late));
            let allocate = || assert_eq!(alloc.with_tag("early", |a| *a.frame().alloc(5u64)), 5);
            if first {
                keep();
                allocate();
            } else {
                allocate();
                keep();
            }
        })
        .join()
        .unwrap();
    }
    assert_eq!(budget.used(&Account::tag("late")), 16);
}

#[test]
fn eviction_may_allocate_and_what_it_takes_counts() {
    let alloc: Arc<std::sync::OnceLock<SmartAlloc>> = Arc::default();
    let inner = alloc.clone();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let budget = Budget::new().with_tag("tag", Limit::hard(kib(1))).on_evict(move |shortage| {
        counted.fetch_add(1, Ordering::Relaxed);
        assert!(shortage.bytes >= 8);
        let alloc = inner.get().unwrap();
        // Refused inside, without a call of this callback.
        assert!(alloc.frame().try_alloc(1u64).is_err());
        alloc.scratch().alloc([1u8; 100]);
        std::mem::forget(alloc.heap_box([1u8; 5000]));
        true
    });
    alloc.set(governed(&budget)).unwrap();
    let alloc = alloc.get().unwrap();
    assert_eq!(alloc.with_tag("tag", |a| words(a.frame())), kib(1) / 8);
    assert_eq!(runs.load(Ordering::Relaxed), 1, "one retry");
    assert!(budget.used(&Account::Pools) >= 5000, "it is charged as anywhere else");
}

/// A scope of two tags asks for the grants of both: where one refuses, the other is charged nothing.
#[test]
fn what_is_refused_is_charged_to_nobody() {
    let budget = Budget::new().with_tag("outer", Limit::hard(mib(1))).with_tag("outer/inner", Limit::hard(kib(1)));
    let alloc = governed(&budget);
    alloc.with_tag("outer/inner", |a| {
        let before = budget.used(&Account::tag("outer"));
        for _ in 0..200 {
            assert!(a.frame().try_alloc_uninit_slice::<u8>(8000).is_err());
        }
        assert_eq!(budget.used(&Account::tag("outer")), before);
        let elsewhere = || alloc.with_tag("outer", |a| a.frame().try_alloc_uninit_slice::<u8>(800_000).is_ok());
        assert!(std::thread::scope(|scope| scope.spawn(elsewhere).join().unwrap()));
    });
}

#[test]
fn what_is_refused_by_a_panic_is_charged_to_nobody() {
    let budget =
        Budget::new().with_thread(Limit::hard(kib(64)).with_over(OverLimit::Panic)).with_frame(Limit::hard(mib(2)));
    let alloc = governed(&budget);
    for _ in 0..5 {
        let panic = catch_unwind(AssertUnwindSafe(|| alloc.frame().try_alloc_uninit_slice::<u8>(1_000_000).is_ok()));
        assert!(panic.is_err());
    }
    assert_eq!(budget.used(&Account::Frame), 0);
}

/// Also what was set in the last frame of an allocator holds for the next one.
#[test]
fn the_newest_limit_holds() {
    let budget = Budget::new().with_committed(Limit::hard(mib(1)));
    let hard = || budget.metrics().report().account(&Account::Committed).unwrap().hard;
    {
        let _alloc = governed(&budget);
        budget.set_limit(Account::Committed, Limit::hard(mib(3))).unwrap();
        assert_eq!(hard(), Some(mib(1)), "from the next frame on");
    }
    assert_eq!(hard(), Some(mib(3)));
    budget.set_limit(Account::Committed, Limit::hard(mib(5))).unwrap();
    let mut alloc = governed(&budget);
    alloc.end_frame();
    assert_eq!(hard(), Some(mib(5)));
}

/// What the program does when it is told of pressure is charged, and refused, as everywhere.
#[test]
fn limits_hold_while_pressure_is_told() {
    use framealloc_core::{HeapBox, Pool};
    use std::sync::{Mutex, OnceLock, Weak};
    let cell: Arc<OnceLock<Weak<Pool>>> = Arc::default();
    let kept: Arc<Mutex<Vec<HeapBox<[u8; 100_000]>>>> = Arc::default();
    // Who owned them would own the budget.
    let (of, keeps) = (cell.clone(), Arc::downgrade(&kept));
    let budget =
        Budget::new().with_committed(Limit::hard(mib(1))).with_tag("tag", Limit::soft(8)).on_pressure(move |_| {
            let pool = of.get().unwrap().upgrade().unwrap();
            let boxes = (0..100).map_while(|_| pool.try_heap_box([0u8; 100_000]).ok());
            keeps.upgrade().unwrap().lock().unwrap().extend(boxes);
        });
    let mut alloc = governed(&budget);
    let pool = Arc::new(alloc.pool().clone());
    cell.set(Arc::downgrade(&pool)).unwrap_or_else(|_| unreachable!());
    alloc.with_tag("tag", |a| a.frame().alloc([1u64; 4]).len());
    alloc.end_frame();
    assert!((5..=10).contains(&kept.lock().unwrap().len()));
    let used = budget.used(&Account::Committed);
    assert!(used > mib(1) / 2 && used <= mib(1) && used == alloc.stats().committed, "{used}");
    kept.lock().unwrap().clear();
    assert!(budget.used(&Account::Committed) < kib(100));
}
