//! Limits under contention: eight threads, a thousand frames, limits by chance; never above one, and back to zero.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use framealloc_budget::bytes::kib;
use framealloc_budget::{Account, Budget, Limit};
use framealloc_core::{AllocConfig, AllocationResult, AllocatorBackend, SmartAlloc, SystemBackend, TrimPolicy};

/// What is handed out by the backend, beside the budget's own books.
#[derive(Default)]
struct Held {
    bytes: AtomicUsize,
    most: AtomicUsize,
}

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

const THREADS: usize = 8;
const FRAMES: usize = 1000;

/// A small generator, so that a run can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn eight_threads_never_pass_a_limit_in_a_thousand_frames() {
    let held = Arc::new(Held::default());
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let tags = ["a", "b", "a/c"];
    let budget = Budget::new()
        .with_committed(Limit::hard(kib(900)))
        .with_pools(Limit::hard(kib(300)))
        .with_frame(Limit::hard(kib(400)))
        .with_thread(Limit::hard(kib(90)))
        .with_tag("a", Limit::hard(kib(64)))
        .with_tag("b", Limit::hard(kib(32)))
        .with_tag("a/c", Limit::hard(kib(16)));
    let config = AllocConfig::default().with_frame_chunk(1 << 10, 32 << 10).with_trim(TrimPolicy::AfterFrames(1));
    let backend = Measured(SystemBackend::new(), held.clone());
    let mut alloc = Arc::new(SmartAlloc::new(config.with_backend(Box::new(backend)).with_governor(budget.clone())));

    let (fine, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (report, reports) = mpsc::channel::<()>();
    // Threads that stay, each with a task a frame.
    let crew: Vec<_> = (0..THREADS)
        .map(|worker| {
            let (send, tasks) = mpsc::channel::<(Arc<SmartAlloc>, u64)>();
            let (report, fine, refused) = (report.clone(), fine.clone(), refused.clone());
            let handle = thread::spawn(move || {
                let mut kept = Vec::new();
                for (alloc, seed) in tasks {
                    let mut dice = Dice(seed | 1);
                    for _ in 0..12 {
                        let size = 1 + dice.below(9000);
                        let tag = ["a", "b", "a/c", "free"][dice.below(4)];
                        let ok = match dice.below(6) {
                            0 => alloc.frame().try_alloc_slice_fill(size, 1u8).is_ok(),
                            1 => alloc.scratch().try_alloc_slice_fill(size, 1u8).is_ok(),
                            2 => alloc.try_heap_box([worker; 700]).map(|boxed| kept.push(boxed)).is_ok(),
                            3 => alloc.try_pool_box([worker; 60]).is_ok(),
                            _ => alloc.with_tag(tag, |a| {
                                let first = a.frame().try_alloc_slice_fill(size / 8, 1u8).is_ok();
                                first & a.with_tag("c", |a| a.frame().try_alloc_slice_fill(size / 4, 1u8).is_ok())
                            }),
                        };
                        if ok { &fine } else { &refused }.fetch_add(1, Ordering::Relaxed);
                    }
                    if dice.below(4) == 0 {
                        kept.clear();
                    }
                    drop(alloc);
                    report.send(()).unwrap();
                }
            });
            (send, handle)
        })
        .collect();

    let mut limits = vec![kib(64), kib(32), kib(16)];
    let mut most_frame = kib(400);
    for frame in 0..FRAMES {
        for (send, _) in &crew {
            send.send((alloc.clone(), dice.0.wrapping_mul(frame as u64 + 1) ^ dice.below(1 << 30) as u64)).unwrap();
        }
        for _ in 0..THREADS {
            reports.recv().unwrap();
        }
        // What the threads used is in the books now.
        for (tag, limit) in tags.iter().zip(&limits) {
            assert!(budget.used(&Account::tag(tag)) <= *limit, "{tag} in frame {frame}");
        }
        assert!(budget.used(&Account::Committed) <= kib(900) && budget.used(&Account::Pools) <= kib(300));
        let owned = Arc::get_mut(&mut alloc).expect("all tasks are done");
        let stats = owned.end_frame();
        assert!(stats.bytes_allocated <= most_frame, "{stats:?}");
        let record = budget.metrics().last().unwrap();
        assert!(record.threads.iter().all(|share| share.peak <= kib(90)), "{record:?}");
        for ((at, limit), name) in [1, 2, 3].into_iter().zip(&limits).zip(tags) {
            assert!(record.tags[at].peak <= *limit, "{name} in frame {frame}: {record:?}");
        }
        assert_eq!(budget.used(&Account::Frame), 0);
        // Other limits by chance: they hold from the next frame's end on.
        if frame % 10 == 3 {
            limits = vec![kib(8 + dice.below(64)), kib(dice.below(40)), dice.below(20_000)];
            most_frame = kib(200 + dice.below(300));
            for (tag, limit) in tags.iter().zip(&limits) {
                budget.set_limit(Account::tag(tag), Limit::hard(*limit)).unwrap();
            }
            budget.set_limit(Account::Frame, Limit::hard(most_frame)).unwrap();
            Arc::get_mut(&mut alloc).unwrap().end_frame();
        }
    }
    for (send, handle) in crew {
        drop(send);
        handle.join().unwrap();
    }
    let (fine, refused) = (fine.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    assert!(fine > 10_000 && refused > 5_000, "{fine} fine, {refused} refused: nobody contends");
    let most = held.most.load(Ordering::SeqCst);
    assert!(most <= kib(900) && most > kib(500), "{most} bytes at most");
    drop(alloc);
    for account in [Account::Committed, Account::Pools, Account::Frame] {
        assert_eq!(budget.used(&account), 0, "{account}");
    }
    assert_eq!(held.bytes.load(Ordering::SeqCst), 0);
}
