//! Memory against a model: scopes, growth, alignment and chunk switches, in every combination that chance brings.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use framealloc_core::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// One step of a program that uses an arena.
#[derive(Clone, Debug)]
enum Step {
    Value(u8),
    Bytes(usize),
    Aligned(usize, u32),
    Iter(usize),
    /// Makes a block by the `Allocator` trait; grows, shrinks or frees an earlier one.
    Block(usize, u32),
    Resize(usize, usize, u32),
    Free(usize),
    Failed(usize),
    Vec(usize),
    /// Runs the steps in a scope that is rewound.
    Scope(Vec<Step>),
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..64usize, 3 => 0..900usize, 1 => 700..1100usize, 1 => 0..9000usize]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let align = 0..13u32;
    let leaf = prop_oneof![
        any::<u8>().prop_map(Step::Value),
        size().prop_map(Step::Bytes),
        (size(), align.clone()).prop_map(|(size, align)| Step::Aligned(size, align)),
        (0..200usize).prop_map(Step::Iter),
        (size(), align.clone()).prop_map(|(size, align)| Step::Block(size, align)),
        (any::<usize>(), size(), align).prop_map(|(at, size, align)| Step::Resize(at, size, align)),
        any::<usize>().prop_map(Step::Free),
        (0..300usize).prop_map(Step::Failed),
        (0..500usize).prop_map(Step::Vec),
    ];
    let step = leaf.prop_recursive(4, 60, 12, |inner| vec(inner, 0..10).prop_map(Step::Scope));
    vec(step, 0..40)
}

/// What is live: slices, and blocks of the `Allocator` trait, with the bytes that must be in them.
#[derive(Default)]
struct Model<'a> {
    slices: Vec<(&'a mut [u8], u8)>,
    words: Vec<(&'a mut u64, u64)>,
    blocks: Vec<(NonNull<u8>, Layout, u8)>,
    seed: u8,
}

impl Model<'_> {
    fn next(&mut self) -> u8 {
        self.seed = self.seed.wrapping_mul(13).wrapping_add(7);
        self.seed
    }

    /// After a step: looks now and then, since looking takes long; [`check`](Self::check) looks always.
    fn glance(&self) {
        if self.seed.is_multiple_of(8) {
            self.check();
        }
    }

    /// Everything has its bytes; nothing overlaps.
    fn check(&self) {
        for (slice, mark) in &self.slices {
            assert!(is_filled(slice, *mark), "a slice was overwritten");
        }
        for (word, value) in &self.words {
            assert_eq!(**word, *value, "a value was overwritten");
        }
        for (block, layout, mark) in &self.blocks {
            // SAFETY: the block is live and was filled.
            let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), layout.size()) };
            assert!(is_filled(bytes, *mark), "a block was overwritten");
        }
    }
}

/// Whether all bytes are `mark`: compared with each other at once, since most of the time goes into this.
fn is_filled(bytes: &[u8], mark: u8) -> bool {
    bytes.first().is_none_or(|&first| first == mark && bytes[1..] == bytes[..bytes.len() - 1])
}

macro_rules! run {
    ($arena:ident, $model:ident, $steps:ident, $min:expr) => {
        for step in $steps {
            let mark = $model.next();
            match step {
                Step::Value(x) => {
                    let value = u64::from(*x) << 32 | u64::from(mark);
                    let place = $arena.alloc(value);
                    assert_eq!(std::ptr::from_ref(place).addr() % 8usize.max($min), 0);
                    $model.words.push((place, value));
                }
                Step::Bytes(len) => {
                    let slice = $arena.alloc_slice_fill(*len, mark);
                    assert_eq!(slice.as_ptr().addr() % $min, 0);
                    $model.slices.push((slice, mark));
                }
                Step::Aligned(len, shift) => {
                    let slice = $arena.alloc_slice_aligned_with(*len, 1 << shift, |_| mark);
                    assert_eq!(slice.as_ptr().addr() % (1 << shift).max($min), 0);
                    $model.slices.push((slice, mark));
                }
                Step::Iter(len) => {
                    let iter = (0..*len * 2).filter(|i| i % 2 == 0).map(|_| mark);
                    $model.slices.push(($arena.alloc_slice_fill_iter(iter), mark));
                }
                Step::Failed(len) => {
                    let before = $arena.alloc_slice_fill(3, mark);
                    let failed = $arena.try_alloc_with(|| {
                        $arena.alloc_slice_fill(*len, 0xffu8);
                        Err::<[u64; 9], u8>(mark)
                    });
                    assert_eq!(failed.unwrap_err(), InitError::Init(mark));
                    $model.slices.push((before, mark));
                }
                // The others need an allocator: see `blocks`.
                _ => {}
            }
            $model.glance();
        }
        $model.check();
    };
}

/// Values and slices in nested scopes of an arena with any minimum alignment.
fn scopes<const M: usize>(scope: &mut Scope<'_, '_, M>, steps: &[Step], seed: u8) {
    let mut model = Model { seed, ..Model::default() };
    let mut rest = steps;
    while !rest.is_empty() {
        let until = rest.iter().position(|step| matches!(step, Step::Scope(_))).unwrap_or(rest.len());
        let (now, later) = rest.split_at(until);
        {
            let scope = &*scope;
            run!(scope, model, now, M);
        }
        rest = later;
        if let Some((Step::Scope(inner), after)) = later.split_first() {
            let seed = model.next();
            scope.scope(|s| scopes(s, inner, seed));
            // What was allocated before the inner scope is as it was.
            model.check();
            rest = after;
        }
    }
}

/// Blocks of the `Allocator` trait: made, resized and freed in any order.
fn blocks<A: Allocator>(allocator: &A, steps: &[Step], seed: u8, min: usize) {
    let mut model = Model { seed, ..Model::default() };
    let fill = |block: NonNull<[u8]>, from: usize, size: usize, mark: u8| {
        // SAFETY: the block is live and at least `size` long.
        unsafe { block.cast::<u8>().add(from).write_bytes(mark, size - from) };
        block.cast::<u8>()
    };
    for step in steps {
        let mark = model.next();
        match step {
            Step::Block(size, shift) => {
                let layout = Layout::from_size_align(*size, 1 << shift).unwrap();
                let block = fill(allocator.allocate(layout).unwrap(), 0, *size, mark);
                assert_eq!(block.addr().get() % (1 << shift).max(min), 0);
                model.blocks.push((block, layout, mark));
            }
            Step::Resize(at, size, shift) if !model.blocks.is_empty() => {
                let at = at % model.blocks.len();
                let (block, old, mark) = model.blocks[at];
                let new = Layout::from_size_align(*size, 1 << shift).unwrap();
                // SAFETY: the block is live with the old layout.
                let moved = unsafe {
                    if new.size() < old.size() {
                        allocator.shrink(block, old, new)
                    } else if *size % 2 == 0 {
                        allocator.grow(block, old, new)
                    } else {
                        let grown = allocator.grow_zeroed(block, old, new).unwrap();
                        let tail = std::slice::from_raw_parts(grown.cast::<u8>().as_ptr(), new.size());
                        assert!(is_filled(&tail[old.size()..], 0), "not zeroed");
                        Ok(grown)
                    }
                }
                .unwrap();
                assert_eq!(moved.cast::<u8>().addr().get() % new.align(), 0);
                // The common part is checked by the model before the rest is filled.
                // SAFETY: live, with the new layout.
                let kept =
                    unsafe { std::slice::from_raw_parts(moved.cast::<u8>().as_ptr(), old.size().min(new.size())) };
                assert!(is_filled(kept, mark), "bytes were lost");
                model.blocks[at] = (fill(moved, kept.len(), new.size(), mark), new, mark);
            }
            Step::Free(at) if !model.blocks.is_empty() => {
                let (block, layout, _) = model.blocks.swap_remove(at % model.blocks.len());
                // SAFETY: live with this layout, and forgotten here.
                unsafe { allocator.deallocate(block, layout) };
            }
            Step::Vec(len) => {
                let mut list = allocator_api2::vec::Vec::new_in(allocator);
                for i in 0..*len {
                    list.push(i);
                    if i % 97 == 0 {
                        // Something behind it now and then, so that it cannot always grow in place.
                        let block = fill(allocator.allocate(Layout::new::<[u8; 24]>()).unwrap(), 0, 24, mark);
                        model.blocks.push((block, Layout::new::<[u8; 24]>(), mark));
                    }
                }
                list.shrink_to(len / 2);
                assert!(list.iter().copied().eq(0..*len));
            }
            Step::Scope(inner) => blocks(allocator, inner, mark, min),
            _ => {}
        }
        model.glance();
    }
    model.check();
    for (block, layout, _) in model.blocks.drain(..).rev() {
        // SAFETY: live with this layout, and forgotten here.
        unsafe { allocator.deallocate(block, layout) };
    }
}

/// Collections in nested scopes: each borrows its scope, so that none can grow while a nested one is open.
fn collections(scope: &mut Scope<'_, '_>, steps: &[Step], seed: u8) {
    let (before, inner) = steps.split_at(steps.len() / 2);
    {
        blocks(&scope.frame(), before, seed, 8);
        let mut list = scope.vec();
        list.extend(0..before.len() * 10);
        blocks(&scope.frame(), before, seed ^ 1, 8);
        list.extend(before.len() * 10..before.len() * 20);
        assert!(list.iter().copied().eq(0..before.len() * 20));
    }
    let kept = scope.alloc_slice_fill_with(before.len() + 3, |i| i);
    if !inner.is_empty() && steps.len() > 2 {
        scope.scope(|s| collections(s, inner, seed.wrapping_add(3)));
    }
    assert!(kept.iter().copied().eq(0..before.len() + 3));
    blocks(&scope.frame(), inner, seed, 8);
}

fn arena_of<const M: usize>(steps: &[Step]) {
    let mut arena = Arena::<M>::with_min_align();
    for seed in 0..2 {
        {
            let mut model = Model { seed, ..Model::default() };
            let flat: Vec<_> = steps.iter().filter(|step| !matches!(step, Step::Scope(_))).cloned().collect();
            let (arena, flat) = (&arena, &flat);
            run!(arena, model, flat, M);
            blocks(&arena, steps, seed, M);
            model.check();
        }
        let before = arena.stats().bytes_allocated;
        arena.scope(|s| scopes(s, steps, seed));
        assert_eq!(arena.stats().bytes_allocated, before, "a scope gives back what it took");
        arena.reset();
        assert_eq!(arena.stats().bytes_allocated, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arenas_agree_with_the_model(steps in steps()) {
        arena_of::<1>(&steps);
        arena_of::<8>(&steps);
        arena_of::<64>(&steps);
    }

    #[test]
    fn small_chunks_agree_with_the_model(steps in steps(), shift in 10..14u32, growth in 0..3u32) {
        let mut arena = Arena::with_chunk_sizes(1 << shift, 1 << (shift + growth));
        for seed in 0..3 {
            {
                let mut model = Model { seed, ..Model::default() };
                let flat: Vec<_> = steps.iter().filter(|step| !matches!(step, Step::Scope(_))).cloned().collect();
                let (arena, flat) = (&arena, &flat);
                run!(arena, model, flat, 8);
                blocks(&arena, &steps, seed, 8);
                blocks(&arena.frame(), &steps, seed, 8);
                model.check();
            }
            let before = arena.stats();
            arena.scope(|s| scopes(s, &steps, seed));
            arena.scope(|s| collections(s, &steps, seed));
            prop_assert_eq!(arena.stats().bytes_allocated, before.bytes_allocated);
            // The first chunk of all stays; later ones go back.
            prop_assert!(arena.stats().chunks <= before.chunks.max(1));
            arena.reset();
            prop_assert_eq!((arena.stats().chunks, arena.stats().peak), (0, 0));
        }
    }

    #[test]
    fn frames_agree_with_the_model(steps in steps(), in_flight in 1..4usize) {
        let config = AllocConfig::default().with_frame_chunk(1024, 4096).with_frames_in_flight(in_flight);
        let mut alloc = SmartAlloc::new(config);
        for seed in 0..4 {
            let mut published = Vec::new();
            {
                let mut model = Model { seed, ..Model::default() };
                let flat: Vec<_> = steps.iter().filter(|step| !matches!(step, Step::Scope(_))).cloned().collect();
                for part in flat.chunks(5) {
                    let frame = alloc.frame();
                    run!(frame, model, part, 8);
                    let mut scratch = alloc.scratch();
                    blocks(&scratch.frame(), part, seed, 8);
                    scratch.scope(|s| scopes(s, part, seed));
                    published.push(alloc.publish_slice_fill_with(part.len() * 7, |i| i));
                    blocks(&frame, part, seed, 8);
                }
                model.check();
            }
            for &handle in &published {
                let values = alloc.get(handle).unwrap();
                prop_assert!(values.iter().copied().eq(0..values.len()));
            }
            alloc.end_frame();
            prop_assert_eq!(published.first().is_some_and(|&handle| alloc.get(handle).is_ok()), !published.is_empty() && in_flight > 1);
        }
    }

    /// The same program in bumpalo leaves the same contents.
    #[test]
    fn contents_are_those_of_bumpalo(steps in steps()) {
        let ours = Arena::with_chunk_sizes(1024, 4096);
        let theirs = bumpalo::Bump::new();
        let mut pairs: Vec<(&[u8], &[u8])> = Vec::new();
        for (mark, step) in (0u8..=255).cycle().zip(&steps) {
            match step {
                Step::Value(x) => pairs.push((ours.alloc_slice_copy(&[*x; 3]), theirs.alloc_slice_copy(&[*x; 3]))),
                Step::Bytes(n) => pairs.push((ours.alloc_slice_fill(*n, mark), theirs.alloc_slice_fill_copy(*n, mark))),
                Step::Iter(n) => {
                    let iter = || (0..*n).map(|i| i as u8 ^ mark);
                    pairs.push((ours.alloc_slice_fill_iter(iter()), theirs.alloc_slice_fill_iter(iter())));
                }
                Step::Block(n, _) => {
                    let text = "ä".repeat(*n % 100);
                    pairs.push((ours.alloc_str(&text).as_bytes(), theirs.alloc_str(&text).as_bytes()));
                }
                Step::Vec(n) => {
                    let (mut a, mut b) = (ours.vec(), bumpalo::collections::Vec::new_in(&theirs));
                    for i in 0..*n {
                        a.push(i as u8);
                        b.push(i as u8);
                        if i % 50 == 3 {
                            pairs.push((ours.alloc_slice_fill(i, mark), theirs.alloc_slice_fill_copy(i, mark)));
                            a.retain(|x| x % 7 != 3);
                            b.retain(|x| x % 7 != 3);
                        }
                    }
                    pairs.push((a.into_slice(), b.into_bump_slice()));
                }
                Step::Failed(n) => {
                    let a = ours.try_alloc_with(|| if n % 2 == 0 { Ok(mark) } else { Err(mark) });
                    let b = theirs.try_alloc_with(|| mark);
                    prop_assert_eq!(a.is_ok(), n % 2 == 0);
                    prop_assert_eq!(b.is_ok(), true);
                }
                _ => {}
            }
            for (a, b) in &pairs {
                prop_assert_eq!(a, b);
            }
        }
    }
}

#[test]
fn over_aligned_slices_and_types() {
    #[repr(align(256))]
    #[derive(Clone, Copy)]
    struct Uniform([u8; 256]);
    #[repr(align(65536))]
    #[derive(Clone, Copy)]
    struct Huge(u8);
    for (min, max) in [(1024, 1024), (1024, 8192), (64 << 10, 1 << 20)] {
        let mut arena = Arena::with_chunk_sizes(min, max);
        for _ in 0..3 {
            for i in 0..20u8 {
                arena.alloc(i);
                let uniform = arena.alloc(Uniform([i; 256]));
                assert!(std::ptr::from_ref(uniform).is_aligned() && uniform.0 == [i; 256]);
                for align in [256, 4096, 65536, 1 << 20] {
                    let slice = arena.alloc_slice_copy_aligned(&[i; 100], align);
                    assert!(slice.as_ptr().addr() % align == 0 && *slice == [i; 100], "{align} in ({min}, {max})");
                }
            }
            let huge = arena.alloc(Huge(7));
            assert!(std::ptr::from_ref(huge).is_aligned() && huge.0 == 7);
            let many = arena.alloc_slice_fill_with(3, |i| Huge(i as u8));
            assert!(many.as_ptr().is_aligned() && many[2].0 == 2);
            let mut list = arena.vec();
            (0..40).for_each(|i| list.push(Uniform([i; 256])));
            assert!(list.as_ptr().is_aligned() && list.iter().zip(0..).all(|(u, i)| u.0 == [i; 256]));
            drop(list);
            arena.reset();
        }
    }
}

#[test]
fn huge_request_does_not_inflate_the_next_chunk() {
    let mut arena = Arena::new();
    for huge in [3 << 20, 40 << 20] {
        arena.alloc_uninit_slice::<u8>(huge);
        arena.alloc(1u8);
        let small = arena.committed() - huge;
        assert!(small < 80 << 10, "{small} bytes for a small allocation after {huge}");
        arena.reset();
        arena.trim();
    }
    // Neither do scopes that were rewound.
    for _ in 0..50 {
        arena.scope(|s| {
            s.alloc_uninit_slice::<u8>(60_000);
            s.alloc_uninit_slice::<u8>(2 << 20);
        });
        arena.trim();
    }
    arena.alloc(1u8);
    assert!(arena.committed() <= 64 << 10, "{} bytes for one byte", arena.committed());
}

#[test]
fn chunks_grow_by_the_policy() {
    for (min, max) in
        [(1024, 1024), (1024, 8192), (4096, 4096), (64 << 10, 1 << 20), (1 << 20, 1 << 20), (1 << 20, 1 << 22)]
    {
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_frame_chunk(min, max));
        let mut sizes = Vec::new();
        let mut committed = 0;
        while sizes.len() < 10 {
            alloc.frame().alloc([1u8; 64]);
            let now = alloc.stats().committed;
            if now > committed {
                sizes.push(now - committed);
                committed = now;
            }
        }
        let expected: Vec<_> = (0..10).map(|n| (min << n.min(12)).min(max)).collect();
        assert_eq!(sizes, expected);
        let stats = alloc.end_frame();
        assert_eq!((stats.chunks, stats.committed), (10, committed));
        // The next frame of that size needs nothing new.
        while alloc.frame().stats().bytes_allocated < stats.bytes_allocated {
            alloc.frame().alloc([1u8; 64]);
        }
        assert_eq!(alloc.stats().committed, committed);
    }
}

#[test]
fn failed_initialisers_do_not_grow_an_arena() {
    let arena = Arena::with_chunk_sizes(1024, 4096);
    arena.alloc(1u8);
    // What fails was allocated, and counts as such where allocations are counted.
    let kept = || {
        let mut stats = arena.stats();
        stats.allocation_count = 0;
        (arena.committed(), stats)
    };
    let before = kept();
    for i in 0..10_000u32 {
        assert!(arena.try_alloc_with(|| Err::<[u8; 600], _>(i)).is_err());
        assert!(arena.try_alloc_with(|| Err::<[u64; 0], _>(i)).is_err());
        assert!(arena.try_alloc_with(|| Err::<Option<[u16; 33]>, _>(i)).is_err());
    }
    assert_eq!(kept(), before);
    // Also when each needs a chunk of its own, and whatever it allocated itself stays.
    for i in 0..1000u32 {
        assert!(arena.try_alloc_with(|| Err::<[u8; 9000], _>(i)).is_err());
    }
    assert!(arena.committed() < before.0 + 30_000, "{}", arena.committed());
}

#[test]
fn growing_past_a_chunk_reuses_dedicated_chunks() {
    let mut alloc = SmartAlloc::default();
    for _ in 0..8 {
        let mut list = alloc.frame_vec();
        for i in 0..600_000u64 {
            list.push(i);
            if i % 100_000 == 0 {
                // Something behind it: it moves when it grows.
                alloc.frame().alloc(i);
            }
        }
        assert!(list.iter().copied().eq(0..600_000));
    }
    // 8 vectors of 8 MiB, each through 1, 2 and 4: one set of these is enough.
    let committed = alloc.stats().committed;
    assert!(committed < 40 << 20, "{committed}");
    alloc.end_frame();
    // A spare chunk many times too large is not kept busy by a small need.
    alloc.frame().alloc_uninit_slice::<u8>(1_100_000);
    let stats = alloc.end_frame();
    assert_eq!(stats.chunks, 1);
}

/// Found by the model: a dedicated chunk was recognised by where a block of the freed block's alignment would lie in it, which
/// may be behind its end, in the chunk of that very block.
#[test]
fn freeing_an_aligned_block_leaves_the_chunk_before_it_alone() {
    let near = Layout::from_size_align(1000, 8).unwrap();
    let far = Layout::from_size_align(1000, 8192).unwrap();
    // Its chunks follow each other, from a multiple of 64 KiB.
    let arena: &Arena = &Arena::try_with(Box::new(FixedBackend::new(64 << 10)), 1024, 1024).unwrap();
    let take = |layout| arena.allocate(layout).unwrap().cast::<u8>();
    let first = take(near);
    let aligned = take(far);
    assert_eq!(first.addr().get().next_multiple_of(far.align()), aligned.addr().get(), "as near as can be");
    // The chunk before the aligned block's is the one that was taken last.
    // SAFETY: live, of this arena, with this layout.
    unsafe { arena.deallocate(first, near) };
    let second = take(near);
    assert_eq!(second, first);
    // SAFETY: as above.
    unsafe { arena.deallocate(aligned, far) };
    let third = take(near);
    assert!(third.addr().get().abs_diff(second.addr().get()) >= near.size(), "{third:?} is {second:?}, which is live");
    let held = arena.stats().bytes_allocated;
    assert_eq!(held, 2 * near.size());
}

#[test]
fn blocks_with_a_chunk_of_their_own_for_their_alignment_are_used_again() {
    #[repr(align(4096))]
    #[derive(Clone, Copy)]
    struct Page([u8; 4096]);
    let arena: Arena = Arena::with_chunk_sizes(1024, 8192);
    let mut kept = None;
    for round in 0..100u8 {
        let mut pages = arena.vec();
        pages.push(Page([round; 4096]));
        assert!(pages[0].0[..] == [round; 4096] && (&raw const pages[0]).is_aligned());
        drop(pages);
        assert!(arena.try_alloc_with(|| Err::<Page, _>(())).is_err());
        // And of less than a page, so that all of it is padding.
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            arena.alloc_slice_aligned_with(16, 1 << 16, |i| if i < 9 { round } else { panic!("the tenth") });
        }));
        assert!(failed.is_err());
        let figures = (arena.stats().bytes_allocated, arena.committed());
        assert_eq!(*kept.get_or_insert(figures), figures, "in round {round}");
    }
}

#[test]
fn backend_that_panics_when_it_frees_loses_no_other_chunk() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Panics in the first so many calls that free, after the block is freed.
    struct Panics(Arc<AtomicUsize>, Arc<AtomicUsize>);

    // SAFETY: the system backend's memory, unchanged.
    unsafe impl AllocatorBackend for Panics {
        fn allocate(&mut self, layout: Layout) -> AllocationResult {
            self.1.fetch_add(1, Ordering::Relaxed);
            SystemBackend::new().allocate(layout)
        }

        unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
            // SAFETY: the caller's promise.
            unsafe { SystemBackend::new().deallocate(block, layout) };
            self.1.fetch_sub(1, Ordering::Relaxed);
            let left = self.0.load(Ordering::Relaxed);
            if left > 0 {
                self.0.store(left - 1, Ordering::Relaxed);
                panic!("the backend panics");
            }
        }
    }

    let (panics, live) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut arena: Arena = Arena::try_with(Box::new(Panics(panics.clone(), live.clone())), 1024, 1024).unwrap();
    let caught = |f: &mut dyn FnMut()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
    for _ in 0..2 {
        (0..10).for_each(|_| _ = arena.alloc([1u8; 600]));
        assert_eq!(live.load(Ordering::Relaxed), 10);
        arena.reset();
        panics.store(3, Ordering::Relaxed);
        assert!(caught(&mut || _ = arena.trim()));
        assert_eq!((arena.committed(), live.load(Ordering::Relaxed)), (0, 0));
    }
    (0..10).for_each(|_| _ = arena.alloc([1u8; 600]));
    panics.store(3, Ordering::Relaxed);
    let mut arena = Some(arena);
    assert!(caught(&mut || drop(arena.take())));
    assert_eq!(live.load(Ordering::Relaxed), 0);
}

#[test]
fn clones_of_a_slice_are_its_elements() {
    let arena = Arena::new();
    let source: Vec<u32> = (0..1000).collect();
    assert_eq!(arena.alloc_slice_clone(&source), &source[..]);
    let texts: [&str; 3] = ["a", "bc", ""];
    assert_eq!(arena.alloc_slice_clone(&texts), &texts);
}

#[test]
fn iterator_that_ends_early_leaves_the_peak_as_it_was() {
    let arena = Arena::new();
    let mut list = arena.vec();
    list.extend_from_slice(&[0u8; 4000]);
    drop(list);
    assert_eq!((arena.stats().bytes_allocated, arena.stats().peak), (0, 4000));
    // A hint of 20 words, of which two come.
    let words = arena.alloc_slice_fill_iter((0..20u64).filter(|i| i % 10 == 0));
    assert_eq!(words, [0, 10]);
    assert_eq!((arena.stats().bytes_allocated, arena.stats().peak), (16, 4000));
}

#[test]
fn waste_is_what_is_left_of_the_chunks_that_were_left() {
    // What a chunk of a kilobyte holds.
    let arena: Arena = Arena::with_chunk_sizes(1024, 1024);
    let mut words = 0;
    while arena.stats().chunks < 2 {
        arena.alloc(0u64);
        words += 1;
    }
    let room = (words - 1) * size_of::<u64>();
    assert_eq!((arena.stats().waste, (700..1024).contains(&room)), (0, true));

    let arena: Arena = Arena::with_chunk_sizes(1024, 1024);
    for left in 1..4 {
        arena.alloc([0u64; 60]);
        assert_eq!(arena.stats().waste, (left - 1) * (room - 480));
    }
}

#[test]
fn zero_sized_values_of_every_alignment() {
    #[repr(align(4096))]
    #[derive(Clone, Copy)]
    struct Aligned;
    let mut arena = Arena::new();
    for _ in 0..2 {
        assert!(std::ptr::from_ref(arena.alloc(())).is_aligned());
        assert!(std::ptr::from_ref(arena.alloc(Aligned)).is_aligned());
        assert!(arena.alloc_slice_fill(1_000_000, Aligned).as_ptr().is_aligned());
        assert_eq!(arena.alloc_slice_copy::<u64>(&[]).len(), 0);
        assert_eq!(arena.alloc_slice_fill_iter((0..100).map(|_| ())).len(), 100);
        assert_eq!(arena.alloc_str("").len(), 0);
        arena.alloc([0u64; 0]);
        let mut list = arena.vec();
        (0..1000).for_each(|_| list.push(()));
        assert_eq!(list.into_boxed_slice().len(), 1000);
        let (a, b) = arena.columns::<(u64, ())>(0);
        assert_eq!((a.len(), b.len()), (0, 0));
        let (units, bytes) = arena.columns::<((), u8)>(10);
        assert_eq!((units.len(), bytes.len()), (10, 10));
        drop((a, b, units, bytes));
        assert_eq!(*arena.alloc(7u8), 7);
        arena.reset();
    }
    let alloc = SmartAlloc::default();
    let handle = alloc.publish(());
    assert_eq!(alloc.get(handle), Ok(&()));
    let aligned = alloc.publish_slice_fill_with(3, |_| Aligned);
    assert!(alloc.get(aligned).unwrap().as_ptr().is_aligned());
    assert!(std::ptr::from_ref(&*alloc.pool_box(Aligned)).is_aligned());
    assert!(std::ptr::from_ref(&*alloc.heap_box(Aligned)).is_aligned());
}

#[test]
fn arena_gives_back_what_no_round_needs() {
    let mut arena = Arena::new().with_trim(TrimPolicy::AfterFrames(5));
    arena.alloc_uninit_slice::<u8>(20 << 20);
    for _ in 0..20 {
        arena.alloc_uninit_slice::<u8>(900_000);
    }
    arena.reset();
    for _ in 0..60 {
        arena.alloc([1u8; 100]);
        arena.reset();
    }
    // One chunk is in use, whichever it was.
    assert!(arena.committed() <= 1 << 20, "{}", arena.committed());
    let mut kept = Arena::new().with_trim(TrimPolicy::Never);
    kept.alloc_uninit_slice::<u8>(20 << 20);
    (0..100).for_each(|_| kept.reset());
    assert!(kept.committed() >= 20 << 20);
    assert!(kept.trim() >= 20 << 20 && kept.committed() == 0);
}
