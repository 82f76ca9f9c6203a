//! The tracing mode: what is live is known with where it came from, and an overrun ends the program with the line of its block.

#![cfg(feature = "trace")]

#[cfg(all(unix, not(any(asan, memcheck))))]
#[path = "support/dies.rs"]
mod dies;
mod support;

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as PoolVec;
use framealloc_core::*;

fn traced() -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_frame_chunk(4 << 10, 16 << 10).with_tracing())
}

/// Each use is a line of its own, which is the one that the list names.
#[test]
#[rustfmt::skip]
fn the_list_names_the_program_s_line_whatever_method_it_calls() {
    let alloc = traced();
    let pool = alloc.pool().clone();
    let census = pool.census().unwrap();
    macro_rules! at { ($size:literal, $name:literal => $use:expr) => {{
        let kept = $use;
        let live = census.live();
        let places: Vec<_> = live.iter().map(|of| (of.site.file(), of.site.line(), of.layout.size())).collect();
        assert_eq!(places, [(file!(), line!(), $size)], "{}", $name);
        drop(kept);
        assert!(census.live().is_empty(), "{}", $name);
    }}}
    at!(8, "alloc_box" => pool.alloc_box(1u64));
    at!(8, "try_alloc_box" => pool.try_alloc_box(1u64).unwrap());
    at!(8, "alloc_box_with" => pool.alloc_box_with(|| 1u64));
    at!(8, "try_alloc_box_with" => pool.try_alloc_box_with(|| 1u64).unwrap());
    at!(8, "heap_box" => pool.heap_box(1u64));
    at!(8, "try_heap_box" => pool.try_heap_box(1u64).unwrap());
    at!(8000, "alloc_box, large" => pool.alloc_box([1u64; 1000]));
    at!(8, "pool_box" => alloc.pool_box(1u64));
    at!(8, "try_pool_box" => alloc.try_pool_box(1u64).unwrap());
    at!(8, "SmartAlloc::heap_box" => alloc.heap_box(1u64));
    at!(8, "SmartAlloc::try_heap_box" => alloc.try_heap_box(1u64).unwrap());
    at!(8, "promote" => alloc.promote(alloc.frame().alloc_box(1u64)));
    at!(8, "try_promote" => alloc.try_promote(alloc.frame().alloc_box(1u64)).unwrap_or_else(|_| unreachable!()));
}

#[test]
fn objects_are_live_from_their_making_to_their_drop_wherever_that_is() {
    let alloc = traced();
    let census = alloc.pool().census().unwrap();
    let boxes: Vec<_> = (0..100u64).map(|n| alloc.pool_box([n; 3])).collect();
    let (first, second) = (alloc.pool_box(()), alloc.heap_box(()));
    assert_eq!(census.live().len(), 100, "what takes no memory is no object");
    std::thread::scope(|scope| scope.spawn(move || drop((boxes, first, second))).join().unwrap());
    assert_eq!(census.live().len(), 0);
    // Memory that was used before.
    let again = alloc.pool_box([1u64; 3]);
    assert_eq!(census.live()[0].address, std::ptr::from_ref(&*again).addr());
    assert!(format!("{census:?}").contains("live: 1"));
}

#[test]
fn leaks_are_known_when_the_allocator_is_gone() {
    let (other, census, first, second) = {
        let mut alloc = traced();
        let other = traced();
        let _elsewhere = other.pool_box(7u8);
        let census = alloc.pool().census().unwrap();
        let first = alloc.with_tag("ai", |a| a.with_tag("paths", |a| a.pool_box([0u64; 5])));
        alloc.end_frame();
        let second = other.with_tag("other", |_| alloc.pool_box(1u16));
        (0..9).for_each(|_| _ = alloc.end_frame());
        (other.pool().census().unwrap(), census, first, second)
    };
    assert!(other.live().is_empty());
    let mut live = census.live();
    live.sort_by_key(|of| of.frame);
    let told: Vec<_> = live.iter().map(|of| (of.layout.size(), of.frame, of.frames, of.tags.clone())).collect();
    assert_eq!(told, [(40, 1, 10, vec![Tag::new("ai"), Tag::new("paths")]), (2, 2, 9, vec![])]);
    assert!(live[0].age >= live[1].age);
    drop((first, second));
    assert!(census.live().is_empty());
}

#[test]
fn who_does_not_trace_has_no_list() {
    assert!(SmartAlloc::default().pool().census().is_none());
}

#[test]
fn collections_of_a_pool_are_listed_by_their_capacity() {
    let alloc = traced();
    let census = alloc.pool().census().unwrap();
    let mut list = PoolVec::with_capacity_in(17, alloc.pool().clone());
    list.extend(0..17u8);
    let (size, address) = (|| census.live().iter().map(|of| of.layout.size()).collect::<Vec<_>>(), list.as_ptr());
    assert_eq!(size(), [17]);
    list.reserve_exact(3); // where it is: the class has room
    assert_eq!((size(), list.as_ptr()), (vec![20], address));
    list.reserve_exact(5000);
    assert_eq!(size(), [5017]);
    list.shrink_to_fit();
    assert_eq!(size(), [17]);
    drop(list);
    assert_eq!(size(), []);
}

#[test]
fn a_panic_in_a_constructor_leaves_nothing_in_the_list() {
    let alloc = traced();
    let panic = support::panic_text(|| alloc.pool().alloc_box_with::<u64>(|| panic!("in the constructor")));
    assert_eq!(panic.as_deref(), Some("in the constructor"));
    assert!(alloc.pool().census().unwrap().live().is_empty());
}

/// All that frames do, with a guard behind each block.
#[test]
fn programs_do_the_same_when_they_are_traced() {
    let mut alloc = traced();
    for round in 0..20u64 {
        alloc.begin_frame();
        let results: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|thread| {
                    let alloc = &alloc;
                    scope.spawn(move || {
                        let frame = alloc.frame();
                        let mut list = frame.vec();
                        let mut text = frame.string();
                        let mut map = frame.map();
                        let mut queue = frame.deque();
                        for n in 0..200 {
                            list.push(n * round);
                            text.push_str("text");
                            map.insert(n, n + thread);
                            queue.push_front(*frame.alloc(n));
                            assert_eq!(*frame.alloc_box_with(|| n.to_string()), n.to_string());
                            let slice = frame.alloc_slice_aligned_with(n as usize % 40, 64, |at| at as u64);
                            assert!(slice.as_ptr().addr().is_multiple_of(64) && slice.iter().copied().eq(0..n % 40));
                        }
                        let large = frame.alloc_slice_fill(30_000, 7u8);
                        let short = frame.alloc_box_slice_from_iter((0..100).filter(|n| n % 3 == 0));
                        let (columns, more) = frame.columns::<(u64, u8)>(50);
                        assert_eq!(
                            (large.len(), short.len(), columns.len(), more.len(), text.len()),
                            (30_000, 34, 50, 50, 800)
                        );
                        list.truncate(10);
                        list.shrink_to_fit();
                        let frozen = list.into_boxed_slice();
                        frozen.iter().sum::<u64>() + map.values().sum::<u64>() + queue.iter().sum::<u64>()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let expected = |thread: u64| 45 * round + (0..200).map(|n| n + thread).sum::<u64>() + (0..200).sum::<u64>();
        assert_eq!(results, [0, 1, 2].map(expected));
        let handle = alloc.publish(format!("frame {round}"));
        assert_eq!(alloc.get(handle).unwrap(), &format!("frame {round}"));
        if round % 3 == 0 {
            drop(alloc.seal_frame());
        } else {
            assert!(alloc.end_frame().bytes_allocated > 0);
        }
    }
    alloc.trim();
    assert_eq!(alloc.stats().committed, 0);
}

/// What each block takes more, and that nothing is used again.
#[test]
fn blocks_of_a_traced_frame_have_guards_on_both_sides() {
    let alloc = traced();
    let frame = alloc.frame();
    frame.alloc(1u64);
    assert_eq!(frame.stats().bytes_allocated, 16 + 8 + 16);
    drop(frame.vec_with_capacity::<u8>(100));
    assert_eq!(frame.stats().bytes_allocated, 40 + 16 + 104 + 16);
    frame.alloc(());
    assert_eq!(frame.stats().bytes_allocated, 176);
    for align in [64, 4096, 1 << 20] {
        let layout = Layout::from_size_align(10, align).unwrap();
        assert!(frame.alloc_layout(layout).addr().get().is_multiple_of(align));
    }
    for (size, align) in [
        (isize::MAX as usize - 7, 8),
        (isize::MAX as usize - 31, 1),
        (1, 1 << (usize::BITS - 2)),
        (0, 1 << (usize::BITS - 1)),
    ] {
        let layout = Layout::from_size_align(size, align).unwrap();
        assert!(frame.try_alloc_layout(layout).is_err(), "{layout:?}");
    }
    // Scratch arenas are as ever.
    let scratch = alloc.scratch();
    scratch.alloc(1u64);
    assert_eq!(scratch.frame().stats().bytes_allocated, 8);
}

/// A hundred thousand of them, in the order of their making.
#[test]
fn blocks_that_are_freed_oldest_first_are_found_at_once() {
    let alloc = traced();
    let frame = alloc.frame();
    let start = std::time::Instant::now();
    let lists: Vec<_> = (0..100_000u32)
        .map(|n| {
            let mut list = frame.vec_with_capacity(1);
            list.push(n);
            list
        })
        .collect();
    assert!(lists.iter().zip(0..).all(|(list, n)| **list == [n]));
    drop(lists);
    // One that goes through the list for each takes half a minute.
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

/// A block that a governor makes in a request that is refused, which is not watched, is freed: those behind it are.
#[test]
fn what_is_freed_below_the_bound_leaves_no_hole() {
    use std::cell::Cell;
    use std::sync::{Arc, OnceLock};
    thread_local! {
        static KEPT: Cell<Option<FrameVec<'static, u8>>> = const { Cell::new(None) };
    }
    struct Keeps(Arc<OnceLock<&'static SmartAlloc>>);
    impl Governor for Keeps {
        fn request(&self, request: &Request) -> Verdict {
            if request.bytes < 1 << 20 {
                return Verdict::Allow;
            }
            KEPT.set(Some(self.0.get().unwrap().frame().vec_with_capacity(1000)));
            Verdict::Deny
        }
    }
    let cell = Arc::new(OnceLock::new());
    let config = AllocConfig::default().with_governor(Keeps(cell.clone())).with_tracing();
    let alloc = Box::into_raw(Box::new(SmartAlloc::new(config)));
    // SAFETY: it stays until the end of this test, at which nothing of it is left.
    let of: &'static SmartAlloc = unsafe { &*alloc };
    cell.set(of).unwrap_or_else(|_| unreachable!());
    of.frame().alloc(1u64);
    assert!(of.frame().try_alloc_uninit_slice::<u8>(10 << 20).is_err());
    drop(KEPT.take().unwrap());
    let before = of.frame().stats().bytes_allocated;
    of.frame().alloc(3u64);
    assert_eq!(of.frame().stats().bytes_allocated - before, 40, "watched");
    // SAFETY: as above.
    drop(unsafe { Box::from_raw(alloc) });
}

/// In a thread's last destructors there is no list of scopes any more.
#[test]
fn late_destructors_use_a_traced_allocator() {
    use std::cell::RefCell;
    struct Late(Option<PoolBox<u64>>, std::sync::Arc<SmartAlloc>);
    impl Drop for Late {
        fn drop(&mut self) {
            self.0.take();
            assert_eq!(*self.1.with_tag("late", |a| a.pool_box(8u64)), 8);
            let mut list = self.1.frame().vec();
            list.extend(0..100u64);
            list.truncate(7);
            list.shrink_to_fit();
            self.1.with_tag("late", |a| a.frame().alloc(7u64));
        }
    }
    thread_local! {
        static FIRST: RefCell<Option<Late>> = const { RefCell::new(None) };
        static SECOND: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    let alloc = std::sync::Arc::new(traced());
    for order in 0..4 {
        let alloc = alloc.clone();
        let thread = std::thread::spawn(move || {
            let late = |object| Late(object, alloc.clone());
            if order & 1 == 0 {
                FIRST.set(Some(late(None)));
            }
            let object = alloc.with_tag("first", |a| a.pool_box(1u64));
            if order & 2 == 0 {
                SECOND.set(Some(late(Some(object))));
            }
            FIRST.with_borrow_mut(|first| _ = first.get_or_insert_with(|| late(None)));
        });
        thread.join().unwrap();
    }
    assert!(alloc.pool().census().unwrap().live().is_empty());
}

/// Grants bound what is handed out, guards included.
#[test]
fn grants_hold_in_a_traced_frame() {
    struct Strict;
    impl Governor for Strict {
        fn bounds_threads(&self) -> bool {
            true
        }
        fn extend_thread(&self, granted: usize, needed: usize) -> Verdict {
            Verdict::AllowUpTo((240 - granted).min(needed))
        }
    }
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(Strict).with_tracing());
    for _ in 0..3 {
        let placed = (0..100u64).take_while(|&n| alloc.frame().try_alloc(n).is_ok()).count();
        assert_eq!(placed, 6, "of 40 bytes each");
        alloc.end_frame();
    }
}

#[cfg(all(unix, not(any(asan, memcheck))))]
mod overruns {
    use super::*;
    use crate::dies::dies;

    /// Writes a byte behind a block.
    fn overrun<T: ?Sized>(block: &mut T, by: usize) -> NonNull<u8> {
        let end = std::ptr::from_mut(block).cast::<u8>().wrapping_add(size_of_val(block) + by);
        // SAFETY: none: what lies there is not the block's.
        unsafe { end.write(0) };
        NonNull::from(block).cast()
    }

    /// Writes a byte before a block.
    fn underrun<T: ?Sized>(block: &mut T, by: usize) -> NonNull<u8> {
        let before = std::ptr::from_mut(block).cast::<u8>().wrapping_sub(by);
        // SAFETY: none: what lies there is not the block's.
        unsafe { before.write(0) };
        NonNull::from(block).cast()
    }

    macro_rules! overruns {
        ($($name:ident: $event:literal, $fault:literal, |$alloc:ident, $say:ident| $body:block)*) => {$(
            #[test]
            fn $name() {
                const TEST: &str = concat!("overruns::", stringify!($name));
                dies(TEST, $event, concat!($fault, " is 0x00 instead of 0xc5; it came from crates/framealloc-core/tests/trace.rs:"), |$say| {
                    #[allow(unused_mut, reason = "not every program ends its frame")]
                    let mut $alloc = traced();
                    $body
                    // Otherwise the drop would look as well.
                    std::mem::forget($alloc);
                });
            }
        )*};
    }

    overruns! {
        of_a_value: "end of the frame of", "overrun: byte 0 behind its end", |alloc, say| {
            alloc.frame().alloc(1u64);
            say(overrun(alloc.frame().alloc(2u64), 0));
            alloc.frame().alloc(3u64);
            alloc.end_frame();
        }
        before_the_first_of_a_chunk: "end of the frame of", "underrun: byte 1 before its start", |alloc, say| {
            say(underrun(alloc.frame().alloc(2u64), 1));
            alloc.end_frame();
        }
        before_another: "end of the frame of", "underrun: byte 16 before its start", |alloc, say| {
            alloc.frame().alloc(1u64);
            say(underrun(alloc.frame().alloc_slice_aligned_with(3, 256, |at| at), 16));
            alloc.end_frame();
        }
        of_a_slice: "end of the frame of", "overrun: byte 15 behind its end", |alloc, say| {
            say(overrun(alloc.frame().alloc_slice_fill(3, 0u8), 15));
            alloc.end_frame();
        }
        of_a_block_of_its_own: "end of the frame of", "overrun: byte 3 behind its end", |alloc, say| {
            say(overrun(alloc.frame().alloc_slice_fill(100_001, 0u8), 3));
            alloc.end_frame();
        }
        of_a_vector: "free of", "overrun: byte 1 behind its end", |alloc, say| {
            let mut list = alloc.frame().vec_with_capacity::<u32>(4);
            list.extend([1, 2, 3, 4]);
            say(overrun(&mut list[..], 1));
            list.push(5);
        }
        of_what_a_vector_kept: "end of the frame of", "overrun: byte 0 behind its end", |alloc, say| {
            let mut list = alloc.frame().vec_with_capacity::<u64>(100);
            list.push(1);
            say(overrun(&mut list.into_boxed_slice()[..], 0));
            alloc.end_frame();
        }
        of_a_sealed_frame: "end of the frame of", "overrun: byte 0 behind its end", |alloc, say| {
            say(overrun(alloc.frame().alloc(2u64), 0));
            drop(alloc.seal_frame());
        }
        of_another_thread_s: "end of the frame of", "overrun: byte 0 behind its end", |alloc, say| {
            std::thread::scope(|scope| scope.spawn(|| say(overrun(alloc.frame().alloc(2u64), 0))).join().unwrap());
            alloc.end_frame();
        }
        of_an_object: "free of", "overrun: byte 0 behind its end", |alloc, say| {
            let mut object = alloc.pool_box([0u8; 20]);
            say(overrun(&mut *object, 0));
            drop(object);
        }
        of_a_large_object: "free of", "overrun: byte 2 behind its end", |alloc, say| {
            let mut object = alloc.pool_box([0u8; 5000]);
            say(overrun(&mut *object, 2));
            drop(object);
        }
        of_a_heap_box_as_small_as_an_object: "free of", "overrun: byte 0 behind its end", |alloc, say| {
            let mut object = alloc.heap_box([0u8; 20]);
            say(overrun(&mut *object, 0));
            drop(object);
        }
    }

    #[test]
    fn of_a_frame_that_never_ended() {
        dies("overruns::of_a_frame_that_never_ended", "end of the frame of", "overrun: byte 0 behind its end", |say| {
            say(overrun(traced().frame().alloc(2u64), 0));
        });
    }

    #[test]
    fn the_line_names_the_tags() {
        dies("overruns::the_line_names_the_tags", "end of the frame of", ", under physics/contacts", |say| {
            let mut alloc = traced();
            alloc.with_tag("physics", |a| a.with_tag("contacts", |a| say(overrun(a.frame().alloc([0u8; 7]), 0))));
            alloc.end_frame();
        });
    }

    #[test]
    fn the_line_of_an_object_names_the_tags() {
        dies("overruns::the_line_of_an_object_names_the_tags", "free of", ", under ui", |say| {
            let alloc = traced();
            let mut object = alloc.with_tag("ui", |a| a.pool_box([0u8; 7]));
            say(overrun(&mut *object, 0));
        });
    }

    /// The list is of live ones: who frees twice is told so.
    #[test]
    fn what_is_freed_twice_is_known_to_be_free() {
        dies(
            "overruns::what_is_freed_twice_is_known_to_be_free",
            "free of",
            "double free: no object is live there",
            |say| {
                let alloc = traced();
                let layout = Layout::new::<[u64; 8]>();
                let memory = alloc.pool().allocate(layout).unwrap().cast();
                // SAFETY: none for the second.
                unsafe {
                    alloc.pool().deallocate(memory, layout);
                    say(memory);
                    alloc.pool().deallocate(memory, layout);
                }
            },
        );
    }
}
