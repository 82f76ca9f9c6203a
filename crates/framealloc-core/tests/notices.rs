//! What a governor is told without being asked: each block that is held, and each stage of work.

mod support;

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, ThreadId};

use framealloc_core::*;
use support::panic_text;

type Meanwhile = (&'static str, Box<dyn Fn() + Send + Sync>);

/// Keeps what it is told, and does as told about it.
#[derive(Default)]
struct Watcher {
    held: Mutex<BTreeMap<usize, HeldBlock>>,
    stages: Mutex<Vec<(ThreadId, Stage)>>,
    seen: Mutex<Vec<(bool, Stage)>>,
    /// The method that panics.
    panics_in: Mutex<Option<&'static str>>,
    /// Whether requests are refused.
    strict: AtomicBool,
    books: AtomicUsize,
    /// What the methods that are named do beside.
    meanwhile: OnceLock<Meanwhile>,
}

impl Watcher {
    fn called(&self, method: &'static str) {
        let panics = *self.panics_in.lock().unwrap() == Some(method);
        assert!(!panics, "{method} panics");
        if let Some((of, meanwhile)) = self.meanwhile.get()
            && *of == method
        {
            meanwhile();
        }
    }

    fn panic_in(&self, method: Option<&'static str>) {
        *self.panics_in.lock().unwrap() = method;
    }

    fn bytes(&self) -> usize {
        self.held.lock().unwrap().values().map(|block| block.bytes).sum()
    }

    fn seen(&self) -> Vec<(bool, Stage)> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl Governor for Watcher {
    fn request(&self, _: &Request) -> Verdict {
        self.called("request");
        if self.strict.load(Ordering::SeqCst) { Verdict::Deny } else { Verdict::Allow }
    }
    fn settle(&self, outcome: &Outcome) {
        self.books.fetch_add(outcome.obtained, Ordering::SeqCst);
        self.called("settle");
    }
    fn release(&self, release: &Release) {
        let before = self.books.fetch_sub(release.bytes, Ordering::SeqCst);
        assert!(before >= release.bytes);
        self.called("release");
    }
    fn taken(&self, block: &HeldBlock) {
        let before = self.held.lock().unwrap().insert(block.address, *block);
        assert_eq!(before, None, "its address is that of another one");
        self.called("taken");
    }
    fn giving_back(&self, block: &HeldBlock) {
        let before = self.held.lock().unwrap().remove(&block.address);
        assert_eq!(before.as_ref(), Some(block));
        self.called("giving_back");
    }
    fn enter(&self, stage: Stage) {
        self.called("enter");
        self.seen.lock().unwrap().push((true, stage));
        self.stages.lock().unwrap().push((thread::current().id(), stage));
    }
    fn leave(&self, stage: Stage) {
        self.seen.lock().unwrap().push((false, stage));
        let mut stages = self.stages.lock().unwrap();
        let here = thread::current().id();
        let innermost = stages.iter().rposition(|(thread, _)| *thread == here).expect("nothing was entered");
        assert_eq!(stages.remove(innermost).1, stage);
        drop(stages);
        self.called("leave");
    }
    fn end_frame(&self, _: &FrameEnd<'_>) {
        self.called("end_frame");
    }
}

/// The program's allocator, which looks at what the governor was told when a block is freed.
struct Checked {
    watcher: Arc<Watcher>,
    system: SystemBackend,
    panics: bool,
}

// SAFETY: it hands on to `SystemBackend`.
unsafe impl AllocatorBackend for Checked {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        assert!(!self.panics, "the backend panics");
        self.system.allocate(layout)
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        let held = self.watcher.held.lock().unwrap().contains_key(&ptr.addr().get());
        assert!(!held, "given back before the governor was told");
        // SAFETY: handed on.
        unsafe { self.system.deallocate(ptr, layout) };
    }

    fn name(&self) -> &'static str {
        "checked"
    }
}

fn watched(panics: bool) -> (Arc<Watcher>, SmartAlloc) {
    let watcher = Arc::new(Watcher::default());
    let backend = Checked { watcher: watcher.clone(), system: SystemBackend::new(), panics };
    let config = AllocConfig::default()
        .with_frame_chunk(1024, 4096)
        .with_trim(TrimPolicy::AfterFrames(1))
        .with_backend(Box::new(backend))
        .with_governor(watcher.clone());
    (watcher, SmartAlloc::new(config))
}

#[test]
fn each_block_is_told_when_it_is_taken_and_before_it_goes_back() {
    let (watcher, mut alloc) = watched(false);
    for round in 1..20 {
        alloc.begin_frame();
        thread::scope(|scope| {
            let threads = [0, 1, 2].map(|thread| {
                let alloc = &alloc;
                scope.spawn(move || {
                    let filled = alloc.frame().alloc_slice_fill(1000 * round * (thread + 1) % 7000, 1u8);
                    assert!(filled.iter().all(|&byte| byte == 1));
                    let kept: Vec<_> = (0..50).map(|n| alloc.pool_box([n; 100])).collect();
                    drop((alloc.heap_box([0u8; 100_000]), kept));
                })
            });
            // The scope itself does not wait for what threads do last: their caches go back then.
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        alloc.end_frame();
        assert_eq!(watcher.bytes(), alloc.stats().committed);
        assert_eq!(watcher.bytes(), watcher.books.load(Ordering::SeqCst));
    }
    let mut resources: Vec<_> = watcher.held.lock().unwrap().values().map(|block| block.resource).collect();
    resources.dedup();
    assert!(resources.contains(&Resource::Chunk) && resources.contains(&Resource::Slab), "{resources:?}");
    drop(alloc);
    assert_eq!((watcher.bytes(), watcher.stages.lock().unwrap().len()), (0, 0));
}

#[test]
fn blocks_that_the_governors_own_calls_take_are_told_but_not_those_of_a_notice() {
    let count = |method: &'static str| {
        let (watcher, alloc) = watched(false);
        let alloc = Arc::new(alloc);
        let kept: Arc<Mutex<Vec<HeapBox<[u8; 70_000]>>>> = Arc::default();
        let (inner, keep, depth) = (Arc::downgrade(&alloc), kept.clone(), AtomicUsize::new(0));
        let meanwhile = move || {
            if depth.fetch_add(1, Ordering::SeqCst) == 0 {
                let block = inner.upgrade().unwrap().heap_box([0u8; 70_000]);
                keep.lock().unwrap().push(block);
            }
        };
        assert!(watcher.meanwhile.set((method, Box::new(meanwhile))).is_ok());
        let outer = alloc.heap_box([0u8; 50_000]);
        let counts = (watcher.held.lock().unwrap().len(), watcher.books.load(Ordering::SeqCst) < 70_000);
        // Boxes keep their allocator, and that its governor.
        drop((outer, std::mem::take(&mut *kept.lock().unwrap())));
        assert_eq!(watcher.bytes(), 0, "of those that it was not told of, it is not told again");
        counts
    };
    // It is not asked about the inner one in either case.
    assert_eq!(count("request"), (2, true));
    assert_eq!(count("settle"), (2, true));
    assert_eq!(count("taken"), (1, true));
}

#[test]
fn stages_are_told_in_their_order() {
    let (watcher, mut alloc) = watched(false);
    alloc.begin_frame();
    alloc.frame().alloc(1u8);
    alloc.end_frame();
    let around = |stage| [(true, stage), (false, stage)];
    let frame = [Stage::BeginFrame, Stage::Take(Resource::Chunk), Stage::EndFrame].map(around).concat();
    assert_eq!(watcher.seen(), frame);
    drop(alloc.heap_box([0u8; 100_000]));
    let large = [Stage::Take(Resource::Large), Stage::GiveBack(Resource::Large)].map(around).concat();
    assert_eq!(watcher.seen(), large);
    alloc.frame().alloc(1u8);
    let sealed = alloc.seal_frame();
    assert_eq!(watcher.seen(), around(Stage::EndFrame));
    drop(sealed);
    drop(alloc);
    assert_eq!(watcher.seen(), around(Stage::GiveBack(Resource::Chunk)));
}

#[test]
fn stages_end_whatever_happens_in_them() {
    for (method, panics) in
        [("request", false), ("settle", false), ("release", false), ("end_frame", false), ("", true)]
    {
        let (watcher, mut alloc) = watched(panics);
        watcher.panic_in(Some(method));
        let mut caught = 0;
        let mut attempt = |job: &mut dyn FnMut()| caught += usize::from(catch_unwind(AssertUnwindSafe(job)).is_err());
        attempt(&mut || alloc.frame().alloc_slice_fill(3000, 1u8)[0] = 2);
        attempt(&mut || drop(alloc.heap_box([0u8; 100_000])));
        attempt(&mut || {
            alloc.end_frame();
        });
        assert!(caught > 0, "{method}");
        assert!(watcher.stages.lock().unwrap().is_empty(), "{method}");
        watcher.panic_in(None);
        watcher.strict.store(true, Ordering::SeqCst);
        assert!(alloc.try_heap_box([0u8; 100_000]).is_err());
        drop(alloc);
        assert!(watcher.stages.lock().unwrap().is_empty(), "{method}");
        assert_eq!((watcher.bytes(), watcher.books.load(Ordering::SeqCst)), (0, 0), "{method}");
    }
}

#[test]
fn a_notice_that_panics_loses_no_block() {
    let (watcher, alloc) = watched(false);
    watcher.panic_in(Some("taken"));
    assert_eq!(panic_text(|| drop(alloc.heap_box([0u8; 100_000]))).as_deref(), Some("taken panics"));
    assert_eq!((watcher.bytes(), alloc.stats().committed, watcher.books.load(Ordering::SeqCst)), (0, 0, 0));
    watcher.panic_in(Some("giving_back"));
    assert_eq!(panic_text(|| drop(alloc.heap_box([0u8; 100_000]))).as_deref(), Some("giving_back panics"));
    assert_eq!((watcher.bytes(), alloc.stats().committed, watcher.books.load(Ordering::SeqCst)), (0, 0, 0));
    // These two are no business of whoever allocates.
    for method in ["enter", "leave"] {
        watcher.panic_in(Some(method));
        let block = alloc.heap_box([7u8; 100_000]);
        assert_eq!((block[99_999], watcher.bytes()), (7, alloc.stats().committed));
        drop(block);
        assert_eq!(alloc.stats().committed, 0, "{method}");
    }
}
