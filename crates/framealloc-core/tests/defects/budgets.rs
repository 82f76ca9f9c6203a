//! Budgets: a limit that a governor keeps over what the core really takes from its backends, on many threads at once.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock, Weak};
use std::thread;

use framealloc_core::*;

use crate::support::{Answer, Scripted};
use crate::{in_time, small};

/// What the backend has handed out, and the most of it.
#[derive(Default)]
struct Held {
    bytes: AtomicUsize,
    most: AtomicUsize,
}

/// The program's memory, measured where it is taken.
struct Measured(SystemBackend, Arc<Held>);

// SAFETY: forwards to `SystemBackend`.
unsafe impl AllocatorBackend for Measured {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        let now = self.1.bytes.fetch_add(layout.size(), Ordering::SeqCst) + layout.size();
        self.1.most.fetch_max(now, Ordering::SeqCst);
        self.0.allocate(layout)
    }
    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { self.0.deallocate(ptr, layout) };
        self.1.bytes.fetch_sub(layout.size(), Ordering::SeqCst);
    }
}

/// A hard limit: charged when it is asked, corrected when it is told what became of it.
#[derive(Default)]
struct Budget {
    limit: usize,
    used: AtomicUsize,
    refused: AtomicUsize,
    settled: AtomicUsize,
    released: AtomicUsize,
    frames: AtomicUsize,
    held: Arc<Held>,
}

impl Budget {
    fn of(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, ..Self::default() })
    }

    fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    fn events(&self) -> [usize; 4] {
        [&self.refused, &self.settled, &self.released, &self.frames].map(|events| events.load(Ordering::SeqCst))
    }

    fn alloc(self: &Arc<Self>, config: AllocConfig) -> SmartAlloc {
        let backend = Measured(SystemBackend::new(), self.held.clone());
        SmartAlloc::new(config.with_backend(Box::new(backend)).with_governor(self.clone()))
    }
}

impl Governor for Budget {
    fn request(&self, request: &Request) -> Verdict {
        let charge = |used: usize| used.checked_add(request.bytes).filter(|&used| used <= self.limit);
        match self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, charge) {
            Ok(_) => Verdict::Allow,
            Err(_) => {
                self.refused.fetch_add(1, Ordering::SeqCst);
                Verdict::Deny
            }
        }
    }

    fn settle(&self, outcome: &Outcome) {
        assert!(outcome.obtained <= outcome.allowed);
        self.settled.fetch_add(1, Ordering::SeqCst);
        self.used.fetch_sub(outcome.allowed - outcome.obtained, Ordering::SeqCst);
    }

    fn release(&self, release: &Release) {
        let bytes = release.bytes;
        self.released.fetch_add(1, Ordering::SeqCst);
        // Below 0 it would be let through what is refused now.
        let before = self.used.fetch_sub(bytes, Ordering::SeqCst);
        assert!(before >= bytes, "{bytes} bytes are released of {before}");
    }

    fn end_frame(&self, _: &FrameEnd<'_>) {
        self.frames.fetch_add(1, Ordering::SeqCst);
    }
}

/// Four threads that want more than there is, of frames, scratch arenas, pools and large blocks, for some frames.
fn contend(budget: &Arc<Budget>, watch: impl Fn(&SmartAlloc) + Sync) -> (usize, usize) {
    let mut alloc = budget.alloc(small().with_trim(TrimPolicy::AfterFrames(1)));
    let (fine, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for round in 0..20 {
        let (start, working) = (Barrier::new(4), AtomicUsize::new(4));
        thread::scope(|s| {
            let workers: Vec<_> = (0..4usize)
                .map(|worker| {
                    let (alloc, fine, refused, start, working) = (&alloc, &fine, &refused, &start, &working);
                    s.spawn(move || {
                        start.wait();
                        let mut pooled = Vec::new();
                        let mut large = Vec::new();
                        for step in 0..150 {
                            let result = match (step + worker + round) % 5 {
                                0 => alloc.frame().try_alloc_slice_fill(300, 1u8).map(drop),
                                1 => alloc.try_pool_box([step; 60]).map(|boxed| pooled.push(boxed)),
                                2 => alloc.try_heap_box([step; 300]).map(|boxed| large.push(boxed)),
                                3 => alloc.scratch().try_alloc_slice_fill(3000, 1u8).map(drop),
                                _ => alloc.frame().try_alloc_slice_fill(6000, 1u8).map(drop),
                            };
                            if result.is_ok() { fine } else { refused }.fetch_add(1, Ordering::Relaxed);
                            if step % 40 == 39 {
                                pooled.truncate(pooled.len() / 2);
                                large.clear();
                            }
                        }
                        working.fetch_sub(1, Ordering::SeqCst);
                    })
                })
                .collect();
            while working.load(Ordering::SeqCst) > 0 {
                watch(&alloc);
                thread::yield_now();
            }
            // Until they are gone, with what they had cached: a scope waits for their work only.
            workers.into_iter().for_each(|worker| worker.join().unwrap());
        });
        alloc.end_frame();
        alloc.trim();
    }
    drop(alloc);
    (fine.into_inner(), refused.into_inner())
}

#[test]
fn defect_check_then_add_races() {
    let budget = Budget::of(600 << 10);
    let (fine, refused) = contend(&budget, |_| ());
    assert!(fine > 1000 && refused > 100, "{fine} and {refused}: nobody contends");
    let most = budget.held.most.load(Ordering::SeqCst);
    assert!(most <= budget.limit && most > budget.limit / 2, "{most} bytes of {}", budget.limit);
}

#[test]
fn defect_rejected_requests_still_charged() {
    // Refused by the governor.
    let budget = Budget::of(100 << 10);
    let mut alloc = budget.alloc(small());
    alloc.frame().alloc(1);
    let before = (budget.used(), alloc.stats().committed, alloc.frame().stats().bytes_allocated);
    for _ in 0..100 {
        assert!(alloc.frame().try_alloc_slice_fill(200 << 10, 1u8).is_err());
        assert!(alloc.try_heap_box([0u8; 200 << 10]).is_err());
        assert!(alloc.frame().vec::<u8>().try_reserve(200 << 10).is_err());
        assert_eq!((budget.used(), alloc.stats().committed, alloc.frame().stats().bytes_allocated), before);
    }
    assert!(alloc.frame().try_alloc_slice_fill(50 << 10, 1u8).is_ok());
    assert_eq!(alloc.end_frame().refused, 200);

    // Allowed, and failed by the backend, which may also lie.
    let backend = Scripted::new();
    let budget = Budget::of(100 << 10);
    let alloc = SmartAlloc::new(small().with_backend(backend.boxed()).with_governor(budget.clone()));
    for answer in [Answer::Failed, Answer::Short, Answer::Misaligned] {
        backend.always(answer);
        for _ in 0..50 {
            assert!(alloc.frame().try_alloc_slice_fill(20 << 10, 1u8).is_err());
            assert!(alloc.try_pool_box(1).is_err() && alloc.try_heap_box(1).is_err());
            assert_eq!((budget.used(), alloc.stats().committed), (0, 0), "{answer:?}");
        }
    }
    backend.restart();
    assert!(alloc.frame().try_alloc_slice_fill(50 << 10, 1u8).is_ok());
    assert_eq!(budget.used(), alloc.stats().committed);
}

/// A refusal is the one answer, and a figure of the frame: nothing is told of it besides.
#[test]
fn defect_one_event_per_refused_allocation() {
    let budget = Budget::of(2048);
    let mut alloc = budget.alloc(small());
    while alloc.frame().try_alloc([0u8; 64]).is_ok() {}
    let [_, settled, released, frames] = budget.events();
    let figures = |alloc: &SmartAlloc| {
        let ThreadStats { bytes_allocated, peak, waste, chunks, chunk_bytes, .. } = alloc.frame().stats();
        [bytes_allocated, peak, waste, chunks, chunk_bytes]
    };
    let before = figures(&alloc);
    budget.refused.store(0, Ordering::SeqCst);
    for _ in 0..10_000 {
        assert!(alloc.frame().try_alloc([0u8; 64]).is_err());
    }
    assert_eq!(budget.events(), [10_000, settled, released, frames], "asked once each, and nothing else");
    // Neither memory nor figures grow with refusals; the frame tells their number, once.
    assert_eq!((figures(&alloc), alloc.frame().stats().refused), (before, 10_001));
    assert_eq!(alloc.end_frame().refused, 10_001);
    assert_eq!(budget.events()[3], frames + 1);
    assert_eq!(alloc.end_frame().refused, 0);
}

/// Asks other threads to allocate in every call, and allocates itself: a lock that is held is waited for, for ever.
#[test]
fn defect_callbacks_under_a_lock_that_deadlock_when_they_allocate() {
    #[derive(Default)]
    struct Busy {
        alloc: OnceLock<Weak<SmartAlloc>>,
        calls: AtomicUsize,
        inside: AtomicBool,
    }
    impl Busy {
        fn call(&self) {
            let Some(alloc) = self.alloc.get().and_then(Weak::upgrade) else { return };
            self.calls.fetch_add(1, Ordering::SeqCst);
            let work = |alloc: &SmartAlloc| {
                // Inside a tag whose grant is used up it is refused, like anybody.
                let _ = alloc.frame().try_alloc_slice_fill(5000, 1u8);
                drop((alloc.pool_box([1u8; 300]), alloc.heap_box([1u8; 300])));
                alloc.scratch().alloc_slice_fill(5000, 1u8);
                alloc.pool().trim();
            };
            work(&alloc);
            // One at a time is enough.
            if !self.inside.swap(true, Ordering::SeqCst) {
                thread::scope(|s| s.spawn(|| work(&alloc)).join().unwrap());
                self.inside.store(false, Ordering::SeqCst);
            }
        }
    }
    impl Governor for Busy {
        fn request(&self, _: &Request) -> Verdict {
            self.call();
            Verdict::Allow
        }
        fn settle(&self, _: &Outcome) {
            self.call();
        }
        fn release(&self, _: &Release) {
            self.call();
        }
        fn open_tag(&self, _: &TagScope) -> Verdict {
            self.call();
            Verdict::AllowUpTo(64)
        }
        fn extend_tag(&self, _: &TagScope, _: usize) -> Verdict {
            self.call();
            Verdict::Allow
        }
        fn close_tag(&self, _: &TagScope, _: &TagUse) {
            self.call();
        }
    }
    in_time(|| {
        let busy = Arc::new(Busy::default());
        let alloc = Arc::new(SmartAlloc::new(small().with_governor(busy.clone())));
        busy.alloc.set(Arc::downgrade(&alloc)).unwrap();
        thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    for i in 0..20u64 {
                        let block = alloc.frame().alloc_slice_fill(700, i);
                        drop((alloc.pool_box([i; 100]), alloc.heap_box([i; 100])));
                        alloc.with_tag("busy", |a| a.frame().try_alloc([i; 9]).is_ok());
                        alloc.pool().trim();
                        assert!(block.iter().all(|&word| word == i));
                    }
                });
            }
        });
        assert!(busy.calls.load(Ordering::SeqCst) > 100);
    });
}

#[test]
fn defect_counters_that_never_fall() {
    let budget = Budget::of(usize::MAX);
    let mut alloc = budget.alloc(small().with_trim(TrimPolicy::AfterFrames(2)));
    alloc.frame().alloc(1);
    for _ in 0..40 {
        alloc.end_frame();
    }
    let floor = budget.used();
    for _ in 0..3 {
        // A spike, of everything.
        alloc.frame().alloc_slice_fill(1 << 20, 1u8);
        (0..500).for_each(|_| assert_eq!(alloc.frame().alloc([1u8; 1000])[9], 1));
        let kept: Vec<_> = (0..2000).map(|i| (alloc.pool_box([i; 20]), alloc.heap_box(i))).collect();
        let spike = budget.used();
        assert!(spike > floor + (1 << 20));
        drop(kept);
        for _ in 0..700 {
            alloc.end_frame();
        }
        alloc.pool().trim();
        assert!(budget.used() <= floor + 8192, "{} bytes after {spike}, {floor} before", budget.used());
    }
    drop(alloc);
    assert_eq!((budget.used(), budget.held.bytes.load(Ordering::SeqCst)), (0, 0));
}

/// A release is told when the memory is back, not before, so that at no moment more is handed out than the limit; and the core's own
/// count never wraps below 0.
#[test]
fn defect_decrement_that_underflows_for_a_moment_and_lets_others_through() {
    let budget = Budget::of(500 << 10);
    let held = budget.held.clone();
    let watched = budget.clone();
    let looks = AtomicUsize::new(0);
    let (_, refused) = contend(&budget, |alloc| {
        looks.fetch_add(1, Ordering::Relaxed);
        assert!(watched.used() <= watched.limit && held.bytes.load(Ordering::SeqCst) <= watched.limit);
        assert!(alloc.stats().committed <= watched.limit, "{} bytes", alloc.stats().committed);
    });
    assert!(refused > 100 && looks.into_inner() > 20);
    assert!(budget.held.most.load(Ordering::SeqCst) <= budget.limit);
    assert_eq!((budget.used(), budget.held.bytes.load(Ordering::SeqCst)), (0, 0));
}
