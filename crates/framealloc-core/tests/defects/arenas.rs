//! Arenas: lifetimes, alignment, checkpoints, sizes of nothing, growth, half-made values, threads, handles.

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Barrier};
use std::thread;

use allocator_api2::alloc::Allocator;
use framealloc_core::*;

use crate::support::{Ledger, Scripted, panic_text};
use crate::{BORROWED, ESCAPES, LIFETIME, MOVED, NOT_SEND, does_not_compile, in_time, small};

// ---- use after the end -----------------------------------------------------------------------------------------------

#[test]
fn defect_reset_while_something_borrowed_is_alive() {
    does_not_compile(&[
        ("arena_reference_after_reset", BORROWED),
        ("arena_vec_after_reset", BORROWED),
        ("scratch_reference_after_reset", BORROWED),
        ("reference_after_end", BORROWED),
        ("box_after_end", BORROWED),
    ]);
}

#[test]
fn defect_rewind_while_something_borrowed_is_alive() {
    does_not_compile(&[
        ("arena_scope_over_live_vec", BORROWED),
        ("scratch_scope_over_live_deque", BORROWED),
        ("arena_used_in_its_scope", BORROWED),
        ("outer_scope_used_in_nested", BORROWED),
    ]);
}

#[test]
fn defect_speculative_closure_returning_a_box_made_inside() {
    does_not_compile(&[
        ("scope_value_returned", LIFETIME),
        ("scope_vec_returned", LIFETIME),
        ("nested_scope_value_escapes", ESCAPES),
    ]);
}

/// A closure that fails gives its slot back, and nothing of what it allocated meanwhile and let out.
#[test]
fn defect_failed_closure_rewinds_past_what_it_let_out() {
    let (ledger, alloc) = (Ledger::default(), SmartAlloc::new(small()));
    let mut kept = Vec::new();
    for i in 0..500u64 {
        let failed = alloc.frame().try_alloc_with(|| {
            kept.push((i, alloc.frame().alloc_box(ledger.enter(i)), alloc.frame().alloc([i; 3])));
            Err::<[u64; 9], u64>(i)
        });
        assert!(matches!(failed, Err(InitError::Init(at)) if at == i));
        alloc.frame().alloc([u64::MAX; 12]);
    }
    assert!(kept.iter().all(|(i, entered, words)| entered.value == *i && **words == [*i; 3]));
    drop(kept);
    ledger.assert_settled();
}

#[test]
fn defect_two_instances_sharing_one_thread_local_arena() {
    let (mut a, mut b) = (SmartAlloc::new(small()), SmartAlloc::new(small()));
    for round in 0..100u64 {
        let of_a: Vec<_> = (0..50)
            .map(|i| {
                b.frame().alloc([!i; 7]);
                a.frame().alloc([i ^ round; 7])
            })
            .collect();
        // Ending B's frame does not touch A's data, however much B writes then.
        b.end_frame();
        b.frame().alloc_slice_fill(3000, u64::MAX);
        assert!(of_a.iter().zip(0..).all(|(words, i)| **words == [i ^ round; 7]));
        assert_eq!(a.end_frame().bytes_allocated, 50 * 56);
    }
}

// ---- alignment -------------------------------------------------------------------------------------------------------

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u8; 64]);

#[derive(Clone, Copy)]
#[repr(align(4096))]
struct Page(#[allow(dead_code, reason = "to have a size")] [u8; 4096]);

fn aligned<T>(value: &T) -> bool {
    std::ptr::from_ref(value).addr().is_multiple_of(align_of::<T>())
}

/// A backend whose blocks are aligned as asked and no more: an offset that is aligned is not an address that is.
#[test]
fn defect_aligning_the_offset_instead_of_the_address() {
    struct Odd(SystemBackend);
    // SAFETY: memory of `SystemBackend`, with room before it, which stays the caller's until it is given back.
    unsafe impl AllocatorBackend for Odd {
        fn allocate(&mut self, layout: Layout) -> AllocationResult {
            let AllocationResult::Ok(memory) = self.0.allocate(longer(layout)) else { return AllocationResult::Failed };
            // SAFETY: inside of the longer block.
            let inside = unsafe { memory.cast::<u8>().add(layout.align()) };
            AllocationResult::Ok(NonNull::slice_from_raw_parts(inside, layout.size()))
        }
        unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
            // SAFETY: the start of the block that was allocated with this layout.
            unsafe { self.0.deallocate(ptr.sub(layout.align()), longer(layout)) }
        }
    }
    /// Twice as aligned, so that the address behind the first `align` bytes is aligned to no more than that.
    fn longer(layout: Layout) -> Layout {
        Layout::from_size_align(layout.size() + layout.align(), 2 * layout.align()).unwrap()
    }
    let alloc = SmartAlloc::new(
        AllocConfig::default().with_frame_chunk(16 << 10, 64 << 10).with_backend(Box::new(Odd(SystemBackend::new()))),
    );
    let frame = alloc.frame();
    for i in 0..40 {
        frame.alloc(i as u8);
        assert!(aligned(frame.alloc(Line([i as u8; 64]))) && aligned(frame.alloc(Page([i as u8; 4096]))));
        for shift in 0..14 {
            let layout = Layout::from_size_align(1 + i, 1 << shift).unwrap();
            assert!(frame.try_alloc_layout(layout).unwrap().addr().get().is_multiple_of(layout.align()));
        }
    }
}

#[test]
fn defect_pools_that_ignore_alignment() {
    let alloc = SmartAlloc::default();
    let (mut lines, mut pages) = (Vec::new(), Vec::new());
    for i in 0..200u8 {
        drop((alloc.pool_box(i), alloc.pool_box([i; 24])));
        lines.push(alloc.pool_box(Line([i; 64])));
        pages.push((alloc.pool_box(Page([i; 4096])), alloc.heap_box(Page([i; 4096])), alloc.heap_box(Line([i; 64]))));
    }
    assert!(lines.iter().all(|line| aligned(&**line) && line.0[63] == line.0[0]));
    assert!(pages.iter().all(|(a, b, c)| aligned(&**a) && aligned(&**b) && aligned(&**c)));
    // Of a size below the alignment, through the allocator's trait.
    for shift in 0..16 {
        for size in [1, 8, 24, 100] {
            let layout = Layout::from_size_align(size, 1 << shift).unwrap();
            let block = alloc.pool().allocate(layout).unwrap().cast::<u8>();
            assert!(block.addr().get().is_multiple_of(layout.align()), "{layout:?}");
            // SAFETY: just allocated with this layout.
            unsafe { alloc.pool().deallocate(block, layout) };
        }
    }
}

#[test]
fn defect_over_aligned_types() {
    fn all<const M: usize>(mut arena: Arena<M>) {
        for round in 0..3 {
            for i in 0..30u8 {
                arena.alloc([i; 3]);
                assert!(aligned(arena.alloc(Line([i; 64]))) && aligned(arena.alloc(Page([round; 4096]))));
                assert!(arena.alloc_slice_copy(&[Page([i; 4096]); 2]).iter().all(aligned));
                assert!(aligned(&*arena.alloc_box(Page([i; 4096]))));
            }
            arena.scope(|s| assert!(aligned(s.alloc(Page([round; 4096]))) && aligned(s.alloc(Line([round; 64])))));
            arena.reset();
        }
    }
    all(Arena::new());
    all(Arena::<1>::with_min_align());
    all(Arena::<64>::with_min_align());
    let alloc = SmartAlloc::new(small());
    let mut list = alloc.frame_vec();
    list.extend((0..100).map(|i| Line([i; 64])));
    assert!(list.iter().all(aligned));
    let handle = alloc.publish(Page([7; 4096]));
    assert!(aligned(alloc.get(handle).unwrap()));
}

// ---- scope x realloc x minimum alignment ----------------------------------------------------------------------------

#[test]
fn defect_checkpoint_restored_past_a_live_tip() {
    let mut arena = Arena::with_chunk_sizes(1024, 2048);
    for bytes in [0usize, 1, 8, 100, 900, 1000, 3000] {
        arena.scope(|outer| {
            let before = outer.alloc_slice_fill(bytes, 1u8);
            for inner_bytes in [0usize, 5, 700, 5000] {
                outer.scope(|inner| inner.alloc_slice_fill(inner_bytes, 2u8).len());
                let after = outer.alloc_slice_fill(40, 3u8);
                assert!(before.iter().all(|&byte| byte == 1) && after.iter().all(|&byte| byte == 3));
                outer.scope(|inner| inner.scope(|innermost| innermost.alloc_slice_fill(inner_bytes, 4u8).len()));
                assert!(before.iter().all(|&byte| byte == 1) && after.iter().all(|&byte| byte == 3));
            }
        });
        arena.reset();
    }
}

#[test]
fn defect_growing_a_block_of_an_outer_scope() {
    does_not_compile(&[
        ("outer_vec_grows_in_nested_scope", BORROWED),
        ("frame_of_a_scope_over_a_nested_one", BORROWED),
    ]);
}

#[test]
fn defect_shrinking_a_block_of_an_outer_scope() {
    does_not_compile(&[("outer_vec_shrinks_in_nested_scope", BORROWED)]);
}

#[test]
fn defect_freeing_a_block_of_an_outer_scope() {
    does_not_compile(&[("outer_vec_freed_in_nested_scope", BORROWED)]);
    // What holds no arena may be dropped there, and its memory stays as it is.
    let (mut arena, ledger) = (Arena::new(), Ledger::default());
    arena.scope(|outer| {
        let (a, b) = (outer.alloc_box(ledger.enter(1)), outer.alloc_slice_fill(10, 7u64));
        outer.scope(|inner| {
            let c = inner.alloc_slice_fill(10, 8u64);
            drop(a);
            let d = inner.alloc_slice_fill(10, 9u64);
            assert!(c.iter().all(|&x| x == 8) && d.iter().all(|&x| x == 9));
        });
        assert!(b.iter().all(|&x| x == 7));
    });
    ledger.assert_settled();
}

/// Grown, shrunk and freed inside a scope by odd numbers of bytes: the cursor stays a multiple of the minimum alignment.
fn realloc_in_scopes<const M: usize>() {
    let mut arena = Arena::<M>::with_min_align();
    for bytes in 1..130usize {
        arena.scope(|scope| {
            let outer = scope.alloc_slice_fill(bytes, 0xaau8);
            scope.scope(|inner| {
                let (a, b) = (inner.alloc_slice_fill(bytes, 1u8), inner.alloc(5u8));
                assert!(a.as_ptr().addr().is_multiple_of(M) && std::ptr::from_ref(b).addr().is_multiple_of(M));
            });
            assert!(outer.iter().all(|&byte| byte == 0xaa));
        });
        // Through the allocator's trait, which hands blocks from the last place on.
        let arena = &arena;
        let layout = |size| Layout::from_size_align(size, 1).unwrap();
        let block = arena.allocate(layout(bytes)).unwrap().cast::<u8>();
        // SAFETY: each block is the arena's, with the layout it has at the time.
        unsafe {
            block.write_bytes(3, bytes);
            let block = arena.grow(block, layout(bytes), layout(bytes + 3)).unwrap().cast::<u8>();
            assert!(arena.alloc_slice_fill(5, 9u8).as_ptr().addr().is_multiple_of(M));
            let block = arena.grow(block, layout(bytes + 3), layout(2 * bytes + 3)).unwrap().cast::<u8>();
            let block = arena.shrink(block, layout(2 * bytes + 3), layout(bytes)).unwrap().cast::<u8>();
            let next = arena.alloc_slice_fill(bytes, 7u8);
            assert!(next.as_ptr().addr().is_multiple_of(M));
            assert!((0..bytes).all(|at| block.add(at).read() == 3), "{bytes} bytes at {M}");
            arena.deallocate(block, layout(bytes));
            assert!(next.iter().all(|&byte| byte == 7));
            assert!(std::ptr::from_ref(arena.alloc(1u64)).addr().is_multiple_of(M.max(8)));
        }
    }
}

#[test]
fn defect_realloc_inside_a_scope_breaking_the_minimum_alignment() {
    realloc_in_scopes::<1>();
    realloc_in_scopes::<8>();
    realloc_in_scopes::<16>();
    realloc_in_scopes::<64>();
    // In a scope, by a collection that grows in place and not in place, between blocks of odd sizes.
    let mut arena = Arena::with_chunk_sizes(1024, 2048);
    for bytes in 1..100usize {
        arena.scope(|scope| {
            let mut text = scope.vec::<u8>();
            (0..bytes).for_each(|i| text.push(i as u8));
            let word = scope.alloc(u64::MAX);
            assert!(std::ptr::from_ref(word).addr().is_multiple_of(8));
            text.shrink_to_fit();
            (0..bytes).for_each(|i| text.push(i as u8));
            assert!(std::ptr::from_ref(scope.alloc(1u64)).addr().is_multiple_of(8));
            assert!(*word == u64::MAX && text.iter().enumerate().all(|(at, &byte)| byte == (at % bytes) as u8));
        });
        assert!(std::ptr::from_ref(arena.alloc(1u64)).addr().is_multiple_of(8));
    }
}

// ---- nothing, and too much -------------------------------------------------------------------------------------------

#[test]
fn defect_zero_sized_request_sent_to_the_system_allocator() {
    // The scripted backend fails on a request for nothing.
    let backend = Scripted::new();
    let mut alloc = SmartAlloc::new(small().with_backend(backend.boxed()));
    let frame = alloc.frame();
    frame.alloc(());
    assert!(frame.alloc_slice_fill_with(0, |i| i).is_empty() && frame.alloc_str("").is_empty());
    assert_eq!(frame.alloc_slice_fill(1000, [0u64; 0]).len(), 1000);
    let mut units = frame.vec();
    (0..1000).for_each(|_| units.push(()));
    assert_eq!((units.len(), *alloc.pool_box(()), *alloc.heap_box([0u64; 0])), (1000, (), []));
    let empty: FrameHandle<[u64]> = alloc.publish_slice_copy(&[]);
    assert_eq!(alloc.get(empty), Ok(&[][..]));
    drop(alloc.frame_box(()));
    let layout = Layout::from_size_align(0, 64).unwrap();
    assert!(alloc.frame().try_alloc_layout(layout).unwrap().addr().get().is_multiple_of(64));
    assert_eq!(backend.calls(), 0, "nothing was taken for nothing");
    drop(units);
    alloc.end_frame();
    assert_eq!(backend.calls(), 0);
}

/// Every empty arena stands on the same address, which nobody may write to. (That nobody does is seen by the thread sanitizer.)
#[test]
fn defect_data_race_on_a_shared_static_empty_chunk() {
    let start = Barrier::new(4);
    thread::scope(|s| {
        for mark in 0..4u64 {
            let start = &start;
            s.spawn(move || {
                start.wait();
                for round in 0..500 {
                    let mut arena = Arena::new();
                    arena.alloc(());
                    arena.alloc([0u64; 0]);
                    assert!(arena.alloc_slice_fill(0, mark).is_empty());
                    arena.scope(|s| *s.alloc(()));
                    arena.reset();
                    assert_eq!(arena.committed(), 0);
                    if round % 50 == mark {
                        assert_eq!(*arena.alloc(mark), mark);
                    }
                }
            });
        }
    });
}

#[test]
fn defect_failed_try_with_that_doubles_memory_each_time() {
    let mut arena = Arena::with_chunk_sizes(1024, 1 << 20);
    arena.alloc(1u8);
    let (before, committed) = (arena.stats().bytes_allocated, arena.committed());
    for i in 0..10_000u32 {
        assert!(arena.try_alloc_with(|| Err::<[u8; 500], _>(i)).is_err());
    }
    assert_eq!((arena.stats().bytes_allocated, arena.committed()), (before, committed));
    // Also where each needs a chunk of its own.
    for i in 0..100u32 {
        assert!(arena.try_alloc_with(|| Err::<[u8; 5000], _>(i)).is_err());
    }
    assert!(arena.committed() <= committed + 3 * 8192, "{}", arena.committed());
    arena.reset();
}

#[test]
fn defect_one_huge_request_inflating_the_next_chunk() {
    let arena = Arena::with_chunk_sizes(1024, 4096);
    arena.alloc([0u8; 900]);
    arena.alloc_slice_fill(10 << 20, 1u8);
    let before = arena.committed();
    arena.alloc([0u8; 900]);
    assert_eq!(arena.committed() - before, 2048);
}

#[test]
fn defect_reset_keeping_a_tiny_chunk_and_freeing_the_big_one() {
    let backend = Scripted::new();
    let mut arena = Arena::with_backend(backend.boxed());
    let frame = |arena: &mut Arena| {
        (0..100).for_each(|_| assert_eq!(arena.alloc([1u8; 4096])[9], 1));
        arena.reset();
    };
    (0..3).for_each(|_| frame(&mut arena));
    // From here on the large ones serve: nothing is taken, and nothing given back but what is too small.
    let (calls, committed) = (backend.calls(), arena.committed());
    (0..20).for_each(|_| frame(&mut arena));
    assert_eq!((backend.calls(), arena.committed()), (calls, committed));
    (0..200).for_each(|_| frame(&mut arena));
    assert_eq!(backend.calls(), calls);
    assert!(arena.committed() >= 400 << 10 && arena.committed() <= committed);
}

/// N threads that need a chunk at the same time take one each, and the next frame none.
#[test]
fn defect_growth_racing_so_that_n_threads_make_n_chunks() {
    const THREADS: usize = 4;
    let backend = Scripted::new();
    let mut alloc = SmartAlloc::new(small().with_backend(backend.boxed()));
    for round in 0..20 {
        let start = Barrier::new(THREADS);
        thread::scope(|s| {
            let threads = [(); THREADS].map(|()| {
                s.spawn(|| {
                    start.wait();
                    (0..8).for_each(|_| assert_eq!(alloc.frame().alloc([1u8; 100])[9], 1));
                    start.wait();
                })
            });
            // The scope itself does not wait for their last destructors, after which their arenas are others'.
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        let stats = alloc.end_frame();
        assert_eq!((stats.threads, stats.chunks), (THREADS, THREADS));
        assert_eq!(backend.calls(), THREADS, "chunks in round {round}");
    }
}

// ---- values under construction ---------------------------------------------------------------------------------------

/// The error is larger than the value, and its drop glue another one: it never lies where the value is to be.
#[test]
#[allow(clippy::result_large_err, reason = "that is what is tested")]
fn defect_writing_a_result_into_a_slot_laid_out_for_the_value() {
    #[derive(Debug, PartialEq)]
    struct Large([u64; 40]);
    let (arena, ledger) = (Arena::with_chunk_sizes(1024, 1024), Ledger::default());
    let mut neighbours = Vec::new();
    for i in 0..300u64 {
        neighbours.push((i, arena.alloc(i)));
        if i % 2 == 0 {
            let failed = arena.try_alloc_with(|| Err::<u8, _>(Large([i; 40])));
            assert!(matches!(failed, Err(InitError::Init(large)) if large == Large([i; 40])));
        } else {
            let made = arena.try_alloc_with(|| Ok::<_, Large>(i as u8)).unwrap();
            assert_eq!(*made, i as u8);
        }
        let failed = arena.try_alloc_with(|| Err::<[u64; 2], _>(ledger.enter(i)));
        neighbours.push((!i, arena.alloc(!i)));
        assert!(matches!(failed, Err(InitError::Init(entered)) if entered.value == i));
    }
    assert!(neighbours.iter().all(|(mark, word)| mark == *word));
    ledger.assert_settled();
}

#[test]
fn defect_panic_in_user_closures_between_reserve_and_write() {
    let (mut arena, ledger) = (Arena::with_chunk_sizes(1024, 2048), Ledger::default());
    arena.alloc(1u8);
    let before = arena.stats().bytes_allocated;
    for k in 0..20usize {
        let at_k = |i: usize| if i == k { panic!("at k") } else { ledger.enter(i as u64) };
        let closures: [&dyn Fn(); 5] = [
            &|| drop(arena.alloc_box_slice_with(20, at_k)),
            &|| drop(arena.alloc_box_slice_from_iter((0..20).map(at_k))),
            &|| drop(arena.alloc_box_with(|| at_k(k))),
            &|| drop(arena.collect((0..20).map(at_k))),
            &|| assert_eq!(arena.alloc_slice_fill_with(20, |i| if i == k { panic!("at k") } else { i }).len(), 20),
        ];
        for (number, closure) in closures.iter().enumerate() {
            assert_eq!(panic_text(closure).as_deref(), Some("at k"), "closure {number} at {k}");
            assert_eq!(arena.stats().bytes_allocated, before, "closure {number} at {k}");
        }
        arena.reset();
        assert!(arena.alloc_slice_fill(3, 5u8).iter().all(|&byte| byte == 5));
        arena.reset();
        arena.alloc(1u8);
    }
    ledger.assert_settled();
}

#[test]
fn defect_panic_in_an_elements_drop_giving_a_double_drop() {
    for k in 0..10u64 {
        let ledger = Ledger::default();
        let enter = |i: u64| if i == k { ledger.enter_panicking(i) } else { ledger.enter(i) };
        let alloc = SmartAlloc::new(small());
        let frame = alloc.frame();
        let mut deque = frame.deque();
        deque.extend((0..10).map(enter));
        let mut cleared = frame.vec();
        cleared.extend((0..10).map(enter));
        let mut truncated = frame.vec();
        truncated.extend((0..10).map(enter));
        let boxed = frame.alloc_box_slice_with(10, |i| enter(i as u64));
        let mut iter = frame.alloc_box_slice_with(10, |i| enter(i as u64)).into_iter();
        let pooled = alloc.pool_box([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(enter));
        let drops: [&mut dyn FnMut(); 3] =
            [&mut || deque.clear(), &mut || cleared.clear(), &mut || truncated.truncate(0)];
        for drop_all in drops {
            assert_eq!(panic_text(drop_all).as_deref(), Some("the destructor panics"));
        }
        assert!(deque.is_empty() && cleared.is_empty() && truncated.is_empty());
        drop((deque, cleared, truncated));
        assert!(catch_unwind(AssertUnwindSafe(|| drop(boxed))).is_err());
        // Skipped, or taken and dropped: the panic leaves the rest in the iterator.
        assert!(catch_unwind(AssertUnwindSafe(|| iter.nth(9).is_some())).is_err());
        assert_eq!(iter.len(), 9 - k as usize);
        drop(iter);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(pooled))).is_err());
        assert_eq!(ledger.made(), 60);
        ledger.assert_settled();
    }
}

#[test]
fn defect_panic_in_a_retain_predicate_giving_a_double_drop() {
    for k in 0..12u64 {
        let (alloc, ledger) = (SmartAlloc::new(small()), Ledger::default());
        let mut list = alloc.frame_vec();
        list.extend((0..12).map(|i| ledger.enter(i)));
        let predicate = |entered: &mut crate::support::Entered| {
            assert!(entered.value != k, "the predicate panics");
            entered.value.is_multiple_of(3)
        };
        assert_eq!(panic_text(|| list.retain_mut(predicate)).as_deref(), Some("the predicate panics"));
        assert_eq!(list.last().map(|entered| entered.value), Some(11));
        let mut map = alloc.frame_map();
        (0..12).for_each(|i| drop(map.insert(i, ledger.enter(i))));
        let kept = panic_text(|| {
            map.retain(|_, entered| {
                assert!(entered.value != k, "the predicate panics");
                entered.value.is_multiple_of(3)
            });
        });
        assert_eq!(kept.as_deref(), Some("the predicate panics"));
        assert!(map.contains_key(&k));
        drop((list, map));
        ledger.assert_settled();
    }
}

// ---- threads ---------------------------------------------------------------------------------------------------------

#[test]
fn defect_guards_that_are_send_and_then_rewind_another_threads_arena() {
    does_not_compile(&[
        ("scratch_sent", NOT_SEND),
        ("scope_sent", NOT_SEND),
        ("frame_sent", NOT_SEND),
        ("frame_shared", NOT_SEND),
        ("vec_sent", NOT_SEND),
    ]);
}

/// An arena is `Send`, and so nothing in it may outlive the move, nor be dropped by it: a box of an `Rc` borrows the arena, and a
/// reference to one does not compile.
#[test]
fn defect_send_arenas_holding_rc() {
    does_not_compile(&[
        ("arena_sent_with_live_vec", MOVED),
        ("box_of_rc_sent", NOT_SEND),
        ("pool_box_of_rc_sent", NOT_SEND),
        ("publish_not_send", NOT_SEND),
    ]);
    let shared = std::rc::Rc::new(5);
    let arena = Arena::new();
    drop(arena.alloc_box(shared.clone()));
    std::mem::forget(arena.alloc_box(shared.clone()));
    // Forgotten is leaked: the thread that gets the arena does not drop it.
    thread::spawn(move || drop(arena)).join().unwrap();
    assert_eq!(std::rc::Rc::strong_count(&shared), 2);
    // SAFETY: the count of the clone that was forgotten.
    unsafe { std::rc::Rc::decrement_strong_count(std::rc::Rc::as_ptr(&shared)) };
}

// ---- handles ---------------------------------------------------------------------------------------------------------

/// The backend checks every layout: of boxes that were unsized, and of published values, whatever the handle calls them.
#[test]
fn defect_handles_freed_with_another_layout_than_they_were_made_with() {
    let (backend, ledger) = (Scripted::new(), Ledger::default());
    let mut alloc = SmartAlloc::new(small().with_backend(backend.boxed()));
    for round in 0..10 {
        let slice: HeapBox<[u64]> = unsize!(alloc.heap_box([7u64; 700]));
        let object: HeapBox<dyn Fn() -> u64> = {
            let (data, entered) = ([round; 90], ledger.enter(round));
            unsize!(alloc.heap_box(move || data[89] + entered.value))
        };
        let pooled: PoolBox<[u8]> = unsize!(alloc.pool_box([1u8; 5000]));
        let small: PoolBox<dyn Fn() -> u64 + Send> = unsize!(alloc.pool_box(move || round));
        assert_eq!((slice.len(), object(), pooled.len(), small()), (700, 2 * round, 5000, round));
        let handle: FrameHandle<[_]> = alloc.publish_vec(alloc.frame().collect((0..20).map(|i| ledger.enter(i))));
        assert_eq!(alloc.get(handle).unwrap().len(), 20);
        thread::spawn(move || drop((slice, pooled, small))).join().unwrap();
        drop(object);
        alloc.end_frame();
    }
    drop(alloc);
    assert_eq!(backend.live(), (0, 0));
    ledger.assert_settled();
}

/// Publishing in one allocator while a handle of the other is read, in both orders on two threads.
#[test]
fn defect_handle_tables_that_invert_lock_order() {
    in_time(|| {
        let pair = Arc::new((SmartAlloc::new(small()), SmartAlloc::new(small())));
        let start = Arc::new(Barrier::new(2));
        let workers = [false, true].map(|swapped| {
            let (pair, start) = (pair.clone(), start.clone());
            thread::spawn(move || {
                let (a, b) = if swapped { (&pair.1, &pair.0) } else { (&pair.0, &pair.1) };
                let outer = a.publish_slice_copy(&[3u64; 4]);
                start.wait();
                for i in 0..3000u64 {
                    let inner = b.publish_slice_fill_with(3, |at| a.get(outer).unwrap()[at] + i);
                    let boxed = a.publish(b.pool_box(b.get(inner).unwrap()[2]));
                    assert_eq!(**a.get(boxed).unwrap(), 3 + i);
                }
            })
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

#[test]
fn defect_u16_generations_that_wrap() {
    let mut alloc = SmartAlloc::new(small());
    let first = alloc.publish(1u64);
    alloc.end_frame();
    for frame in 0..200_000u64 {
        // A frame that lies at the same place, all the time.
        let same = alloc.publish(frame);
        assert!(alloc.get(first).is_err(), "honoured again in frame {}", alloc.stats().frame);
        assert_eq!(same.frame(), frame + 2);
        alloc.end_frame();
    }
    assert_eq!(alloc.get(first).unwrap_err().handle_frame(), 1);
}
