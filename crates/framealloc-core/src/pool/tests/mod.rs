//! The promises of the pool, one test each: values and memory here, threads and closed pools in the other files.

use core::alloc::Layout;
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::{String, ToString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::vec::Vec;

use allocator_api2::alloc::Allocator;

use super::slab::SLAB;
use super::{HeapBox, Pool, PoolBox, class};
use crate::backend::Source;
use crate::error::AllocErrorKind;
use crate::governor::{Governor, Request, Ungoverned, Verdict};

mod closing;
mod parcels;
mod threads;

/// A pool, and its source to see what is left.
fn pool() -> (Pool, Arc<Source>) {
    governed(Arc::new(Ungoverned))
}

fn governed(governor: Arc<dyn Governor>) -> (Pool, Arc<Source>) {
    let source = Arc::new(Source::new(Vec::new(), governor));
    (Pool::new(Arc::clone(&source)), source)
}

/// Counts drops.
#[derive(Clone, Default)]
struct Ledger(Arc<AtomicUsize>);

impl Ledger {
    fn drops(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that is entered in a ledger when it is dropped.
struct Entered<const N: usize>(Ledger, [u8; N]);

impl<const N: usize> Drop for Entered<N> {
    fn drop(&mut self) {
        assert!(self.1.iter().all(|&byte| byte == 7), "the value is whole when it is dropped");
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Ledger {
    fn entered<const N: usize>(&self) -> Entered<N> {
        Entered(self.clone(), [7; N])
    }
}

#[test]
fn box_is_one_pointer_wide_and_so_is_its_option() {
    assert_eq!(size_of::<PoolBox<u128>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<PoolBox<u128>>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<HeapBox<u128>>>(), size_of::<usize>());
}

#[test]
fn box_is_covariant() {
    fn shorten<'a>(long: PoolBox<&'static str>) -> PoolBox<&'a str> {
        long
    }
    let (pool, _source) = pool();
    assert_eq!(*shorten(pool.alloc_box("x")), "x");
}

#[test]
fn every_value_is_dropped_once_and_all_memory_returns() {
    fn fill<const N: usize>(pool: &Pool, ledger: &Ledger) {
        let mut pooled: Vec<_> = (0..300).map(|_| pool.alloc_box(ledger.entered::<N>())).collect();
        let heaped: Vec<_> = (0..3).map(|_| pool.heap_box(ledger.entered::<N>())).collect();
        pooled.swap(3, 250);
        drop(pooled.drain(100..).collect::<Vec<_>>());
        drop(heaped);
    }
    let (pool, source) = pool();
    let ledger = Ledger::default();
    fill::<0>(&pool, &ledger);
    fill::<9>(&pool, &ledger);
    fill::<100>(&pool, &ledger);
    fill::<3000>(&pool, &ledger);
    fill::<5000>(&pool, &ledger);
    assert_eq!(ledger.drops(), 5 * 303);
    assert_eq!(pool.stats().large_blocks, 0);
    drop(pool);
    assert_eq!(source.committed(), 0);
}

#[test]
fn objects_do_not_overlap() {
    let (pool, _source) = pool();
    let mut all: Vec<PoolBox<[u64; 3]>> = (0..5000).map(|i| pool.alloc_box([i; 3])).collect();
    for at in (0..5000).step_by(3) {
        all[at] = pool.alloc_box([at as u64; 3]);
    }
    assert!(all.iter().enumerate().all(|(at, value)| **value == [at as u64; 3]));
}

#[test]
fn large_objects_begin_at_all_lines_and_over_aligned_ones_do_not() {
    #[repr(align(128))]
    struct Two([u8; 512]);
    let (pool, _source) = pool();
    let all: Vec<_> = (0..3000).map(|i| pool.alloc_box([i as u8; 512])).collect();
    let aligned: Vec<_> = (0..3000).map(|i| pool.alloc_box(Two([!(i as u8); 512]))).collect();
    let lines: std::collections::BTreeSet<_> = all.iter().map(|it| (&raw const **it).addr() % 512 / 64).collect();
    assert!(lines.len() >= 4, "they begin at lines {lines:?} of eight");
    assert!(all.iter().all(|it| (&raw const **it).addr().is_multiple_of(64)));
    assert!(aligned.iter().all(|it| (&raw const **it).addr().is_multiple_of(128)));
    assert!(all.iter().enumerate().all(|(i, it)| **it == [i as u8; 512]));
    assert!(aligned.iter().enumerate().all(|(i, it)| it.0 == [!(i as u8); 512]));
}

#[test]
fn over_aligned_values_are_aligned() {
    #[repr(align(64))]
    struct Line(u8);
    #[repr(align(4096))]
    struct Page(u8);
    #[repr(align(65536))]
    struct Slab(u8);
    fn check<T>(pool: &Pool, value: impl Fn(u8) -> T, read: impl Fn(&T) -> u8) {
        let all: Vec<_> = (0..40).map(|i| (pool.alloc_box(value(i)), pool.heap_box(value(i)))).collect();
        for (i, (pooled, heaped)) in (0u8..).zip(&all) {
            assert_eq!((&raw const **pooled).addr() % align_of::<T>(), 0);
            assert_eq!((&raw const **heaped).addr() % align_of::<T>(), 0);
            assert_eq!((read(pooled), read(heaped)), (i, i));
        }
    }
    let (pool, source) = pool();
    check(&pool, Line, |v| v.0);
    check(&pool, Page, |v| v.0);
    // Built on the stack first: a few of them are enough.
    let all: Vec<_> = (0..3).map(|i| pool.alloc_box_with(|| Slab(i))).collect();
    assert!(all.iter().all(|v| (&raw const **v).addr() % 65536 == 0));
    assert_eq!(all[2].0, 2);
    assert_eq!(pool.stats().large_blocks, 3);
    drop(all);
    drop(pool);
    assert_eq!(source.committed(), 0);
}

#[test]
fn zero_sized_values_take_no_memory() {
    #[repr(align(256))]
    struct Nothing;
    let (pool, source) = pool();
    let ledger = Ledger::default();
    let (a, b) = (pool.alloc_box(Nothing), pool.heap_box(Nothing));
    assert_eq!((&raw const *a).addr() % 256, 0);
    assert_eq!((&raw const *b).addr() % 256, 0);
    let none = Layout::from_size_align(0, 256).unwrap();
    let block = pool.allocate(none).unwrap();
    assert_eq!(block.len(), 0, "nobody may write there");
    // SAFETY: this block, with its layout.
    unsafe { pool.deallocate(block.cast(), none) };
    let mut list = allocator_api2::vec::Vec::new_in(pool.clone());
    list.extend([(); 1000]);
    drop(pool.alloc_box(ledger.entered::<0>()));
    assert_eq!(ledger.drops(), 1);
    let _keep = (a, b, list);
    drop(pool.alloc_box(()));
    assert_eq!(pool.stats().large_blocks, 0);
    assert!(source.committed() <= SLAB, "only the ledger took memory");
}

#[test]
fn panicking_destructor_frees_the_memory() {
    struct Bomb([u8; 900]);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert_ne!(self.0[0], 1, "boom");
        }
    }
    let (pool, source) = pool();
    for _ in 0..500 {
        let (pooled, heaped) = (pool.alloc_box(Bomb([1; 900])), pool.heap_box(Bomb([1; 900])));
        assert!(catch_unwind(AssertUnwindSafe(|| drop(pooled))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(heaped))).is_err());
    }
    assert_eq!(pool.stats().slabs, 1);
    drop(pool);
    assert_eq!(source.committed(), 0);
}

#[test]
fn panicking_closure_frees_the_memory() {
    let (pool, source) = pool();
    for _ in 0..5000 {
        let built = catch_unwind(AssertUnwindSafe(|| pool.alloc_box_with(|| -> [u64; 8] { panic!("no value") })));
        assert!(built.is_err());
    }
    assert_eq!(pool.stats().slabs, 1);
    drop(pool);
    assert_eq!(source.committed(), 0);
}

#[test]
fn destructors_and_closures_may_use_the_pool() {
    struct Nested(Pool, Ledger);
    impl Drop for Nested {
        fn drop(&mut self) {
            let more: Vec<_> = (0..300).map(|_| self.0.alloc_box(self.1.entered::<8>())).collect();
            drop(more);
        }
    }
    let (pool, source) = pool();
    let ledger = Ledger::default();
    let all: Vec<_> = (0..200)
        .map(|_| pool.alloc_box_with(|| pool.alloc_box(pool.alloc_box(Nested(pool.clone(), ledger.clone())))))
        .collect();
    // The last values close the pool while they are freed.
    drop(pool);
    drop(all);
    assert_eq!(ledger.drops(), 200 * 300);
    assert_eq!(source.committed(), 0);
}

/// Refuses when told to, and uses the pool it governs.
#[derive(Default)]
struct Nosy {
    refuse: AtomicBool,
    pool: std::sync::Mutex<Option<Pool>>,
    kept: std::sync::Mutex<Vec<PoolBox<[u8; 64]>>>,
}

impl Nosy {
    /// Not under the lock, since what is done with the pool may ask again.
    fn pool(&self) -> Option<Pool> {
        self.pool.lock().unwrap().clone()
    }
}

impl Governor for Nosy {
    fn request(&self, _: &Request) -> Verdict {
        if self.refuse.load(Ordering::Relaxed) {
            return Verdict::Deny;
        }
        if let Some(pool) = self.pool() {
            let more: Vec<_> = (0..100).map(|_| pool.alloc_box([1; 64])).collect();
            self.kept.lock().unwrap().extend(more);
        }
        Verdict::Allow
    }

    fn release(&self, _: &crate::governor::Release) {
        if let Some(pool) = self.pool() {
            drop(pool.alloc_box([2; 64]));
            pool.trim();
        }
    }
}

#[test]
fn refusal_is_an_error_and_leaves_the_pool_usable() {
    let governor = Arc::new(Nosy::default());
    let (pool, source) = governed(governor.clone());
    governor.refuse.store(true, Ordering::Relaxed);
    let error = pool.try_alloc_box([0u8; 64]).unwrap_err();
    assert!(matches!(error.kind(), AllocErrorKind::Refused { requested: SLAB, allowed: 0, .. }));
    assert!(pool.try_alloc_box_with(|| -> [u8; 5000] { unreachable!("there is no memory for it") }).is_err());
    assert!(pool.try_heap_box(5u8).is_err());
    let panic = catch_unwind(AssertUnwindSafe(|| pool.alloc_box([0u8; 64]))).unwrap_err();
    assert_eq!(*panic.downcast::<String>().unwrap(), error.to_string());
    assert_eq!((pool.stats().slabs, pool.stats().large_blocks, source.committed()), (0, 0, 0));
    governor.refuse.store(false, Ordering::Relaxed);
    assert_eq!(pool.try_alloc_box([3u8; 64]).unwrap()[63], 3);
}

#[test]
fn governor_may_use_the_pool_it_governs() {
    let governor = Arc::new(Nosy::default());
    let (pool, source) = governed(governor.clone());
    *governor.pool.lock().unwrap() = Some(pool.clone());
    let all: Vec<_> = (0..5000u64).map(|i| pool.alloc_box([i; 8])).collect();
    assert!(all.iter().enumerate().all(|(i, v)| **v == [i as u64; 8]));
    drop(all);
    drop(core::mem::take(&mut *governor.kept.lock().unwrap()));
    assert!(pool.trim() > 0);
    assert!(source.committed() <= 2 * SLAB, "the governor's own box may hold a slab");
    let own = governor.pool.lock().unwrap().take();
    drop((own, pool));
    assert_eq!(source.committed(), 0);
}

#[test]
fn growing_collection_unwinds_and_fallible_one_returns_the_error() {
    let governor = Arc::new(Nosy::default());
    let (pool, source) = governed(governor.clone());
    let mut list = allocator_api2::vec::Vec::new_in(pool.clone());
    let mut careful = allocator_api2::vec::Vec::new_in(pool.fallible());
    list.extend(0..1024u32);
    careful.extend(0..1024u32);
    governor.refuse.store(true, Ordering::Relaxed);
    let panic = catch_unwind(AssertUnwindSafe(|| list.push(1))).unwrap_err();
    assert!(panic.downcast::<String>().unwrap().contains("refused"));
    assert!(careful.try_reserve(1).is_err());
    assert_eq!((list.len(), careful.len()), (1024, 1024));
    governor.refuse.store(false, Ordering::Relaxed);
    list.push(1024);
    careful.try_reserve(1).unwrap();
    careful.push(1024);
    assert!(list.iter().copied().eq(0..1025) && careful.iter().copied().eq(0..1025));
    drop((list, careful, pool));
    assert_eq!(source.committed(), 0);
}

/// The class that serves a `T`: the feature `hardened` needs room behind it.
fn class_of<T>() -> usize {
    class::of(Layout::new::<T>()).expect("not a large one")
}

#[test]
fn memory_of_one_class_grows_and_shrinks_in_place() {
    let (pool, _source) = pool();
    let layout = |size, align| Layout::from_size_align(size, align).unwrap();
    let block = pool.allocate(layout(50, 8)).unwrap();
    assert_eq!(block.len(), if crate::annotate::SLACK_IS_FREE { 50 } else { 64 });
    let at = block.cast::<u8>();
    // SAFETY: each block is used with the layout it has, and the last one is released.
    unsafe {
        at.write_bytes(9, 50);
        let grown = pool.grow_zeroed(at, layout(50, 8), layout(60, 64)).unwrap().cast::<u8>();
        assert_eq!(grown, at);
        assert_eq!((*grown.add(49).as_ptr(), *grown.add(50).as_ptr()), (9, 0));
        assert_eq!(pool.shrink(at, layout(60, 64), layout(49, 1)).unwrap().cast(), at);
        let moved = pool.grow(at, layout(49, 1), layout(9000, 1)).unwrap().cast::<u8>();
        assert_eq!((*moved.as_ptr(), *moved.add(48).as_ptr()), (9, 9));
        let back = pool.shrink(moved, layout(9000, 1), layout(16, 16)).unwrap().cast::<u8>();
        assert_eq!(*back.add(15).as_ptr(), 9);
        let none = pool.shrink(back, layout(16, 16), layout(0, 16)).unwrap().cast::<u8>();
        let some = pool.grow(none, layout(0, 16), layout(1, 1)).unwrap().cast::<u8>();
        pool.deallocate(some, layout(1, 1));
    }
    assert_eq!(pool.stats().large_blocks, 0);
}

#[test]
fn absurd_layout_is_an_error() {
    let (pool, _source) = pool();
    let layout = Layout::from_size_align(isize::MAX as usize - 63, 64).unwrap();
    assert!(pool.fallible().allocate(layout).is_err());
}

#[test]
fn unsized_box_frees_by_its_values_layout() {
    let (pool, source) = pool();
    let ledger = Ledger::default();
    let raw: *mut dyn Send = pool.alloc_box(ledger.entered::<70>()).__into_raw();
    // SAFETY: the pointer came from a box of this kind.
    let boxed: PoolBox<dyn Send> = unsafe { PoolBox::__from_raw(raw) };
    let raw: *mut [u16] = pool.heap_box([1u16, 2, 3]).__into_raw();
    // SAFETY: as above.
    let slice: HeapBox<[u16]> = unsafe { HeapBox::__from_raw(raw) };
    assert_eq!(*slice, [1, 2, 3]);
    drop((boxed, slice));
    assert_eq!(ledger.drops(), 1);
    drop(pool);
    assert_eq!(source.committed(), 0);
}

#[test]
fn into_inner_moves_the_value_out_and_frees_the_memory() {
    let (pool, source) = pool();
    let ledger = Ledger::default();
    let value = PoolBox::into_inner(pool.alloc_box(ledger.entered::<30>()));
    let other = HeapBox::into_inner(pool.heap_box(ledger.entered::<30>()));
    drop(pool);
    assert_eq!((source.committed(), ledger.drops()), (0, 0));
    drop((value, other));
    assert_eq!(ledger.drops(), 2);
}

#[test]
fn trim_returns_wholly_free_slabs_only() {
    let (pool, source) = pool();
    let mut all: Vec<_> = (0..20_000u64).map(|i| pool.alloc_box([i; 4])).collect();
    let before = source.committed();
    let kept = all.swap_remove(10_000);
    all.clear();
    assert_eq!(source.committed(), before);
    let stats = pool.stats();
    let handed_out_once = stats.outstanding_bytes + stats.depot_bytes;
    let size = class::size(class_of::<[u64; 4]>());
    assert!((20_000 * size..20_256 * size).contains(&handed_out_once), "{stats:?}");
    assert_eq!(pool.trim(), before - SLAB);
    assert_eq!((source.committed(), pool.stats().slabs), (SLAB, 1));
    assert_eq!(*kept, [10_000; 4]);
    // What is left of the slab is used again.
    let more: Vec<_> = (0..1000u64).map(|i| pool.alloc_box([i; 4])).collect();
    assert_eq!(pool.stats().slabs, 1);
    assert_eq!(*kept, [10_000; 4]);
    drop(more);
    drop(kept);
    assert_eq!(pool.trim(), SLAB);
    assert_eq!(pool.trim(), 0);
}

#[test]
fn survey_counts_what_each_slab_holds_and_what_a_trim_would_give_back() {
    let (pool, source) = pool();
    let class = class_of::<[u64; 4]>();
    let mut all: Vec<_> = (0..20_000u64).map(|i| pool.alloc_box([i; 4])).collect();
    let other = pool.alloc_box([0u64; 100]);
    let full = pool.survey();
    let of = |survey: &crate::PoolSurvey, class| survey.sizes[class::size_index(class)];
    // This thread's cache holds the rest of its last batch, which is free.
    assert_eq!(of(&full, class).outstanding, all.len());
    assert_eq!((of(&full, class).free, of(&full, class).quarters[0]), (0, 0));
    assert!(of(&full, class).quarters[3] >= 20_000 / (SLAB / class::size(class)) - 1, "{full}");
    assert_eq!(of(&full, class_of::<[u64; 100]>()).quarters, [1, 0, 0, 0]);
    assert_eq!(full.sizes.iter().map(|of| (of.free + of.kept()) * SLAB).sum::<usize>(), source.committed());
    assert!(full.fragmentation() < 0.15, "{full}");

    // One of ten is left, and the first third is whole.
    let mut at = 0;
    all.retain(|_| {
        at += 1;
        at < 6000 || at % 10 == 0
    });
    let thin = pool.survey();
    assert_eq!(of(&thin, class).outstanding, all.len());
    assert!(of(&thin, class).quarters[0] > of(&thin, class).quarters[3], "{thin}");
    assert!((0.5..0.7).contains(&thin.fragmentation()), "{thin}");
    assert_eq!(thin.trimmable_bytes(), 0);

    // What lies in another thread's cache is handed out, and in this one's free.
    std::thread::scope(|scope| {
        let pool = &pool;
        let (kept, cached) = std::sync::mpsc::channel();
        let (done, waits) = std::sync::mpsc::channel::<()>();
        let thread = scope.spawn(move || {
            drop(pool.alloc_box([0u64; 50]));
            kept.send(()).unwrap();
            waits.recv().unwrap();
        });
        cached.recv().unwrap();
        assert!(of(&pool.survey(), class_of::<[u64; 50]>()).outstanding > 0);
        done.send(()).unwrap();
        thread.join().unwrap();
    });
    assert_eq!(of(&pool.survey(), class_of::<[u64; 50]>()).outstanding, 0);

    all.truncate(1);
    drop(other);
    let survey = pool.survey();
    assert_eq!(pool.survey(), survey, "looking changes nothing");
    assert_eq!((survey.trimmable_bytes(), survey.fragmentation() > 0.99), (source.committed() - SLAB, true));
    assert_eq!(pool.trim(), survey.trimmable_bytes());
    let left = pool.survey();
    assert_eq!((left.trimmable_bytes(), left.sizes.iter().map(crate::SlabStats::kept).sum::<usize>()), (0, 1));
    drop(all);
    assert_eq!((pool.trim(), pool.survey().fragmentation()), (SLAB, 0.0));
}

#[test]
fn sizes_tell_what_is_handed_out_and_what_is_free() {
    let (pool, _source) = pool();
    let size = |class| pool.sizes()[class::size_index(class)];
    let class = class_of::<[u64; 4]>();
    assert_eq!((size(class).slots, size(class).outstanding, size(class).free), (0, 0, 0));
    let all: Vec<_> = (0..5000u64).map(|i| pool.alloc_box([i; 4])).collect();
    let other = pool.alloc_box([0u8; 4000]);
    let (slots, batch) = (SLAB / class::size(class), class::batch(class));
    let of = size(class);
    assert_eq!(of.size, class::size(class));
    let slabs = 5000usize.div_ceil(slots - slots / 16);
    assert!((5000..=slabs * slots).contains(&of.slots), "{of:?}");
    assert!((5000..5000 + batch).contains(&of.outstanding) && of.free == 0, "{of:?}");
    let large = size(class_of::<[u8; 4000]>());
    assert!(large.size >= 4000 && large.outstanding > 0 && large.slots >= large.outstanding, "{large:?}");
    drop((all, other));
    // What this thread keeps for itself counts as handed out.
    let of = size(class);
    assert!(of.outstanding <= class::limit(class) && of.free >= 5000 - class::limit(class), "{of:?}");
    assert!((5000..5000 + batch).contains(&(of.outstanding + of.free)), "{of:?}");
    let stats = pool.stats();
    let bytes =
        |figure: fn(&crate::ClassStats) -> usize| pool.sizes().iter().map(|of| figure(of) * of.size).sum::<usize>();
    assert_eq!((bytes(|of| of.outstanding), bytes(|of| of.free)), (stats.outstanding_bytes, stats.depot_bytes));
    pool.trim();
    assert_eq!((size(class).slots, size(class).outstanding, size(class).free), (0, 0, 0));
}

#[test]
fn slabs_are_told_apart_by_quarters() {
    let quarter = |outstanding, slots| {
        let mut of = crate::SlabStats::default();
        of.add(outstanding, slots);
        (of.free, of.quarters)
    };
    assert_eq!(quarter(0, 100), (1, [0; 4]));
    for (outstanding, at) in [(1, 0), (25, 0), (26, 1), (50, 1), (51, 2), (75, 2), (76, 3), (100, 3)] {
        let mut quarters = [0; 4];
        quarters[at] = 1;
        assert_eq!(quarter(outstanding, 100), (0, quarters), "{outstanding}");
    }
    assert_eq!(quarter(1, 1), (0, [0, 0, 0, 1]));
}

#[test]
fn rest_of_a_slab_is_used_after_a_trim() {
    let (pool, source) = pool();
    let class = class_of::<u64>();
    let size = class::size(class);
    let kept = pool.alloc_box(0u64);
    assert_eq!((pool.trim(), source.committed()), (0, SLAB));
    // Far more than were handed out before, and fewer than there are.
    let most = 10 * class::batch(class);
    assert!(most < SLAB / size);
    let more: Vec<_> = (1..most as u64).map(|i| pool.alloc_box(i)).collect();
    assert_eq!(source.committed(), SLAB);
    assert!(more.iter().map(|i| **i).eq(1..most as u64) && *kept == 0);
    let stats = pool.stats();
    let live = most * size..(most + class::batch(class)) * size;
    assert!(live.contains(&stats.outstanding_bytes), "{stats:?}");
    drop((kept, more));
    assert_eq!(pool.trim(), SLAB);
    let stats = pool.stats();
    assert_eq!((stats.outstanding_bytes, stats.depot_bytes), (0, 0));
}

#[test]
fn stack_of_addresses_has_room_for_all_objects_and_shrinks_with_a_trim() {
    let (pool, source) = pool();
    let class = class_of::<u64>();
    let room = || pool.door.core.room(class);
    let mut all: Vec<_> = (0..40_000u64).map(|i| pool.alloc_box(i)).collect();
    let slabs = source.committed() / SLAB;
    // Of each slab a little is its header.
    let (whole, few) = (SLAB / class::size(class), SLAB / class::size(class) * 9 / 10);
    let needed = slabs * few..2 * slabs * whole;
    assert!(slabs >= 5 && needed.contains(&room()), "{} for {slabs} slabs", room());
    let kept = all.pop();
    drop(all);
    assert_eq!(pool.trim(), (slabs - 1) * SLAB);
    let after = room();
    assert!((few..2 * whole).contains(&after), "{after} for one slab");
    // Enough for all that can come back.
    drop((0..few as u64).map(|i| pool.alloc_box(i)).collect::<Vec<_>>());
    assert_eq!((source.committed(), room()), (SLAB, after));
    drop(kept);
    assert_eq!(pool.trim(), SLAB);
    assert_eq!(room(), 0);
}

#[test]
fn warm_pool_takes_no_lock_and_no_heap() {
    let (pool, source) = pool();
    drop((0..64u64).map(|i| pool.alloc_box([i; 8])).collect::<Vec<_>>());
    let (before, taken) = (crate::sync::operations(), source.traffic());
    for i in 0..10_000u64 {
        let pair = (pool.alloc_box([i; 8]), pool.alloc_box([i; 8]));
        assert_eq!(pair.0, pair.1);
    }
    assert_eq!((crate::sync::operations(), source.traffic()), (before, taken));
}

#[test]
fn boxed_traits_are_those_of_the_value() {
    let (pool, _source) = pool();
    let mut set = std::collections::HashSet::new();
    assert!(set.insert(pool.alloc_box(3)) && !set.insert(pool.alloc_box(3)));
    assert!(pool.alloc_box(1) < pool.alloc_box(2));
    assert_eq!(std::format!("{} {:?}", pool.alloc_box(1), pool.heap_box("x")), "1 \"x\"");
    assert!(pool.heap_box(0..3).eq(0..3));
    let boxed: Box<dyn std::error::Error> = Box::new(pool.alloc_box(crate::AllocError::capacity(1, 2)));
    assert!(boxed.to_string().contains("elements"));
    assert_eq!(class::size(0), 8);
}
