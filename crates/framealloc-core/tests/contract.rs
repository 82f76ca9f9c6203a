//! The names that users type, as they are promised: every one compiles and does what its line says.

use std::hash::Hash;
use std::mem::MaybeUninit;

use framealloc_core::*;

#[test]
fn allocator_is_made_in_three_ways() {
    let _: SmartAlloc = SmartAlloc::new(AllocConfig::default());
    let _: SmartAlloc = SmartAlloc::default();
    let made: Result<SmartAlloc, AllocError> = SmartAlloc::try_new(AllocConfig::default());
    assert!(made.is_ok());
}

#[test]
fn frame_hands_out_values_and_slices() {
    let mut alloc = SmartAlloc::new(AllocConfig::default());
    alloc.begin_frame();
    let f: Frame<'_> = alloc.frame();
    let copy = f;
    let seven: &mut u32 = f.alloc(7u32);
    *seven += 1;
    let table: &mut [f32; 256] = copy.alloc_with(|| [0f32; 256]);
    table[255] = 1.0;
    let failed: Result<&mut i32, InitError<&str>> = f.try_alloc_with(|| Err("not today"));
    assert_eq!(failed.unwrap_err(), InitError::Init("not today"));
    let fine: Result<&mut i32, InitError<&str>> = f.try_alloc_with(|| Ok(5));
    assert_eq!(*fine.unwrap(), 5);
    let copied: &mut [i32] = f.alloc_slice_copy(&[1, 2, 3]);
    copied.reverse();
    let filled: &mut [usize] = f.alloc_slice_fill_with(4, |i| i * i);
    let iterated: &mut [u8] = f.alloc_slice_fill_iter((0..20).filter(|i| i % 3 == 0));
    let text: &mut str = f.alloc_str("x");
    text.make_ascii_uppercase();
    assert_eq!((*seven, table[0], table[255]), (8, 0.0, 1.0));
    assert_eq!((&*copied, &*filled), (&[3, 2, 1][..], &[0, 1, 4, 9][..]));
    assert_eq!((&*iterated, &*text), (&[0, 3, 6, 9, 12, 15, 18][..], "X"));
    alloc.end_frame();
}

#[test]
fn frame_makes_boxes_and_collections() {
    let alloc = SmartAlloc::default();
    let f = alloc.frame();
    let boxed: FrameBox<'_, String> = f.alloc_box(String::from("owned"));
    let mut vec: FrameVec<'_, u64> = f.vec::<u64>();
    vec.push(1);
    let roomy: FrameVec<'_, u8> = f.vec_with_capacity::<u8>(100);
    let mut string: FrameString<'_> = f.string();
    string.push_str("text");
    let mut map: FrameMap<'_, &str, i32> = f.map::<&str, i32>();
    map.insert("k", 1);
    let collected: FrameVec<'_, i32> = f.collect((0..5).rev());
    assert_eq!(*boxed, "owned");
    assert_eq!((vec.as_slice(), roomy.capacity() >= 100, &*string, map["k"]), (&[1][..], true, "text", 1));
    assert_eq!(*collected, [4, 3, 2, 1, 0]);
}

#[test]
fn allocator_has_the_methods_of_a_frame() {
    #[derive(Default, Clone, Copy, Debug, PartialEq)]
    struct Contact {
        a: u32,
        depth: f32,
    }
    #[derive(Default, Clone, Copy, Debug, PartialEq)]
    struct Vec3(f32, f32, f32);
    #[derive(PartialEq, Eq, Hash)]
    struct Key(u8);

    let alloc = SmartAlloc::default();
    let place: &mut MaybeUninit<[f32; 64]> = alloc.frame_alloc::<[f32; 64]>();
    assert_eq!(place.write([2.0; 64])[63], 2.0);
    let boxed: FrameBox<'_, Vec<i32>> = alloc.frame_box(vec![1, 2, 3]);
    assert_eq!(boxed.len(), 3);
    let contacts: FrameBox<'_, [Contact]> = alloc.frame_slice::<Contact>(10);
    assert_eq!((contacts.len(), contacts[9]), (10, Contact { a: 0, depth: 0.0 }));
    let mut vec: FrameVec<'_, String> = alloc.frame_vec::<String>();
    vec.push("a".into());
    let with: FrameVec<'_, u32> = alloc.frame_vec_with_capacity::<u32>(33);
    assert!(with.capacity() >= 33);
    let mut string: FrameString<'_> = alloc.frame_string();
    string.push('c');
    let mut map: FrameMap<'_, Key, u8> = alloc.frame_map::<Key, u8>();
    map.insert(Key(1), 2);
    assert_eq!((map[&Key(1)], &*string, vec[0].as_str()), (2, "c", "a"));
    let x = 42;
    let line: FrameString<'_> = frame_format!(alloc, "{x}");
    assert_eq!(line, "42");
    let listed: FrameVec<'_, i32> = frame_vec![in alloc; 1, 2, 3];
    assert_eq!(*listed, [1, 2, 3]);
    let (mut position, velocity, id) = alloc.frame_columns::<(Vec3, Vec3, u32)>(100);
    position[99] = Vec3(1.0, 2.0, 3.0);
    assert_eq!((position.len(), velocity.len(), id.len()), (100, 100, 100));
    assert_eq!((position[99].1, velocity[99], id[99]), (2.0, Vec3::default(), 0));
    for address in [position.as_ptr().addr(), velocity.as_ptr().addr(), id.as_ptr().addr()] {
        assert_eq!(address % 64, 0);
    }
}

#[test]
fn boxes_are_unsized_and_called_on_stable() {
    let alloc = SmartAlloc::default();
    let shown: FrameBox<'_, dyn std::fmt::Display> = unsize!(alloc.frame_box(7));
    assert_eq!(shown.to_string(), "7");
    let offset = String::from("xyz");
    let mut calls = 0;
    {
        let count = unsize!(alloc.frame_box(|n: usize| calls += n) => dyn FnMut(usize));
        let mut count = count;
        count(2);
        count(3);
    }
    assert_eq!(calls, 5);
    let once: FrameBox<'_, dyn OnceFn<(), Output = String>> = unsize!(alloc.frame_box(move || offset));
    assert_eq!(FrameBox::call_once(once, ()), "xyz");
    let pooled: PoolBox<dyn Fn(i32) -> i32> = unsize!(alloc.pool_box(|x| x + 1));
    assert_eq!(pooled(1), 2);
}

#[test]
fn published_values_scratch_and_tags() -> Result<(), StaleHandle> {
    fn is_plain<T: Copy + Send + Sync + 'static>(_: &T) {}
    static AUDIO: Tag = Tag::new("audio");

    let mut alloc = SmartAlloc::default();
    let h: FrameHandle<String> = alloc.publish(String::from("published"));
    is_plain(&h);
    let read: &String = alloc.get(h)?;
    assert_eq!(read, "published");
    let slice: FrameHandle<[u8]> = alloc.publish_slice_copy(&[1, 2, 3]);
    let with: FrameHandle<[usize]> = alloc.publish_slice_fill_with(3, |i| i);
    let iter: FrameHandle<[char]> = alloc.publish_slice_fill_iter("abc".chars());
    let vec: FrameHandle<[i32]> = alloc.publish_vec(frame_vec![in alloc; 4, 5]);
    assert_eq!((alloc.get(slice)?, alloc.get(with)?), (&[1, 2, 3][..], &[0, 1, 2][..]));
    assert_eq!((alloc.get(iter)?, alloc.get(vec)?), (&['a', 'b', 'c'][..], &[4, 5][..]));

    let scratch: Scratch<'_> = alloc.scratch();
    assert_eq!((*scratch.alloc(1), scratch.vec::<u8>().len(), &*scratch.alloc_str("s")), (1, 0, "s"));
    drop(scratch);

    let kept: &mut [u64; 4] = alloc.with_tag("physics", |a| a.frame().alloc([1u64; 4]));
    assert_eq!(kept[3], 1);
    alloc.with_tag(AUDIO, |a| a.frame().alloc(0u64));
    let stats: FrameStats = alloc.end_frame();
    assert!(stats.bytes_allocated >= 40 && stats.peak >= stats.bytes_allocated);
    assert_eq!(stats.allocation_count > 0, cfg!(feature = "count"));
    assert!(stats.chunks == 1 && stats.threads == 1 && stats.waste == 0);
    let bytes = |tag: Tag| alloc.tags().iter().find(|row| row.tag == tag).map(|row| row.bytes);
    assert_eq!((bytes("physics".into()), bytes(AUDIO)), (Some(32), Some(8)));
    assert!(alloc.get(h).is_err());
    Ok(())
}

#[test]
fn pools_and_heap_boxes_outlive_the_frame() {
    let mut alloc = SmartAlloc::default();
    let pooled: PoolBox<String> = alloc.pool_box(String::from("p"));
    let pool: &Pool = alloc.pool();
    let clone: Pool = pool.clone();
    let heaped: HeapBox<[u8; 10_000]> = alloc.heap_box([7; 10_000]);
    alloc.end_frame();
    drop(alloc);
    assert_eq!((pooled.as_str(), heaped[9_999], *clone.alloc_box(3)), ("p", 7, 3));
}

#[test]
fn frames_end_are_sealed_measured_and_trimmed() {
    let mut alloc = SmartAlloc::default();
    alloc.begin_frame();
    let h = alloc.publish(5);
    let sealed: SealedFrame = alloc.seal_frame();
    assert_eq!((sealed.get(h), alloc.get(h).is_err()), (Ok(&5), true));
    drop(sealed);
    let stats: AllocStats = alloc.stats();
    assert_eq!((stats.frame, stats.last_frame.frame), (2, 1));
    let freed: usize = alloc.trim();
    assert!(freed > 0 && alloc.stats().committed == 0);
}

#[test]
fn configuration_takes_every_setting() {
    struct Everything;
    impl Governor for Everything {}
    let config = AllocConfig::default()
        .with_backend(Box::new(SystemBackend::new()))
        .with_frame_chunk(4096, 65536)
        .with_frames_in_flight(2)
        .with_trim(TrimPolicy::AfterFrames(10))
        .with_prefault(100_000)
        .with_governor(Everything);
    let alloc = SmartAlloc::new(config);
    assert_eq!((alloc.stats().stored, alloc.stats().committed), (131_072, 131_072));
    *alloc.frame().alloc(1) += 1;
}

#[cfg(target_os = "linux")]
#[test]
fn numa_node_is_used_or_named() {
    let known = online_nodes().contains(&0);
    match SmartAlloc::try_new(AllocConfig::default().with_numa_node(0)) {
        Ok(alloc) => assert!(known && *alloc.frame().alloc(3) == 3),
        Err(error) => assert!(!known || error.to_string().contains("node 0"), "{error}"),
    }
    let error = SmartAlloc::try_new(AllocConfig::default().with_numa_node(9999)).unwrap_err();
    assert!(error.to_string().contains("9999"), "{error}");
}

#[test]
fn arena_alone() {
    let mut arena = Arena::new();
    assert_eq!(*arena.alloc(1u8), 1);
    let sum = arena.scope(|s| s.alloc_slice_copy(&[1, 2, 3]).iter().sum::<i32>());
    assert_eq!((sum, arena.stats().bytes_allocated), (6, 8));
    arena.reset();
    assert_eq!(arena.stats().bytes_allocated, 0);
}

#[test]
fn leases_guard_the_boundary() {
    let mut alloc = SmartAlloc::default();
    let lease: Lease = alloc.lease();
    let task = std::thread::spawn(move || *lease.frame().alloc(5));
    assert_eq!(task.join().unwrap(), 5);
    let ended: Result<FrameStats, AllocError> = alloc.try_end_frame();
    assert_eq!(ended.unwrap().threads, 1);
}

#[test]
fn twins_return_what_their_methods_do() {
    fn ok<T>(result: Result<T, AllocError>) -> T {
        result.unwrap()
    }
    fn set<T: Eq + Hash>(frame: Frame<'_>) -> FrameSet<'_, T> {
        frame.set()
    }
    let alloc = SmartAlloc::default();
    let f = alloc.frame();
    ok(f.try_alloc(1));
    ok(f.try_alloc_uninit::<u8>());
    ok(f.try_alloc_uninit_slice::<u8>(1));
    ok(f.try_alloc_layout(std::alloc::Layout::new::<u64>()));
    ok(f.try_alloc_batch([1, 2]));
    ok(f.try_alloc_str("x"));
    ok(f.try_alloc_slice_copy(&[1]));
    ok(f.try_alloc_slice_clone(&[1]));
    ok(f.try_alloc_slice_fill(1, 1));
    ok(f.try_alloc_slice_fill_with(1, |i| i));
    ok(f.try_alloc_slice_fill_iter([1]));
    ok(f.try_alloc_slice_copy_aligned(&[1], 64));
    ok(f.try_alloc_slice_aligned_with(1, 64, |i| i));
    ok(f.try_alloc_box(1));
    ok(f.try_alloc_box_with(|| 1));
    ok(f.try_alloc_box_slice_with(1, |i| i));
    ok(f.try_alloc_box_slice_from_iter([1]));
    ok(f.try_slice::<u8>(1));
    ok(f.try_vec_with_capacity::<u8>(1));
    ok(f.try_map_with_capacity::<u8, u8>(1));
    ok(f.try_collect([1]));
    ok(f.try_columns::<(u8,)>(1));
    ok(alloc.try_frame_alloc::<u8>());
    ok(alloc.try_frame_box(1));
    ok(alloc.try_frame_slice::<u8>(1));
    ok(alloc.try_frame_vec_with_capacity::<u8>(1));
    ok(alloc.try_frame_map_with_capacity::<u8, u8>(1));
    ok(alloc.try_frame_columns::<(u8, u16)>(1));
    ok(alloc.try_frame_collect([1]));
    ok(alloc.try_frame_alloc_str("x"));
    ok(alloc.try_frame_alloc_slice_copy(&[1]));
    ok(alloc.try_frame_alloc_slice_fill_with(1, |i| i));
    ok(alloc.try_frame_alloc_slice_fill_iter([1]));
    ok(alloc.try_frame_alloc_slice_clone(&[1]));
    ok(alloc.try_frame_alloc_slice_fill(1, 1));
    ok(alloc.try_frame_alloc_slice_copy_aligned(&[1], 64));
    ok(alloc.try_frame_alloc_slice_aligned_with(1, 64, |i| i));
    ok(alloc.try_frame_alloc_uninit_slice::<u8>(1));
    ok(alloc.try_frame_alloc_layout(std::alloc::Layout::new::<u64>()));
    ok(alloc.try_frame_alloc_batch([1, 2]));
    ok(alloc.try_frame_box_slice_with(1, |i| i));
    ok(alloc.try_frame_box_slice_from_iter([1]));
    ok(alloc.try_publish(1));
    ok(alloc.try_publish_str("x"));
    ok(alloc.try_publish_slice_copy(&[1]));
    ok(alloc.try_publish_slice_fill_with(1, |i| i));
    ok(alloc.try_publish_slice_fill_iter([1]));
    ok(alloc.try_publish_vec(f.vec::<u8>()));
    ok(alloc.try_pool_box(1));
    ok(alloc.try_heap_box(1));
    assert_eq!(*alloc.try_promote(f.alloc_box(1)).unwrap(), 1);
    let mut vec = f.vec::<u8>();
    ok(vec.try_reserve(1));
    ok(vec.try_extend([1, 2]));
    assert!(vec.try_push(3).is_ok());
    let mut string = f.string();
    ok(string.try_push_str("x"));
    ok(f.map::<u8, u8>().try_reserve(1));
    ok(set::<u8>(f).try_reserve(1));
    assert!(f.deque::<u8>().try_push_back(1).is_ok());
}
