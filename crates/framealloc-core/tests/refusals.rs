//! What a governor may do about a refusal: make room, go beyond the limit, panic; and what it is told of each.

mod support;

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use framealloc_core::*;
use support::panic_text;

type Evict = Box<dyn Fn(&Shortage) -> bool + Send + Sync>;

/// Refuses everything above a number of bytes held, and does as told about it.
#[derive(Default)]
struct Strict {
    limit: AtomicUsize,
    held: AtomicIsize,
    heap: AtomicIsize,
    evictions: AtomicUsize,
    /// What `evict` does; true to be asked again.
    evict: OnceLock<Evict>,
    last_word: Mutex<Option<Verdict>>,
    words: Mutex<Vec<Shortage>>,
    /// What tags and threads are granted in all.
    grants: Mutex<Vec<(Option<&'static str>, usize)>>,
    bounded: bool,
}

impl Strict {
    fn of(limit: usize) -> Self {
        Self { limit: AtomicUsize::new(limit), ..Self::default() }
    }

    /// Takes `needed` bytes from what is there for a tag, or for threads.
    fn grant(&self, name: Option<&'static str>, needed: usize) -> Verdict {
        let mut grants = self.grants.lock().unwrap();
        match grants.iter_mut().find(|(of, _)| *of == name) {
            Some((_, left)) if *left >= needed => {
                *left -= needed;
                Verdict::AllowUpTo(needed)
            }
            Some(_) => Verdict::Deny,
            None => Verdict::Allow,
        }
    }
}

impl Governor for Strict {
    fn request(&self, request: &Request) -> Verdict {
        let room = self.limit.load(Ordering::SeqCst) as isize - self.held.load(Ordering::SeqCst);
        if request.bytes as isize <= room { Verdict::Allow } else { Verdict::Deny }
    }
    fn settle(&self, outcome: &Outcome) {
        assert!(outcome.obtained <= outcome.allowed);
        let held = if outcome.heap { &self.heap } else { &self.held };
        held.fetch_add(outcome.obtained as isize, Ordering::SeqCst);
    }
    fn release(&self, release: &Release) {
        let held = if release.heap { &self.heap } else { &self.held };
        let before = held.fetch_sub(release.bytes as isize, Ordering::SeqCst);
        assert!(before >= release.bytes as isize, "{release:?} of {before}");
    }
    fn evict(&self, shortage: &Shortage) -> bool {
        self.evictions.fetch_add(1, Ordering::SeqCst);
        self.evict.get().is_some_and(|evict| evict(shortage))
    }
    fn refused(&self, shortage: &Shortage) -> Verdict {
        self.words.lock().unwrap().push(*shortage);
        self.last_word.lock().unwrap().unwrap_or(Verdict::Deny)
    }
    fn open_tag(&self, scope: &TagScope) -> Verdict {
        let limited = self.grants.lock().unwrap().iter().any(|(name, _)| *name == Some(scope.tag.name()));
        if limited { Verdict::AllowUpTo(0) } else { Verdict::Allow }
    }
    fn extend_tag(&self, scope: &TagScope, needed: usize) -> Verdict {
        self.grant(Some(scope.tag.name()), needed)
    }
    fn bounds_threads(&self) -> bool {
        self.bounded
    }
    fn extend_thread(&self, granted: usize, needed: usize) -> Verdict {
        assert_eq!(granted % 8, 0);
        self.grant(None, needed)
    }
}

fn governed(strict: &Arc<Strict>) -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_frame_chunk(1024, 4096).with_governor(strict.clone()))
}

fn words(frame: Frame<'_>) -> usize {
    (0..100_000u64).take_while(|&word| frame.try_alloc(word).is_ok()).count()
}

#[test]
fn eviction_is_asked_once_for_a_refusal_and_what_it_takes_is_governed() {
    static ALLOC: OnceLock<SmartAlloc> = OnceLock::new();
    static STRICT: OnceLock<Arc<Strict>> = OnceLock::new();
    let strict = STRICT.get_or_init(|| Arc::new(Strict::of(10_000)));
    let alloc = ALLOC.get_or_init(|| governed(strict));
    let kept: Mutex<Vec<HeapBox<[u8; 3000]>>> = Mutex::default();
    (0..3).for_each(|_| kept.lock().unwrap().push(alloc.heap_box([1; 3000])));
    let evict = move |shortage: &Shortage| {
        assert_eq!(shortage.scarce, Scarce::Resource(Resource::Large));
        let before = strict.held.load(Ordering::SeqCst);
        // Final, without a call of this.
        assert!(alloc.try_heap_box([1u8; 3000]).is_err());
        let evicted = kept.lock().unwrap().pop().is_some();
        // Told at once, not when the request has been answered; what is taken here is asked for.
        assert_eq!(strict.held.load(Ordering::SeqCst) < before, evicted);
        drop(alloc.heap_box([1u8; 500]));
        evicted
    };
    assert!(strict.evict.set(Box::new(evict)).is_ok());
    for round in 1..=3 {
        std::mem::forget(alloc.heap_box([2u8; 3000]));
        assert_eq!(strict.evictions.load(Ordering::SeqCst), round);
    }
    assert!(alloc.try_heap_box([2u8; 3000]).is_err());
    assert_eq!((strict.evictions.load(Ordering::SeqCst), strict.words.lock().unwrap().len()), (4, 5));
}

#[test]
fn a_governor_that_is_being_asked_is_not_asked_to_evict() {
    #[derive(Default)]
    struct Nested {
        alloc: OnceLock<std::sync::Weak<SmartAlloc>>,
        inside: AtomicUsize,
        seen: AtomicUsize,
    }
    impl Governor for Nested {
        fn close_tag(&self, scope: &TagScope, _: &TagUse) {
            if scope.depth == 0 {
                return;
            }
            // A question in which a tag of the outer program is used up.
            let Some(alloc) = self.alloc.get().and_then(std::sync::Weak::upgrade) else { return };
            self.inside.fetch_add(1, Ordering::SeqCst);
            assert!(alloc.frame().try_alloc([0u8; 600]).is_err());
            self.inside.fetch_sub(1, Ordering::SeqCst);
            self.seen.fetch_add(1, Ordering::SeqCst);
        }
        fn open_tag(&self, scope: &TagScope) -> Verdict {
            Verdict::AllowUpTo(if scope.depth == 0 { 512 } else { usize::MAX })
        }
        fn evict(&self, _: &Shortage) -> bool {
            assert_eq!(self.inside.load(Ordering::SeqCst), 0, "called while it is being called");
            self.seen.fetch_add(1, Ordering::SeqCst);
            false
        }
        fn refused(&self, _: &Shortage) -> Verdict {
            assert_eq!(self.inside.load(Ordering::SeqCst), 0, "called while it is being called");
            Verdict::Deny
        }
    }
    let nested = Arc::new(Nested::default());
    let alloc = Arc::new(SmartAlloc::new(AllocConfig::default().with_governor(nested.clone())));
    alloc.with_tag("outer", |a| {
        nested.alloc.set(Arc::downgrade(&alloc)).unwrap();
        a.with_tag("inner", |a| _ = a.frame().alloc(1u64));
        assert_eq!(nested.seen.load(Ordering::SeqCst), 1);
        assert!(a.frame().try_alloc([0u8; 600]).is_err());
        assert_eq!(nested.seen.load(Ordering::SeqCst), 2, "outside of a call it is asked");
        a.frame().alloc([0u8; 400]);
    });
}

/// A backend that says where each block came from.
struct Marked(SystemBackend, Arc<AtomicIsize>);

// SAFETY: forwards to `SystemBackend`.
unsafe impl AllocatorBackend for Marked {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        self.1.fetch_add(layout.size() as isize, Ordering::SeqCst);
        self.0.allocate(layout)
    }
    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        self.1.fetch_sub(layout.size() as isize, Ordering::SeqCst);
        // SAFETY: the caller's promise is handed on.
        unsafe { self.0.deallocate(ptr, layout) };
    }
}

#[test]
fn beyond_a_limit_memory_comes_from_the_heap_and_goes_back_there() {
    let strict = Arc::new(Strict::of(2048));
    *strict.last_word.lock().unwrap() = Some(Verdict::Heap);
    let own = Arc::new(AtomicIsize::new(0));
    let backend = Marked(SystemBackend::new(), own.clone());
    let config = AllocConfig::default().with_frame_chunk(1024, 4096).with_trim(TrimPolicy::AfterFrames(1));
    let mut alloc = SmartAlloc::new(config.with_backend(Box::new(backend)).with_governor(strict.clone()));
    let figures = || [&strict.held, &strict.heap, &own].map(|bytes| bytes.load(Ordering::SeqCst));
    let mut kept = Vec::new();
    for i in 0..400u64 {
        assert_eq!(*alloc.frame().alloc([i; 3]), [i; 3]);
        kept.push(alloc.heap_box([i; 30]));
    }
    let [held, heap, backend] = figures();
    assert!((1024..=2048).contains(&held) && held == backend, "{held} of the limit, {backend} of the backend");
    assert!(heap > 400 * 240);
    assert_eq!(alloc.stats().committed as isize, held + heap);
    assert_eq!(alloc.end_frame().refused, 0);
    drop(kept);
    (0..200).for_each(|_| _ = alloc.end_frame());
    alloc.trim();
    assert_eq!(figures(), [0, 0, 0]);
    drop(alloc);
    assert_eq!(figures(), [0, 0, 0]);
}

#[test]
fn a_frame_sealed_beyond_a_limit_is_told_apart_until_it_is_dropped() {
    // The store of frames alone is short: chunks are charged to the same books, so the limit leaves room for one of them.
    let strict = Arc::new(Strict::of(1024));
    *strict.last_word.lock().unwrap() = Some(Verdict::Heap);
    let mut alloc = governed(&strict);
    let held = || [&strict.held, &strict.heap].map(|bytes| bytes.load(Ordering::SeqCst));
    let mut sealed = Vec::new();
    for round in 0..3u64 {
        alloc.publish(round);
        sealed.push(alloc.seal_frame());
    }
    let [within, beyond] = held();
    assert!(within <= 1024 && beyond >= 3 * 1024, "{within} within, {beyond} beyond");
    drop(sealed);
    drop(alloc);
    assert_eq!(held(), [0, 0]);
}

#[test]
fn what_a_governor_gives_back_when_a_frame_ends_is_told_at_once() {
    #[derive(Default)]
    struct Keeper {
        kept: Mutex<Vec<HeapBox<[u8; 5000]>>>,
        held: AtomicIsize,
    }
    impl Governor for Keeper {
        fn settle(&self, outcome: &Outcome) {
            self.held.fetch_add(outcome.obtained as isize, Ordering::SeqCst);
        }
        fn release(&self, release: &Release) {
            self.held.fetch_sub(release.bytes as isize, Ordering::SeqCst);
        }
        fn end_frame(&self, _: &FrameEnd<'_>) {
            let kept = std::mem::take(&mut *self.kept.lock().unwrap());
            drop(kept);
        }
    }
    let keeper = Arc::new(Keeper::default());
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(keeper.clone()));
    _ = alloc.frame().alloc(1);
    alloc.end_frame();
    let warm = keeper.held.load(Ordering::SeqCst);
    let boxed = alloc.heap_box([1; 5000]);
    keeper.kept.lock().unwrap().push(boxed);
    assert!(keeper.held.load(Ordering::SeqCst) > warm);
    alloc.end_frame();
    assert_eq!(keeper.held.load(Ordering::SeqCst), warm);
}

#[test]
fn a_governor_is_told_of_the_end_when_nothing_is_left() {
    #[derive(Default)]
    struct Ends {
        attached: AtomicUsize,
        detached: AtomicUsize,
        refuses: bool,
    }
    impl Governor for Ends {
        fn attach(&self) -> Result<(), &'static str> {
            self.attached.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        fn request(&self, _: &Request) -> Verdict {
            if self.refuses { Verdict::Deny } else { Verdict::Allow }
        }
        fn detach(&self) {
            self.detached.fetch_add(1, Ordering::SeqCst);
        }
    }
    let ends = Arc::new(Ends::default());
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(ends.clone()));
    let boxed = alloc.pool_box(1);
    alloc.publish(1);
    let sealed = alloc.seal_frame();
    drop(alloc);
    drop(sealed);
    assert_eq!(ends.detached.load(Ordering::SeqCst), 0, "a box is left");
    drop(boxed);
    assert_eq!(ends.detached.load(Ordering::SeqCst), 1);
    // An allocator that could not be made is gone as well.
    let ends = Arc::new(Ends { refuses: true, ..Ends::default() });
    let config = AllocConfig::default().with_prefault(1 << 20).with_governor(ends.clone());
    assert!(SmartAlloc::try_new(config).is_err());
    assert_eq!((ends.attached.load(Ordering::SeqCst), ends.detached.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn a_vector_at_the_end_of_a_grant_grows_where_it_is() {
    // At a multiple of 16, and not.
    for before in [0, 1, 2] {
        let grants = vec![(Some("tag"), 10_000)];
        let strict = Arc::new(Strict { grants: Mutex::new(grants), ..Strict::of(1 << 20) });
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(strict));
        alloc.with_tag("tag", |a| {
            (0..before).for_each(|word| _ = a.frame().alloc(word));
            let room = 1250 - before;
            let mut vec = a.frame().vec_with_capacity::<usize>(1);
            let start = vec.as_ptr();
            // Its own bytes and no copies: to the last of the grant.
            for word in 0..room {
                vec.try_push(word).map_err(|(error, _)| error).unwrap();
                if vec.len() == vec.capacity() && vec.len() < room {
                    vec.try_reserve_exact(1.max((room - vec.len()) / 2)).unwrap();
                }
            }
            assert_eq!((vec.as_ptr(), vec.len()), (start, room));
            assert!(vec.try_reserve_exact(1).is_err());
        });
        assert_eq!(alloc.end_frame().refused, 1);
    }
}

#[test]
fn a_block_that_is_not_the_last_one_asks_for_its_copy_only() {
    let grants = vec![(Some("tag"), 10_000)];
    let strict = Arc::new(Strict { grants: Mutex::new(grants), ..Strict::of(1 << 20) });
    let alloc = SmartAlloc::new(AllocConfig::default().with_governor(strict.clone()));
    let left = || strict.grants.lock().unwrap()[0].1;
    alloc.with_tag("tag", |a| {
        let mut vec = a.frame().vec_with_capacity::<u64>(10);
        vec.extend(0..10);
        let behind = a.frame().alloc([7u8; 400]);
        assert_eq!(left(), 10_000 - 80 - 400);
        // Would lie between the two.
        vec.try_reserve_exact(10).unwrap();
        assert_eq!(left(), 10_000 - 80 - 400 - 160);
        vec.extend(10..20);
        assert!(vec.iter().copied().eq(0..20) && behind.iter().all(|&byte| byte == 7));
    });
}

#[test]
fn the_last_word_may_be_a_panic() {
    struct Loud(AtomicUsize);
    impl Governor for Loud {
        fn request(&self, request: &Request) -> Verdict {
            if request.resource == Resource::Chunk { Verdict::Allow } else { Verdict::Deny }
        }
        fn open_tag(&self, _: &TagScope) -> Verdict {
            Verdict::AllowUpTo(64)
        }
        fn refused(&self, shortage: &Shortage) -> Verdict {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("no {} bytes", shortage.bytes)
        }
    }
    let loud = Arc::new(Loud(AtomicUsize::new(0)));
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(loud.clone()));
    for _ in 0..3 {
        let text = panic_text(|| alloc.with_tag("tag", |a| a.frame().try_alloc([0u8; 100]).is_ok()));
        assert_eq!(text.as_deref(), Some("no 40 bytes"));
        let text = panic_text(|| alloc.try_pool_box(1).is_ok());
        assert_eq!(text.as_deref(), Some("no 65536 bytes"));
        let text = panic_text(|| _ = alloc.seal_frame());
        assert_eq!(text, None, "nothing to seal, nothing to ask");
        alloc.publish(1u64);
        let text = panic_text(|| _ = alloc.try_seal_frame());
        assert_eq!(text.as_deref(), Some("no 65536 bytes"));
        assert_eq!(alloc.with_tag("tag", |a| a.frame().alloc([7u64; 8])[7]), 7);
        alloc.end_frame();
    }
    assert_eq!(loud.0.load(Ordering::Relaxed), 9);
}

#[test]
fn outer_scopes_and_the_thread_are_extended_first_and_the_least_holds() {
    for (thread, outer, inner, fits) in
        [(9000, 9000, 9000, 9000), (800, 9000, 9000, 800), (9000, 800, 9000, 800), (9000, 9000, 800, 800), (0, 8, 8, 0)]
    {
        let grants = vec![(None, thread), (Some("outer"), outer), (Some("inner"), inner)];
        let strict = Arc::new(Strict { bounded: true, grants: Mutex::new(grants), ..Strict::of(1 << 20) });
        let mut alloc = governed(&strict);
        let fitted = alloc.with_tag("outer", |a| a.with_tag("free", |a| a.with_tag("inner", |a| words(a.frame()))));
        assert_eq!(fitted, fits / 8, "{thread} {outer} {inner}");
        // A scope that closes takes its grant with it, and leaves the thread's.
        assert_eq!(words(alloc.frame()), (thread - fits) / 8);
        assert!(
            matches!(strict.words.lock().unwrap().last().unwrap().scarce, Scarce::Thread { granted } if granted == thread)
        );
        // Every thread and every frame begins without a grant.
        strict.grants.lock().unwrap()[0].1 = 80;
        assert_eq!(std::thread::scope(|s| s.spawn(|| words(alloc.frame())).join().unwrap()), 10);
        alloc.end_frame();
        strict.grants.lock().unwrap()[0].1 = 160;
        assert_eq!(words(alloc.frame()), 20);
    }
}

#[test]
fn depth_counts_the_scopes_that_were_told() {
    #[derive(Default)]
    struct Depths {
        seen: Mutex<Vec<(char, &'static str, usize, isize)>>,
        alloc: OnceLock<std::sync::Weak<SmartAlloc>>,
    }
    impl Governor for Depths {
        fn open_tag(&self, scope: &TagScope) -> Verdict {
            self.seen.lock().unwrap().push(('o', scope.tag.name(), scope.depth, 0));
            if let Some(alloc) = self.alloc.get().and_then(std::sync::Weak::upgrade) {
                // Nobody is told of these.
                alloc.with_tag("untold", |a| a.with_tag("untold", |a| *a.frame().alloc(1u64)));
            }
            Verdict::Allow
        }
        fn close_tag(&self, scope: &TagScope, used: &TagUse) {
            self.seen.lock().unwrap().push(('c', scope.tag.name(), scope.depth, used.kept));
        }
    }
    let depths = Arc::new(Depths::default());
    let alloc = Arc::new(SmartAlloc::new(AllocConfig::default().with_governor(depths.clone())));
    depths.alloc.set(Arc::downgrade(&alloc)).unwrap();
    alloc.with_tag("a", |a| {
        let mut vec = a.frame().vec_with_capacity::<u64>(10);
        a.with_tag("b", |a| {
            _ = a.frame().alloc(1u64);
            a.with_tag("a", |a| _ = a.frame().alloc([1u64; 2]));
        });
        a.with_tag("c", |_| vec.push(1));
        let last = a.frame().vec_with_capacity::<u64>(5);
        a.with_tag("d", move |_| drop(last));
    });
    let seen = depths.seen.lock().unwrap();
    // 8 bytes of the governor's own lie in each scope around the one that it is told of.
    let expected = [
        ('o', "a", 0, 0),
        ('o', "b", 1, 0),
        ('o', "a", 2, 0),
        ('c', "a", 2, 16),
        ('c', "b", 1, 32),
        ('o', "c", 1, 0),
        ('c', "c", 1, 0),
        ('o', "d", 1, 0),
        ('c', "d", 1, 0),
        ('c', "a", 0, 168),
    ];
    assert_eq!(seen.len(), expected.len());
    for (seen, expected) in seen.iter().zip(&expected) {
        assert_eq!((seen.0, seen.1, seen.2), (expected.0, expected.1, expected.2));
        if seen.1 != "d" && seen.2 != 0 {
            assert_eq!(seen.3, expected.3, "{expected:?}");
        }
    }
}

#[test]
fn what_a_scope_keeps_may_be_less_than_nothing() {
    #[derive(Default)]
    struct Kept(Mutex<Vec<(usize, isize)>>);
    impl Governor for Kept {
        fn close_tag(&self, _: &TagScope, used: &TagUse) {
            self.0.lock().unwrap().push((used.peak, used.kept));
        }
    }
    let kept = Arc::new(Kept::default());
    let alloc = SmartAlloc::new(AllocConfig::default().with_governor(kept.clone()));
    let last = alloc.frame().vec_with_capacity::<u64>(10);
    alloc.with_tag("frees", move |_| drop(last));
    let vec = alloc.frame().vec_with_capacity::<u64>(10);
    alloc.with_tag("replaces", move |a| {
        drop(vec);
        _ = a.frame().alloc([1u64; 3]);
    });
    alloc.with_tag("both", |a| {
        drop(a.frame().vec_with_capacity::<u64>(7));
        _ = a.frame().alloc(1u64);
    });
    assert_eq!(*kept.0.lock().unwrap(), [(0, -80), (0, -56), (56, 8)]);
}

#[test]
fn a_governor_that_cannot_govern_says_why() {
    struct Picky;
    impl Governor for Picky {
        fn attach(&self) -> Result<(), &'static str> {
            Err("it is closed on Mondays")
        }
    }
    let error = SmartAlloc::try_new(AllocConfig::default().with_governor(Picky)).unwrap_err();
    assert_eq!(error.kind(), AllocErrorKind::Governor { reason: "it is closed on Mondays" });
    assert!(error.to_string().ends_with("it is closed on Mondays"), "{error}");
}

#[test]
fn threads_are_told_by_the_number_of_their_arena() {
    #[derive(Default)]
    struct Arenas(Mutex<Vec<Vec<usize>>>);
    impl Governor for Arenas {
        fn end_frame(&self, end: &FrameEnd<'_>) {
            let threads = end.threads;
            let mut arenas: Vec<_> = threads.iter().map(|share| share.arena).collect();
            arenas.sort_unstable();
            assert_eq!(threads.iter().find(|share| share.arena == 0).unwrap().peak, 8, "this thread keeps its arena");
            self.0.lock().unwrap().push(arenas);
        }
    }
    let arenas = Arc::new(Arenas::default());
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(arenas.clone()));
    for _ in 0..3 {
        _ = alloc.frame().alloc(1u64);
        for size in [2, 3] {
            std::thread::scope(|s| _ = s.spawn(|| alloc.frame().alloc_slice_fill(size, 1u64).len()).join());
        }
        alloc.end_frame();
    }
    assert_eq!(*arenas.0.lock().unwrap(), vec![vec![0, 1, 2]; 3]);
}

/// The panic names the line of the program that asked, whichever methods lie between.
#[test]
fn a_refusal_unwinds_from_the_program_s_line() {
    let place = Arc::new(Mutex::new(None));
    let (noted, before) = (place.clone(), std::panic::take_hook());
    let here = thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        if thread::current().id() == here {
            *noted.lock().unwrap() = info.location().map(|at| (at.file().to_owned(), at.line()));
        } else {
            before(info);
        }
    }));
    let arena = Arena::with_backend(Box::new(FixedBackend::new(0)));
    let mut vec = arena.vec();
    let mut elsewhere = Vec::new();
    macro_rules! from_here {
        ($use:expr) => {
            assert!(catch_unwind(AssertUnwindSafe(|| _ = $use)).is_err());
            let unwound_from = place.lock().unwrap().take();
            if unwound_from != Some((file!().to_owned(), line!())) {
                elsewhere.push((stringify!($use), unwound_from));
            }
        };
    }
    from_here!(arena.alloc(1));
    from_here!(arena.alloc_with(|| [0u8; 100]));
    from_here!(arena.alloc_slice_fill_iter([1].into_iter().chain([2])));
    from_here!(arena.alloc_box(String::new()));
    from_here!(vec.push(1));
    from_here!(vec.reserve(10));
    from_here!(arena.string().push_str("text"));
    from_here!(arena.columns::<(u8, u16)>(3));
    from_here!(arena.deque().extend([1]));
    let _ = std::panic::take_hook();
    assert_eq!(elsewhere, []);
}
