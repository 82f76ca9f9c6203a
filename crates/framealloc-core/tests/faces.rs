//! Boxes and collections stand in for the standard library's: compared, hashed, printed and borrowed as what they hold.

use std::borrow::{Borrow, BorrowMut};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt::{self, Debug, Write};
use std::hash::{BuildHasher, Hash, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use allocator_api2::vec::Vec as AnyVec;
use framealloc_core::*;

fn same_hash(a: &(impl Hash + ?Sized), b: &(impl Hash + ?Sized)) -> bool {
    let state = RandomState::new();
    state.hash_one(a) == state.hash_one(b)
}

/// All that a box of a number does as the number does it.
fn stands_for<B>(mut low: B, high: B, value: u64)
where
    B: AsRef<u64> + AsMut<u64> + Borrow<u64> + BorrowMut<u64> + fmt::Display + Debug + Ord + Hash,
{
    assert_eq!((*low.as_ref(), *Borrow::<u64>::borrow(&low)), (value, value));
    assert_eq!((low.to_string(), format!("{low:?}")), (value.to_string(), value.to_string()));
    assert!(low != high && low < high && low.cmp(&low) == Ordering::Equal);
    assert_eq!(high.partial_cmp(&low), Some(Ordering::Greater));
    assert!(same_hash(&low, &value));
    *low.as_mut() += 1;
    *BorrowMut::<u64>::borrow_mut(&mut low) += 1;
    assert_eq!(*low.as_ref(), value + 2);
}

#[test]
fn boxes_stand_for_their_values() {
    let alloc = SmartAlloc::default();
    stands_for(alloc.frame_box(7), alloc.frame_box(8), 7);
    stands_for(alloc.pool_box(7), alloc.pool_box(8), 7);
    stands_for(alloc.heap_box(7), alloc.heap_box(8), 7);
    let boxed = alloc.pool_box(1u8);
    assert_eq!(format!("{boxed:p}"), format!("{:p}", &raw const *boxed));
}

#[test]
fn pool_boxes_are_errors_iterators_futures_and_pins() {
    let alloc = SmartAlloc::default();
    let error: PoolBox<dyn std::error::Error> = unsize!(alloc.pool_box("x".parse::<u8>().unwrap_err()));
    assert!(std::error::Error::source(&error).is_none() && error.to_string().contains("invalid digit"));
    let mut count = alloc.pool_box(0..3);
    assert_eq!((count.size_hint(), count.next(), count.sum::<i32>()), ((3, Some(3)), Some(0), 3));
    let mut ready = alloc.heap_box(std::future::ready(5));
    assert_eq!(Pin::new(&mut ready).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(5));
    assert_eq!(*Pin::from(alloc.pool_box(9)), 9);
}

#[test]
fn boxed_slices_are_walked_by_reference_and_by_value() {
    let alloc = SmartAlloc::default();
    let mut names: FrameBox<'_, [String]> =
        alloc.frame_box([String::from("a"), String::from("b"), String::from("c")]).into();
    for name in &mut names {
        name.push('!');
    }
    assert_eq!((&names).into_iter().map(String::len).sum::<usize>(), 6);
    let mut left = names.into_iter();
    assert_eq!((left.size_hint(), left.next().as_deref()), ((3, Some(3)), Some("a!")));
    drop(left);
    let place = alloc.frame_box(std::mem::MaybeUninit::new(4u32));
    // SAFETY: made of a value.
    assert_eq!(*unsafe { FrameBox::assume_init(place) }, 4);
}

#[test]
fn vectors_compare_clone_print_and_extend() {
    let alloc = SmartAlloc::default();
    let mut list = alloc.frame_collect([1, 2, 3]);
    list.extend(&[4, 5]);
    for value in &mut list {
        *value *= 2;
    }
    let copy = list.clone();
    assert!(list == copy && list == *[2, 4, 6, 8, 10].as_slice() && list != alloc.frame_vec::<i32>());
    assert_eq!(format!("{copy:?}"), "[2, 4, 6, 8, 10]");
    assert_eq!(*FrameVec::try_from_array_in([7, 8], alloc.frame()).unwrap(), [7, 8]);
    assert_eq!(copy.into_inner().len(), 5);
}

#[test]
fn deques_are_read_at_both_ends() {
    let alloc = SmartAlloc::default();
    let mut open = alloc.frame_deque();
    assert!(open.front().is_none() && open.get_mut(0).is_none());
    open.try_reserve(3).unwrap();
    open.try_extend([2, 3]).unwrap();
    open.try_push_front(1).unwrap();
    open.try_push_back(4).unwrap();
    *open.get_mut(3).unwrap() += 1;
    assert_eq!((open.front(), open.back(), open.get(4)), (Some(&1), Some(&5), None));
    assert!(open.capacity() >= 4);
    assert_eq!(format!("{open:?}"), "[1, 2, 3, 5]");
}

#[test]
fn strings_stay_text_and_keep_whole_characters() {
    let alloc = SmartAlloc::default();
    let mut text = FrameString::with_capacity_in(8, alloc.frame());
    assert!(text.capacity() >= 8 && text.is_empty() && text.pop().is_none());
    text.push_str("gr");
    text.push('ü');
    text.try_push('n').unwrap();
    text.try_reserve(100).unwrap();
    text.try_push_str(" 绿").unwrap();
    write!(text, " {}", 7).unwrap();
    text.extend(["!", "?"]);
    assert_eq!(text, "grün 绿 7!?");
    assert!(same_hash(&text, "grün 绿 7!?"));
    assert_eq!((text.to_string(), format!("{text:?}")), ("grün 绿 7!?".to_owned(), "\"grün 绿 7!?\"".to_owned()));
    assert_eq!((text.pop(), text.pop()), (Some('?'), Some('!')));
    text.make_ascii_uppercase();
    text.truncate(5);
    text.truncate(500);
    assert_eq!((text.as_str(), text.as_ref()), ("GRüN", "GRüN"));
    let cut = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| text.truncate(3)));
    assert!(cut.is_err() && text == "GRüN", "a character is not cut");
    let known = HashMap::from([("GRüN", 1)]);
    assert_eq!(known[Borrow::<str>::borrow(&text)], 1);
    let mut copy = FrameString::try_with_capacity_in(4, alloc.frame()).unwrap();
    copy.push_str(&text);
    assert_eq!(&*copy.into_boxed_str(), "GRüN");
    assert_eq!(text.into_str(), "GRüN");
    let mut empty = alloc.frame_string();
    empty.push('x');
    empty.clear();
    assert_eq!(empty, "");
    assert_eq!(FrameString::format(alloc.frame(), format_args!("{}-{}", 1, "two")), "1-two");
    let failing = fmt::from_fn(|_| Err(fmt::Error));
    assert!(
        std::panic::catch_unwind(|| FrameString::format(Arena::new().frame(), format_args!("{failing}")).len())
            .is_err()
    );
    assert_eq!(FrameString::try_format(alloc.frame(), format_args!("{:>4}", 5)).unwrap(), "   5");
}

#[test]
fn what_users_hold_says_what_it_is() {
    let mut alloc = SmartAlloc::default();
    let handle = alloc.publish(1u8);
    assert!(same_hash(&handle, &handle) && format!("{handle:?}").starts_with("FrameHandle<u8>(frame 1 of"));
    let mut arena = Arena::new();
    arena.alloc(1u64);
    let printed = [
        format!("{alloc:?}"),
        format!("{:?}", alloc.frame()),
        format!("{:?}", alloc.scratch()),
        format!("{:?}", alloc.lease()),
        format!("{:?}", alloc.pool()),
        format!("{arena:?}"),
        arena.scope(|scope| format!("{scope:?}")),
        format!("{:?}", alloc.seal_frame()),
        format!("{:?}", AllocConfig::default()),
    ];
    let names = ["SmartAlloc", "Frame", "Scratch", "Lease", "Pool", "Arena", "Scope", "SealedFrame", "AllocConfig"];
    for (text, name) in printed.iter().zip(names) {
        assert!(text.starts_with(name), "{name}: {text}");
    }
}

#[test]
fn fallible_allocators_grow_shrink_and_refuse() {
    fn used<A: allocator_api2::alloc::Allocator>(allocator: A) {
        let mut list = AnyVec::new_in(allocator);
        for value in 0..3000u64 {
            list.try_reserve(1).unwrap();
            list.push(value);
        }
        list.truncate(10);
        list.shrink_to_fit();
        assert!(list.iter().copied().eq(0..10));
        assert!(list.try_reserve(isize::MAX as usize / 8).is_err());
        list.resize(20, 7);
        assert_eq!((list[9], list[19]), (9, 7));
    }
    let alloc = SmartAlloc::default();
    used(alloc.frame().fallible());
    used(alloc.pool().fallible());
    used(Arena::new().fallible());
}

#[test]
fn scratches_and_arenas_nest_scopes_and_start_over() {
    let alloc = SmartAlloc::default();
    let mut scratch = alloc.scratch();
    scratch.alloc_slice_fill(100, 1u8);
    scratch.scope(|outer| {
        let kept = outer.alloc(1);
        outer.scope(|inner| *inner.alloc(2) += 1);
        assert_eq!(*kept, 1);
    });
    assert_eq!(scratch.frame().stats().bytes_allocated, 104);
    scratch.reset();
    assert_eq!(scratch.frame().stats().bytes_allocated, 0);
    let mut arena: Arena = Arena::try_with(Box::new(FixedBackend::new(1 << 16)), 1024, 4096).unwrap();
    (0..300).for_each(|i| *arena.alloc([i; 5]) = [0; 5]);
    arena.alloc_slice_fill(9000, 1u8);
    let parts: Vec<_> = arena.chunks().collect();
    assert!(parts.len() > 2 && parts.iter().map(|&(_, bytes)| bytes).sum::<usize>() >= 300 * 20 + 9000);
}

#[test]
fn layouts_batches_and_maps_of_a_known_size() {
    let alloc = SmartAlloc::default();
    let layout = std::alloc::Layout::from_size_align(100, 512).unwrap();
    assert_eq!(alloc.frame_alloc_layout(layout).addr().get() % 512, 0);
    assert_eq!(alloc.try_frame_alloc_layout(layout).unwrap().addr().get() % 512, 0);
    let [a, b] = alloc.frame_alloc_batch([1, 2]);
    std::mem::swap(a, b);
    assert_eq!((*a, *b), (2, 1));
    let mut map = alloc.frame_map_with_capacity(10);
    map.insert("hp", 100);
    assert!(map.capacity() >= 10 && map["hp"] == 100);
    assert!(alloc.try_frame_map_with_capacity::<u8, u8>(4).unwrap().is_empty());
}
