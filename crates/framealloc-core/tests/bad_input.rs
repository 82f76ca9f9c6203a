//! Whatever is asked for, and whatever a backend answers: an error that names value and bound, or a panic that unwinds with
//! that text; nothing already allocated is lost, and the allocator is usable afterwards.

mod support;

use std::alloc::Layout;

use framealloc_core::*;
use support::{Answer, Scripted, panic_text};

#[test]
fn settings_out_of_bounds_are_named() {
    let chunk = |min, max| AllocConfig::default().with_frame_chunk(min, max);
    let cases: [(AllocConfig, &[&str]); 11] = [
        (chunk(0, 0), &[" 0", "1024"]),
        (chunk(0, 4096), &[" 0", "1024"]),
        (chunk(4096, 0), &[" 0", "1024"]),
        (chunk(8192, 4096), &["8192", "largest"]),
        (chunk(3000, 4096), &["3000", "power of two"]),
        (chunk(4096, 5000), &["5000", "power of two"]),
        (chunk(512, 4096), &["512", "1024"]),
        (chunk(1024, usize::MAX), &["18446744073709551615"]),
        (chunk(1 << 63, 1 << 63), &["9223372036854775808"]),
        (AllocConfig::default().with_frames_in_flight(0), &[" 0", "1 to 64"]),
        (AllocConfig::default().with_frames_in_flight(65), &["65", "1 to 64"]),
    ];
    for (config, words) in cases {
        let shown = format!("{config:?}");
        let text = SmartAlloc::try_new(config).unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{shown}: {text}");
    }
    let text = panic_text(|| SmartAlloc::new(chunk(3000, 4096))).unwrap();
    assert!(text.contains("3000"), "{text}");
    for (min, max) in [(0, 1024), (8192, 4096), (3000, 4096), (1024, usize::MAX), (512, 1024)] {
        assert!(Arena::try_with_chunk_sizes(min, max).is_err());
    }
    let text = SmartAlloc::try_new(AllocConfig::default().with_prefault(usize::MAX)).unwrap_err().to_string();
    assert!(text.contains("18446744073709551615"), "{text}");
}

#[test]
fn smallest_and_largest_settings_work() {
    for (min, max) in [(1024, 1024), (1024, 2048), (1024, 1 << 20), (1 << 20, 1 << 20)] {
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_frame_chunk(min, max).with_frames_in_flight(64));
        for size in [0, 1, 700, 768, 769, 800, 900, 960, 1000, 1024, 1025, 2000, 5000, 100_000] {
            let block = alloc
                .frame()
                .try_alloc_slice_fill(size, 7u8)
                .unwrap_or_else(|error| panic!("{size} bytes of ({min}, {max}): {error}"));
            assert!(block.iter().all(|&byte| byte == 7));
        }
        alloc.end_frame();
    }
}

#[test]
fn prefault_that_fails_is_an_error_and_leaves_nothing() {
    let backend = Scripted::new();
    backend.at(3, Answer::Failed);
    let config =
        AllocConfig::default().with_backend(backend.boxed()).with_frame_chunk(1024, 4096).with_prefault(40_000);
    let text = SmartAlloc::try_new(config).unwrap_err().to_string();
    assert!(text.contains("4096"), "{text}");
    assert_eq!(backend.live(), (0, 0));
}

type Try = fn(Frame<'_>, usize) -> Result<(), AllocError>;

/// Every `try_` method of a frame that takes a length.
const TRIES: &[(&str, Try)] = &[
    ("uninit_slice", |f, n| f.try_alloc_uninit_slice::<u64>(n).map(drop)),
    ("slice_fill", |f, n| f.try_alloc_slice_fill(n, 1u64).map(drop)),
    ("slice_fill_with", |f, n| f.try_alloc_slice_fill_with(n, |i| i as u64).map(drop)),
    ("slice_aligned_with", |f, n| f.try_alloc_slice_aligned_with(n, 256, |i| i as u64).map(drop)),
    ("slice_fill_iter", |f, n| f.try_alloc_slice_fill_iter((0..).take(n).map(|i: u64| i)).map(drop)),
    ("box_slice_with", |f, n| f.try_alloc_box_slice_with(n, Box::new).map(drop)),
    ("box_slice_from_iter", |f, n| f.try_alloc_box_slice_from_iter((0..).take(n).map(|i: u64| Box::new(i))).map(drop)),
    ("slice", |f, n| f.try_slice::<u64>(n).map(drop)),
    ("vec_with_capacity", |f, n| f.try_vec_with_capacity::<u64>(n).map(drop)),
    ("map_with_capacity", |f, n| f.try_map_with_capacity::<u64, u64>(n).map(drop)),
    ("collect", |f, n| f.try_collect((0..).take(n).map(|i: u64| i)).map(drop)),
    ("columns", |f, n| f.try_columns::<(u64, u8, u64)>(n).map(drop)),
    ("vec.try_reserve", |f, n| f.vec::<u64>().try_reserve(n)),
    ("vec.try_reserve_exact", |f, n| f.vec::<u64>().try_reserve_exact(n)),
    ("vec.try_extend", |f, n| f.vec::<u64>().try_extend((0..).take(n))),
    ("map.try_reserve", |f, n| f.map::<u64, u64>().try_reserve(n)),
    ("set.try_reserve", |f, n| f.set::<u64>().try_reserve(n)),
    ("deque.try_reserve", |f, n| f.deque::<u64>().try_reserve(n)),
    ("string.try_reserve", |f, n| f.string().try_reserve(n)),
];

#[test]
fn prefault_that_unwinds_leaves_nothing() {
    for call in 0..10 {
        let backend = Scripted::new();
        backend.at(call, Answer::Panic);
        let config =
            AllocConfig::default().with_backend(backend.boxed()).with_frame_chunk(1024, 4096).with_prefault(40_000);
        assert_eq!(panic_text(|| SmartAlloc::try_new(config)).as_deref(), Some("the backend panics"));
        assert_eq!((backend.calls(), backend.live()), (call + 1, (0, 0)));
    }
}

#[test]
fn huge_lengths_are_errors_with_a_text() {
    let mut arena = Arena::with_backend(Box::new(FixedBackend::new(1 << 16)));
    let kept = arena.alloc_slice_fill(100, 7u8).as_ptr();
    for len in
        [usize::MAX, usize::MAX - 1, isize::MAX as usize, isize::MAX as usize / 8, usize::MAX / 8 + 1, 1 << 60, 1 << 45]
    {
        for (name, try_it) in TRIES {
            let text = match try_it(arena.frame(), len) {
                Err(error) => error.to_string(),
                Ok(()) => panic!("{name} of {len} succeeds"),
            };
            assert!(text.chars().any(|c| c.is_ascii_digit()), "{name} of {len}: {text}");
            let fine = arena.try_alloc_slice_fill(3, 5u8).map(|block| block[2]);
            assert_eq!(fine, Ok(5), "after {name} of {len}");
        }
    }
    // SAFETY: nothing was reset; the block was handed out for as long as the arena is not.
    assert!(unsafe { std::slice::from_raw_parts(kept, 100) }.iter().all(|&byte| byte == 7));
    arena.reset();
}

#[test]
fn huge_layouts_are_errors_with_a_text() {
    let alloc = SmartAlloc::new(AllocConfig::default().with_backend(Box::new(FixedBackend::new(1 << 16))));
    for align in [1usize, 8, 64, 4096, 1 << 20, 1 << 40, 1 << 62] {
        let largest = isize::MAX as usize - (align - 1);
        for size in [largest, largest - 1, largest / 2, 1 << 40, if align > 1 << 16 { 1 } else { 1 << 20 }] {
            let Ok(layout) = Layout::from_size_align(size, align) else { continue };
            let text = alloc.frame().try_alloc_layout(layout).unwrap_err().to_string();
            assert!(text.contains(&size.to_string()), "{layout:?}: {text}");
        }
    }
    assert_eq!(*alloc.frame().alloc(5), 5);
}

#[test]
fn alignments_of_slices_are_checked() {
    let arena = Arena::new();
    for align in [0, 3, 5, 6, 48, usize::MAX, usize::MAX - 1, (1 << 63) + 1] {
        for text in [
            arena.try_alloc_slice_copy_aligned(&[1u8; 10], align).unwrap_err().to_string(),
            arena.try_alloc_slice_aligned_with(10, align, |i| i).unwrap_err().to_string(),
            panic_text(|| arena.alloc_slice_copy_aligned(&[1u8; 10], align)).unwrap(),
        ] {
            assert!(text.contains(&align.to_string()) && text.contains("power of two"), "{align}: {text}");
        }
    }
    for align in [1 << 63, 1 << 62] {
        let text = arena.try_alloc_slice_copy_aligned(&[1u8; 10], align).unwrap_err().to_string();
        assert!(text.chars().any(|c| c.is_ascii_digit()), "{align}: {text}");
    }
    // Below the alignment of the type: that of the type holds.
    let block = arena.alloc_slice_copy_aligned(&[1u64; 3], 1);
    assert!(block.as_ptr().is_aligned());
    for shift in 0..=21 {
        let align = 1 << shift;
        for len in [0usize, 1, 100] {
            let block = arena
                .try_alloc_slice_aligned_with(len, align, |i| i as u8)
                .unwrap_or_else(|error| panic!("{len} bytes at {align}: {error}"));
            assert_eq!(block.as_ptr().addr() % align, 0);
            assert!(block.iter().enumerate().all(|(i, &byte)| byte == i as u8));
        }
    }
}

/// Something of everything; counts what succeeded, and checks that it holds.
fn mixture(alloc: &SmartAlloc) -> (usize, usize) {
    let (mut fine, mut refused) = (0, 0);
    let f = alloc.frame();
    let mut note = |result: Result<(), AllocError>| match result {
        Ok(()) => fine += 1,
        Err(error) => {
            assert!(error.to_string().chars().any(|c| c.is_ascii_digit()), "{error}");
            refused += 1;
        }
    };
    for (_, try_it) in TRIES {
        for len in [1, 100, 1000] {
            note(try_it(f, len));
        }
    }
    note(f.try_alloc([1u8; 500]).map(drop));
    note(f.try_alloc_uninit::<[u64; 50]>().map(drop));
    note(f.try_alloc_layout(Layout::from_size_align(100, 4096).unwrap()).map(drop));
    note(f.try_alloc_batch([1u64; 100]).map(drop));
    note(f.try_alloc_str(&"x".repeat(3000)).map(drop));
    note(f.try_alloc_slice_copy(&[1u64; 300]).map(drop));
    note(f.try_alloc_slice_clone(&[1u64; 300]).map(drop));
    note(f.try_alloc_slice_copy_aligned(&[1u8; 10], 512).map(drop));
    note(f.try_alloc_box(String::from("x")).map(drop));
    note(f.try_alloc_box_with(|| [1u64; 200]).map(drop));
    note(f.try_alloc_with(|| Ok::<_, ()>([1u64; 200])).map(drop).map_err(|error| match error {
        InitError::Alloc(error) => error,
        InitError::Init(()) => unreachable!(),
    }));
    note(alloc.try_publish(vec![1; 100]).map(drop));
    note(alloc.try_publish_str("text").map(drop));
    note(alloc.try_publish_slice_copy(&[1u64; 200]).map(drop));
    note(alloc.try_publish_slice_fill_with(200, |i| i.to_string()).map(drop));
    note(alloc.try_publish_slice_fill_iter((0..200).map(|i| i.to_string())).map(drop));
    note(alloc.try_pool_box([1u64; 20]).map(drop));
    note(alloc.try_pool_box([1u8; 5000]).map(drop));
    note(alloc.try_heap_box([1u8; 100]).map(drop));
    let scratch = alloc.scratch();
    note(scratch.try_alloc_slice_fill(2000, 1u8).map(drop));
    note(scratch.try_collect(0..500).map(drop));
    note(match alloc.frame().try_alloc_box(vec![7u8; 9]).map(|boxed| alloc.try_promote(boxed)) {
        Ok(Ok(kept)) => {
            assert_eq!(*kept, [7; 9]);
            Ok(())
        }
        Ok(Err(refusal)) => {
            assert_eq!(*refusal.value, [7; 9]);
            Err(refusal.error)
        }
        Err(error) => Err(error),
    });
    (fine, refused)
}

/// What [`prepared`] has published is intact.
fn check_kept(alloc: &SmartAlloc, kept: FrameHandle<[u64]>) {
    assert!(alloc.get(kept).unwrap().iter().enumerate().all(|(i, &x)| x == i as u64));
}

/// An allocator that took memory once, from call 0 of a backend that is fine.
fn prepared(backend: &Scripted) -> (SmartAlloc, FrameHandle<[u64]>) {
    backend.restart();
    let alloc = SmartAlloc::new(AllocConfig::default().with_backend(backend.boxed()).with_frame_chunk(1024, 4096));
    let kept = alloc.publish_slice_fill_with(50, |i| i as u64);
    assert_eq!(backend.calls(), 1);
    (alloc, kept)
}

#[test]
fn backend_that_fails_once_at_any_call() {
    let backend = Scripted::new();
    let all = mixture(&prepared(&backend).0).0;
    let calls = backend.calls();
    assert!(calls > 20, "{calls}");
    for answer in [Answer::Failed, Answer::Misaligned, Answer::Short] {
        for n in 1..calls {
            let (mut alloc, kept) = prepared(&backend);
            backend.at(n, answer);
            let (fine, refused) = mixture(&alloc);
            // A chunk that cannot be had may be tried smaller; memory that cannot be believed is always refused.
            let least = usize::from(answer != Answer::Failed && backend.calls() > n);
            assert!(
                (least..=1).contains(&refused) && fine + refused >= all - 1,
                "{answer:?} at {n}: {fine} and {refused}"
            );
            check_kept(&alloc, kept);
            backend.restart();
            // Again, now that there is memory.
            assert_eq!(mixture(&alloc), (all, 0), "{answer:?} at {n}");
            check_kept(&alloc, kept);
            alloc.end_frame();
            assert_eq!(mixture(&alloc), (all, 0));
            drop(alloc);
            assert_eq!(backend.live(), (0, 0), "{answer:?} at {n}");
        }
    }
}

#[test]
fn backend_that_fails_from_some_call_on() {
    let backend = Scripted::new();
    let all = mixture(&prepared(&backend).0).0;
    let calls = backend.calls();
    for n in 1..calls {
        let (mut alloc, kept) = prepared(&backend);
        (n..2000).for_each(|call| backend.at(call, Answer::Failed));
        let (fine, refused) = mixture(&alloc);
        // How many calls there are depends a little on the addresses: over-aligned requests.
        assert!((refused > 0 || n + 3 > calls) && fine + refused == all, "from {n}: {fine} and {refused}");
        check_kept(&alloc, kept);
        alloc.end_frame();
        backend.restart();
        assert_eq!(mixture(&alloc), (all, 0));
        drop(alloc);
        assert_eq!(backend.live(), (0, 0));
    }
}

#[test]
fn backend_that_panics_is_survived() {
    let backend = Scripted::new();
    let config = || AllocConfig::default().with_backend(backend.boxed()).with_frame_chunk(1024, 4096);
    for n in 0..12 {
        backend.restart();
        backend.at(n, Answer::Panic);
        let mut alloc = SmartAlloc::new(config());
        assert_eq!(panic_text(|| mixture(&alloc)).as_deref(), Some("the backend panics"));
        assert_eq!(mixture(&alloc).1, 0);
        alloc.end_frame();
        drop(alloc);
        assert_eq!(backend.live(), (0, 0));
    }
}

#[cfg(debug_assertions)]
#[test]
fn overlapping_memory_is_refused_in_debug_builds() {
    let backend = Scripted::new();
    let alloc = SmartAlloc::new(AllocConfig::default().with_backend(backend.boxed()).with_frame_chunk(1024, 1024));
    let kept = alloc.frame().alloc_slice_fill(700, 7u8);
    backend.at(backend.calls(), Answer::Overlapping);
    let text = alloc.frame().try_alloc_slice_fill(700, 1u8).unwrap_err().to_string();
    assert!(text.contains("overlap"), "{text}");
    assert!(kept.iter().all(|&byte| byte == 7));
    assert_eq!(alloc.frame().alloc_slice_fill(700, 1u8)[699], 1);
    assert!(kept.iter().all(|&byte| byte == 7));
}

#[cfg(debug_assertions)]
#[test]
fn overlapping_memory_is_refused_to_a_lone_arena_in_debug_builds() {
    let backend = Scripted::new();
    let arena = Arena::with_backend(backend.boxed());
    let kept = arena.alloc_slice_fill(60_000, 7u8);
    backend.at(backend.calls(), Answer::Overlapping);
    let text = arena.try_alloc_slice_fill(60_000, 1u8).unwrap_err().to_string();
    assert!(text.contains("overlap"), "{text}");
    assert!(kept.iter().all(|&byte| byte == 7));
}

#[test]
fn chain_falls_back_and_every_block_goes_home() {
    let (first, second) = (Scripted::new(), Scripted::new());
    first.always(Answer::Fallback);
    let config = AllocConfig::default().with_backend(first.boxed()).with_backend(second.boxed());
    let alloc = SmartAlloc::new(config.with_frame_chunk(1024, 4096));
    let (fine, refused) = mixture(&alloc);
    assert!(fine > 0 && refused == 0 && first.live().0 == 0 && second.live().0 > 0);
    first.restart();
    mixture(&alloc);
    assert!(first.live().0 > 0);
    drop(alloc);
    assert_eq!((first.live(), second.live()), ((0, 0), (0, 0)));
}

/// An allocator with 16 KiB in all.
fn tight() -> SmartAlloc {
    let backend = FixedBackend::new(16 << 10);
    SmartAlloc::new(AllocConfig::default().with_backend(Box::new(backend)).with_frame_chunk(1024, 1024))
}

#[test]
fn collections_that_grow_unwind_with_a_text_and_keep_what_they_have() {
    let mut alloc = tight();
    for _ in 0..3 {
        let f = alloc.frame();
        let refused = |text: Option<String>| {
            let text = text.expect("memory ends");
            assert!(text.contains("bytes"), "{text}");
        };

        let mut vec = f.vec();
        refused(panic_text(|| (0..u64::MAX).for_each(|i: u64| vec.push(i))));
        assert!(vec.len() > 10 && vec.iter().enumerate().all(|(i, &x)| x == i as u64));
        assert!(vec.try_reserve(1 << 20).is_err() && vec.try_push(0).is_err());
        assert!(vec.try_extend(0..100_000).is_err() && vec.try_extend_from_slice(&[0; 4000]).is_err());
        drop(vec);

        let mut string = f.string();
        refused(panic_text(|| (0..u64::MAX).for_each(|i: u64| string.push_str(&i.to_string()))));
        assert!(string.starts_with("012345678910"));
        assert!(string.try_push_str(&"x".repeat(20_000)).is_err());
        refused(panic_text(|| std::fmt::Write::write_str(&mut string, &"x".repeat(20_000))));
        drop(string);
        refused(panic_text(|| frame_format!(alloc, "{:>30000}", 1)));

        let mut map = f.map();
        refused(panic_text(|| (0..u64::MAX).for_each(|i: u64| assert!(map.insert(i, !i).is_none()))));
        assert!(map.len() > 10 && map.iter().all(|(&key, &value)| value == !key));
        assert!((0..map.len() as u64).all(|key| map.contains_key(&key)));
        assert!(map.try_reserve(100_000).is_err());
        drop(map);

        let mut set = f.set();
        refused(panic_text(|| (0..u64::MAX).for_each(|i: u64| assert!(set.insert(i)))));
        assert!(set.len() > 10 && set.try_reserve(100_000).is_err());
        drop(set);

        let mut deque = f.deque();
        refused(panic_text(|| {
            (0..u64::MAX).for_each(|i: u64| if i.is_multiple_of(2) { deque.push_back(i) } else { deque.push_front(i) });
        }));
        assert!(deque.len() > 10 && deque.try_push_back(0).is_err() && deque.try_push_front(0).is_err());
        assert!(deque.iter().skip(1).zip(deque.iter()).all(|(next, at)| next % 2 == 0 || next < at));
        assert!(deque.try_reserve(100_000).is_err());
        drop(deque);

        let mut table = hashbrown::HashMap::with_hasher_in(hashbrown::DefaultHashBuilder::default(), f);
        refused(panic_text(|| (0..u64::MAX).for_each(|i: u64| assert!(table.insert(i, i).is_none()))));
        assert!(table.len() > 10 && table.iter().all(|(key, value)| key == value));
        drop(table);

        let mut list = allocator_api2::vec::Vec::new_in(f);
        refused(panic_text(|| (0..u64::MAX).for_each(|i: u64| list.push(i))));
        assert!(list.len() > 10 && list.iter().enumerate().all(|(i, &x)| x == i as u64));
        drop(list);

        let mut quiet = allocator_api2::vec::Vec::<u64, _>::new_in(f.fallible());
        assert!(quiet.try_reserve(100_000).is_err());
        drop(quiet);
        refused(panic_text(|| frame_vec![in alloc; 7u8; 30_000]));
        assert_eq!(alloc.end_frame().threads, 1);
    }
}

#[test]
fn pooled_collections_that_grow_unwind_with_a_text() {
    let alloc = SmartAlloc::new(AllocConfig::default().with_backend(Box::new(FixedBackend::new(2 << 20))));
    let mut list = allocator_api2::vec::Vec::new_in(alloc.pool().clone());
    let text = panic_text(|| (0..u64::MAX).for_each(|i: u64| list.push(i))).unwrap();
    assert!(text.contains("bytes"), "{text}");
    assert!(list.len() > 100 && list.iter().enumerate().all(|(i, &x)| x == i as u64));
    drop(list);
    let mut table = hashbrown::HashMap::with_hasher_in(hashbrown::DefaultHashBuilder::default(), alloc.pool().clone());
    assert!(panic_text(|| (0..u64::MAX).for_each(|i: u64| assert!(table.insert(i, i).is_none()))).is_some());
    assert!(table.len() > 100 && table.iter().all(|(key, value)| key == value));
}

#[test]
fn refusals_are_counted_and_charge_nothing() {
    let mut alloc = tight();
    alloc.frame().alloc(1u64);
    for _ in 0..1000 {
        assert!(alloc.frame().try_alloc_slice_fill(20_000, 1u8).is_err());
        assert!(alloc.try_publish_slice_fill_with(2000, |i| i.to_string()).is_err());
    }
    let stats = alloc.end_frame();
    assert_eq!((stats.refused, stats.bytes_allocated), (2000, 8));
}

#[test]
fn failed_initialisers_do_not_grow_memory() {
    let alloc = tight();
    alloc.frame().alloc(1u64);
    for i in 0..10_000 {
        let failed = alloc.frame().try_alloc_with(|| if i >= 0 { Err(i) } else { Ok([0u8; 500]) });
        assert_eq!(failed.unwrap_err(), InitError::Init(i));
        assert!(alloc.try_publish_slice_fill_with(usize::MAX / 64, |_| String::new()).is_err());
    }
    assert_eq!(alloc.frame().stats().bytes_allocated, 8);
    assert_eq!(alloc.frame().stats().chunks, 1);
}

#[test]
fn refused_text_leaves_whole_characters() {
    let arena = Arena::with_backend(Box::new(FixedBackend::new(1024)));
    let mut text = arena.string();
    let refusal = panic_text(|| (0..1_000_000).for_each(|_| text.push_str("\u{20ac}")));
    assert!(refusal.is_some_and(|text| text.contains("no memory")));
    assert!(text.len() > 100 && std::str::from_utf8(text.as_bytes()).is_ok());
    assert!(text.chars().all(|character| character == '\u{20ac}'));
}

#[test]
fn hash_that_is_refused_inside_try_reserve_unwinds() {
    use std::hash::{Hash, Hasher};

    /// Grows a vector of the same arena whenever it is hashed, once it is told to.
    struct Greedy<'f>(u32, &'f std::cell::Cell<bool>, framealloc_core::Frame<'f>);
    impl PartialEq for Greedy<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Greedy<'_> {}
    impl Hash for Greedy<'_> {
        fn hash<H: Hasher>(&self, state: &mut H) {
            if self.1.get() {
                assert!(self.2.vec_with_capacity::<u8>(1 << 20).is_empty());
            }
            self.0.hash(state);
        }
    }

    let arena = Arena::with_backend(Box::new(FixedBackend::new(64 << 10)));
    let greedy = std::cell::Cell::new(false);
    let mut map = arena.map();
    for key in 0..10 {
        map.insert(Greedy(key, &greedy, arena.frame()), key);
    }
    greedy.set(true);
    let refusal = panic_text(|| assert!(map.try_reserve(100).is_ok()));
    assert!(refusal.is_some_and(|text| text.contains("no memory")));
    greedy.set(false);
    assert!(map.try_reserve(1 << 30).is_err());
    assert!(map.try_reserve(100).is_ok() && map.capacity() >= 110);
}

#[test]
fn table_full_of_removed_entries_refuses_by_an_error() {
    use std::hash::{BuildHasherDefault, Hasher};

    /// Each number has its own place, so that removals leave their marks.
    #[derive(Default)]
    struct Identity(u64);
    impl Hasher for Identity {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, _: &[u8]) {
            unreachable!("numbers only");
        }
        fn write_u64(&mut self, number: u64) {
            self.0 = number;
        }
    }
    for (kib, refused) in [(32, true), (64, false)] {
        let backend = Box::new(FixedBackend::new(kib << 10));
        let alloc = SmartAlloc::new(AllocConfig::default().with_frame_chunk(1024, 1024).with_backend(backend));
        let mut map =
            FrameMap::<u64, u64, BuildHasherDefault<Identity>>::with_hasher_in(Default::default(), alloc.frame());
        map.try_reserve(448).unwrap();
        (0..448).for_each(|i| _ = map.insert(i, !i));
        (100..300).for_each(|i| _ = map.remove(&i));
        assert_eq!(map.capacity(), map.len(), "no room, though there are 512 places");
        assert_eq!(map.try_reserve(1).is_err(), refused, "{kib} KiB");
        assert!((0..100).chain(300..448).all(|i| map[&i] == !i));
        assert_eq!(map.len(), 248);
    }
}
