use super::*;
use crate::backend::FixedBackend;
use crate::backend::scripted::{Answer, Clerk, Event, Ledger, Scripted};
use crate::governor::{Ungoverned, Verdict};
use alloc::vec;
use std::sync::atomic::{AtomicBool, AtomicUsize};

const CHUNK: usize = 64 * 1024;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 64).unwrap()
}

fn take(source: &Source, size: usize, minimum: usize) -> Result<Block, AllocError> {
    source.take(Resource::Chunk, layout(size), minimum)
}

fn give_back(source: &Source, block: Block) {
    // SAFETY: the tests give back what they took from this source, once.
    unsafe { source.give_back(Resource::Chunk, block) }
}

fn scripted(backend: Scripted, governor: Arc<dyn Governor>) -> (Arc<Source>, Ledger) {
    let ledger = backend.ledger();
    (Arc::new(Source::new(vec![Box::new(backend)], governor)), ledger)
}

/// Blocks that a governor keeps.
#[derive(Default)]
struct Hoard(Mutex<Vec<Block>>);

// SAFETY: blocks of a `Scripted` backend are of no thread.
unsafe impl Send for Hoard {}
// SAFETY: as above; the blocks are behind a lock.
unsafe impl Sync for Hoard {}

impl Hoard {
    fn give_back(&self, source: &Source) {
        let blocks = core::mem::take(&mut *self.0.lock());
        blocks.into_iter().for_each(|block| give_back(source, block));
    }
}

/// Runs `f`, which must panic, and returns what it said.
fn panics<R>(f: impl FnOnce() -> R) -> alloc::string::String {
    let panic = catch_unwind(AssertUnwindSafe(f)).err().expect("a panic");
    panic.downcast_ref::<&str>().map_or_else(|| "another kind of panic".into(), |text| (*text).into())
}

#[test]
fn every_block_goes_back_to_its_backend_with_its_layout() {
    let first = Scripted::new().at(1, Answer::Fallback).at(3, Answer::Fallback);
    let second = Scripted::new().at(1, Answer::Fallback);
    let ledgers = [first.ledger(), second.ledger()];
    let source = Source::new(vec![Box::new(first), Box::new(second)], Arc::new(Ungoverned));
    let blocks: Vec<_> = (1..=5).map(|n| take(&source, n * CHUNK, 1).unwrap()).collect();
    assert_eq!(blocks.iter().map(|block| block.owner).collect::<Vec<_>>(), [0, 1, 0, 2, 0]);
    assert_eq!(source.committed(), 15 * CHUNK);
    assert_eq!(ledgers.each_ref().map(Ledger::live), [(3, 9 * CHUNK), (1, 2 * CHUNK)]);
    for block in blocks {
        give_back(&source, block);
    }
    assert_eq!(ledgers.each_ref().map(Ledger::freed), [3, 1]);
    assert_eq!((source.committed(), source.traffic()), (0, (5, 5)));
}

#[test]
fn failed_ends_the_chain_and_fallback_does_not() {
    let last = Scripted::new();
    let ledger = last.ledger();
    let failing = Scripted::always(Answer::Failed);
    let source = Source::new(vec![Box::new(failing), Box::new(last)], Arc::new(Ungoverned));
    let error = take(&source, CHUNK, 1).unwrap_err();
    assert_eq!(error.kind(), AllocErrorKind::OutOfMemory { size: CHUNK, align: 64 });
    assert!(ledger.asked().is_empty());

    let buffer = FixedBackend::new(CHUNK).with_fallback();
    let source = Source::new(vec![Box::new(buffer)], Arc::new(Ungoverned));
    let [inside, outside] = [(); 2].map(|()| take(&source, CHUNK, 1).unwrap());
    assert_eq!((inside.owner, outside.owner), (0, 1));
    give_back(&source, outside);
    give_back(&source, inside);
}

#[test]
fn lies_are_refused_and_not_handed_back() {
    for lie in [Answer::Misaligned, Answer::Short, Answer::Top, Answer::Overlapping] {
        if lie == Answer::Overlapping && !cfg!(debug_assertions) {
            continue;
        }
        let clerk = Clerk::new();
        let (source, ledger) = scripted(Scripted::new().at(1, lie), clerk.clone());
        let before = take(&source, CHUNK, 1).unwrap();
        let kind = take(&source, CHUNK, 1).unwrap_err().kind();
        match lie {
            Answer::Misaligned => assert!(matches!(kind, AllocErrorKind::Misaligned { align: 64, .. })),
            Answer::Short => assert_eq!(kind, AllocErrorKind::Short { returned: CHUNK - 1, requested: CHUNK }),
            _ => assert!(matches!(kind, AllocErrorKind::Overlapping { size: CHUNK, .. })),
        }
        assert_eq!((ledger.live(), source.committed(), clerk.held()), ((1, CHUNK), CHUNK, CHUNK));
        let after = take(&source, CHUNK, 1).expect("the next answer is an honest one");
        give_back(&source, before);
        give_back(&source, after);
        assert_eq!((ledger.live(), ledger.freed(), source.committed(), clerk.held()), ((0, 0), 2, 0, 0));
    }
}

#[test]
#[cfg(debug_assertions)]
fn overlaps_from_either_side_are_found() {
    use crate::backend::AllocationResult;
    use core::num::NonZeroUsize;
    use core::ptr::NonNull;

    /// Answers with what it is told, whatever is asked.
    struct Addresses(Vec<usize>);
    // SAFETY: the test touches no memory that it is given.
    unsafe impl AllocatorBackend for Addresses {
        fn allocate(&mut self, layout: Layout) -> AllocationResult {
            let ptr = NonNull::without_provenance(NonZeroUsize::new(self.0.remove(0)).unwrap());
            AllocationResult::Ok(NonNull::slice_from_raw_parts(ptr, layout.size()))
        }
        unsafe fn deallocate(&mut self, _: NonNull<u8>, _: Layout) {}
    }
    let at = 1 << 20;
    let addresses = vec![at, at - 192, at - 64, at + 64, at, at - 256, at + 256, at];
    let source = Source::new(vec![Box::new(Addresses(addresses))], Arc::new(Ungoverned));
    let middle = take(&source, 256, 256).unwrap();
    for size in [256, 512, 64, 256, 1024] {
        let kind = take(&source, size, size).unwrap_err().kind();
        assert!(matches!(kind, AllocErrorKind::Overlapping { .. }), "{kind:?}");
    }
    let _touching = take(&source, 64, 64).unwrap();
    give_back(&source, middle);
    take(&source, 256, 256).expect("free again");
}

#[test]
fn a_failing_call_changes_nothing_and_the_next_one_succeeds() {
    for failing in 0..4 {
        let clerk = Clerk::new();
        let (source, ledger) = scripted(Scripted::new().at(failing, Answer::Failed), clerk.clone());
        let mut blocks = vec![];
        for call in 0..4 {
            let (held, live) = (source.committed(), ledger.live());
            match take(&source, CHUNK, 1) {
                Ok(block) => blocks.push(block),
                Err(error) => {
                    assert_eq!((call, error.kind()), (failing, AllocErrorKind::OutOfMemory { size: CHUNK, align: 64 }));
                    assert_eq!((source.committed(), ledger.live(), clerk.held()), (held, live, held));
                    assert!(matches!(clerk.events().last(), Some(Event::Settle(Outcome { obtained: 0, .. }))));
                    blocks.push(take(&source, CHUNK, 1).unwrap());
                }
            }
        }
        blocks.into_iter().for_each(|block| give_back(&source, block));
        assert_eq!((source.committed(), clerk.held()), (0, 0));
    }
}

#[test]
fn a_panicking_backend_leaves_nothing_behind() {
    let clerk = Clerk::new();
    let (source, ledger) = scripted(Scripted::new().at(0, Answer::Panic), clerk.clone());
    assert_eq!(panics(|| take(&source, CHUNK, 1)), "the scripted backend panics");
    assert!(matches!(clerk.events()[..], [Event::Request(_), Event::Settle(Outcome { obtained: 0, .. })]));
    assert_eq!((source.committed(), source.traffic(), ledger.live()), (0, (0, 0), (0, 0)));
    let block = take(&source, CHUNK, 1).expect("neither locked nor poisoned");
    give_back(&source, block);

    let (source, ledger) = scripted(Scripted::new().panicking_on_free(), clerk.clone());
    let block = take(&source, CHUNK, 1).unwrap();
    assert_eq!(panics(|| give_back(&source, block)), "the scripted backend panics on free");
    assert_eq!((source.committed(), source.traffic(), clerk.held(), ledger.live()), (0, (1, 1), 0, (0, 0)));
}

#[test]
fn a_panicking_governor_loses_no_memory() {
    let clerk = Clerk::new();
    let (source, ledger) = scripted(Scripted::new(), clerk.clone());

    clerk.hook(|event| assert!(!matches!(event, Event::Request(_)), "request"));
    assert_eq!(panics(|| take(&source, CHUNK, 1)), "request");
    assert!(ledger.asked().is_empty());

    clerk.hook(|event| assert!(!matches!(event, Event::Settle(..)), "settle"));
    assert_eq!(panics(|| take(&source, CHUNK, 1)), "settle");
    assert_eq!((ledger.live(), ledger.freed(), source.committed(), clerk.held()), ((0, 0), 1, 0, 0));

    clerk.hook(|event| assert!(matches!(event, Event::Request(_)), "all but requests"));
    assert_eq!(panics(|| take(&source, CHUNK, 1)), "all but requests");
    assert_eq!((ledger.live(), source.committed(), clerk.held()), ((0, 0), 0, 0));

    clerk.hook(|event| assert!(!matches!(event, Event::Release(..)), "release"));
    let block = take(&source, CHUNK, 1).expect("the governor is asked again after its panics");
    assert_eq!(panics(|| give_back(&source, block)), "release");
    assert_eq!((ledger.live(), source.committed(), clerk.held()), ((0, 0), 0, 0));
}

#[test]
fn a_panicking_governor_and_a_panicking_backend_do_not_abort() {
    let clerk = Clerk::new();
    let backend = Scripted::new().at(0, Answer::Panic).panicking_on_free();
    let (source, ledger) = scripted(backend, clerk.clone());
    clerk.hook(|event| assert!(matches!(event, Event::Request(_)), "the governor panics"));
    assert_eq!(panics(|| take(&source, CHUNK, 1)), "the scripted backend panics");
    assert_eq!(panics(|| take(&source, CHUNK, 1)), "the governor panics");
    assert_eq!((ledger.live(), source.committed(), clerk.held()), ((0, 0), 0, 0));
}

#[test]
fn every_verdict_is_kept() {
    let cases = [
        (Verdict::Allow, Ok(1000)),
        (Verdict::AllowUpTo(usize::MAX), Ok(1000)),
        (Verdict::AllowUpTo(1000), Ok(1000)),
        (Verdict::AllowUpTo(999), Ok(960)),
        (Verdict::AllowUpTo(110), Ok(100)),
        (Verdict::AllowUpTo(100), Ok(100)),
        (Verdict::AllowUpTo(99), Err(99)),
        (Verdict::AllowUpTo(0), Err(0)),
        (Verdict::Deny, Err(0)),
    ];
    for (verdict, expected) in cases {
        let clerk = Clerk::new();
        clerk.answer(0, verdict);
        let (source, ledger) = scripted(Scripted::new(), clerk.clone());
        match (take(&source, 1000, 100), expected) {
            (Ok(block), Ok(size)) => {
                assert_eq!((block.layout, ledger.asked()), (layout(size), vec![layout(size)]));
                assert_eq!((source.committed(), clerk.held()), (size, size));
                give_back(&source, block);
            }
            (Err(error), Err(allowed)) => {
                let refused = AllocErrorKind::Refused { resource: Resource::Chunk, requested: 100, allowed };
                assert_eq!(error.kind(), refused);
                assert!(ledger.asked().is_empty());
                assert_eq!(clerk.events().len(), 1, "a refusal is not settled");
            }
            (got, _) => panic!("{verdict:?}: {got:?}"),
        }
        assert_eq!((source.committed(), clerk.held(), ledger.live()), (0, 0, (0, 0)));
        let block = take(&source, 1000, 100).expect("the next request is allowed");
        give_back(&source, block);
    }
}

#[test]
fn odd_sizes_are_raised_to_the_minimum_or_refused() {
    let clerk = Clerk::new();
    let (source, ledger) = scripted(Scripted::new(), clerk.clone());
    for (size, minimum, expected) in [(0, 0, 1), (0, 8, 8), (8, 0, 8), (8, 100, 100)] {
        let block = take(&source, size, minimum).unwrap();
        assert_eq!(block.layout, layout(expected));
        give_back(&source, block);
    }
    let error = take(&source, 8, usize::MAX).unwrap_err();
    assert_eq!(error.kind(), AllocErrorKind::CapacityOverflow { count: usize::MAX, size: 1 });
    clerk.answer(4, Verdict::AllowUpTo(0));
    assert!(take(&source, 0, 0).is_err(), "nothing is allowed");
    assert_eq!((ledger.asked().len(), source.committed(), clerk.held()), (4, 0, 0));
}

#[test]
fn a_governor_may_take_and_give_back_and_its_books_balance() {
    let clerk = Clerk::new();
    let (source, ledger) = scripted(Scripted::new(), clerk.clone());
    let hoard = Arc::new(Hoard::default());
    clerk.hook({
        let (source, hoard) = (Arc::downgrade(&source), hoard.clone());
        move |_| {
            let source = source.upgrade().expect("only called from the source");
            let block = take(&source, 100, 1).expect("nested requests are not refused");
            hoard.0.lock().push(block);
        }
    });
    clerk.answer(1, Verdict::Deny);
    let block = take(&source, CHUNK, 1).unwrap();
    assert!(take(&source, CHUNK, 1).is_err());
    give_back(&source, block);
    assert_eq!(clerk.events().len(), 4, "request, settle; request; release: none for what it took itself");
    assert_eq!(clerk.held(), 0);
    assert_eq!((ledger.live(), source.committed()), ((4, 400), 400));

    clerk.hook(|_| {});
    hoard.give_back(&source);
    assert_eq!((clerk.events().len(), clerk.held()), (4, 0), "it is not told of the release of what it took");
    assert_eq!((ledger.live(), source.committed()), ((0, 0), 0));
}

#[test]
fn a_governor_is_told_later_of_what_it_gave_back_meanwhile() {
    for at_drop in [false, true] {
        let clerk = Clerk::new();
        let (source, ledger) = scripted(Scripted::new(), clerk.clone());
        let cache = Arc::new(Hoard::default());
        for _ in 0..2 {
            let block = take(&source, CHUNK, 1).unwrap();
            cache.0.lock().push(block);
        }
        clerk.hook({
            let (source, cache) = (Arc::downgrade(&source), cache.clone());
            move |event| {
                if matches!(event, Event::Request(_))
                    && let Some(source) = source.upgrade()
                {
                    cache.give_back(&source);
                }
            }
        });
        clerk.answer(2, Verdict::Deny);
        assert!(take(&source, CHUNK, 1).is_err());
        assert_eq!((ledger.live(), source.committed(), clerk.held()), ((0, 0), 0, 2 * CHUNK));
        if at_drop {
            drop(source);
        } else {
            let block = take(&source, CHUNK, 1).unwrap();
            let told = clerk.events().iter().rposition(|event| *event == Event::Release(Resource::Chunk, 2 * CHUNK));
            let asked = clerk.events().iter().rposition(|event| matches!(event, Event::Request(_)));
            assert!(told.is_some() && told < asked, "told before it decides again");
            give_back(&source, block);
        }
        assert_eq!(clerk.held(), 0);
    }
}

#[test]
fn no_lock_is_held_while_the_governor_runs() {
    let clerk = Clerk::new();
    let (source, _) = scripted(Scripted::new(), clerk.clone());
    let locked = Arc::new(AtomicBool::new(false));
    clerk.hook({
        let (source, locked) = (Arc::downgrade(&source), locked.clone());
        move |_| {
            let source = source.upgrade().expect("only called from the source");
            // Another thread, which is asked by its own right, gets through.
            let got_through = std::thread::spawn(move || {
                ask(source.governor(), (), |_| {
                    let block = take(&source, 64, 64).unwrap();
                    give_back(&source, block);
                });
            });
            locked.fetch_or(got_through.join().is_err(), std::sync::atomic::Ordering::Relaxed);
        }
    });
    let block = take(&source, CHUNK, 1).unwrap();
    give_back(&source, block);
    assert_eq!(clerk.events().len(), 3);
    assert!(!locked.load(std::sync::atomic::Ordering::Relaxed));
}

#[test]
fn many_threads_end_with_nothing_held() {
    let clerk = Clerk::new();
    let (source, ledger) = scripted(Scripted::new(), clerk.clone());
    let highest = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (source, highest) = (&source, &highest);
            scope.spawn(move || {
                let mut held = vec![];
                for round in 0..200 {
                    held.push(take(source, 64 * (1 + (round * 7 + thread) % 5), 1).unwrap());
                    highest.fetch_max(source.committed(), std::sync::atomic::Ordering::Relaxed);
                    if round % 3 != 0 {
                        give_back(source, held.swap_remove(round % held.len()));
                    }
                }
                held.into_iter().for_each(|block| give_back(source, block));
            });
        }
    });
    let highest = highest.into_inner();
    assert!(highest <= 4 * 200 * 320, "{highest} bytes: the count fell below 0");
    assert_eq!((source.committed(), source.traffic(), ledger.live(), clerk.held()), (0, (800, 800), (0, 0), 0));
}
