//! Chunks that stay in an arena between frames: they age, are given back, and are in no later frame's figures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use framealloc_core::{AllocConfig, Arena, FrameVec, Governor, SmartAlloc, TagScope, Verdict};

/// The smallest chunk of the default settings.
const SMALLEST: usize = 64 << 10;

#[test]
fn zero_sized_values_of_huge_alignment_do_not_grow_memory() {
    #[repr(align(1048576))]
    struct Huge;
    let mut alloc = SmartAlloc::default();
    for _ in 0..100 {
        alloc.frame().alloc(Huge);
        alloc.frame().alloc_slice_copy_aligned(&[] as &[u8], 2 << 20);
        alloc.end_frame();
    }
    assert!(alloc.stats().committed < 8 << 20, "{}", alloc.stats().committed);
    alloc.trim();
    assert_eq!(alloc.stats().committed, 0);
}

#[test]
fn chunks_of_an_initialiser_that_failed_age_and_are_given_back() {
    let mut alloc = SmartAlloc::default();
    alloc.frame().alloc(1u8);
    alloc.end_frame();
    assert!(alloc.frame().try_alloc_with(|| Err::<[u8; 100_000], ()>(())).is_err());
    alloc.end_frame();
    alloc.frame().alloc(1u8);
    let stats = alloc.end_frame();
    assert_eq!((stats.chunks, stats.waste), (1, 0), "of this frame alone");
    for _ in 0..100 {
        alloc.end_frame();
    }
    assert_eq!(alloc.stats().committed, 0, "no frame needed anything for a window");
}

#[test]
fn chunks_that_scopes_need_in_every_round_stay() {
    fn fill(frame: framealloc_core::Frame<'_>) {
        (0..100).for_each(|_| _ = frame.alloc([0u8; 1000]));
    }
    let mut arena = Arena::new();
    let mut alloc = SmartAlloc::default();
    for round in 0..100 {
        arena.scope(|scope| fill(scope.frame()));
        arena.reset();
        alloc.scratch().scope(|scope| fill(scope.frame()));
        alloc.end_frame();
        let held = (arena.committed(), alloc.stats().committed);
        assert_eq!(held, (3 * SMALLEST, 3 * SMALLEST), "one and twice as much, in round {round}");
    }
}

#[test]
fn sealed_frame_gives_back_what_it_took_and_no_more() {
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_frame_chunk(1024, 4096));
    for _ in 0..3 {
        // Chunks of their own: the first one's is used again by the third, the second one's goes with the frame.
        let list = |byte, len| {
            let mut list = alloc.frame_vec();
            list.resize(len, byte);
            list
        };
        let (first, second) = (list(0u8, 20_000), list(1u8, 30_000));
        drop(first);
        let third = list(2u8, 20_000);
        assert_eq!((second[29_999], third[19_999]), (1, 2));
        drop(third);
        std::mem::forget(second);
        (0..10).for_each(|_| _ = alloc.frame().alloc([0u8; 1000]));
        let sealed = alloc.seal_frame();
        let (held, stored) = (alloc.stats().committed, alloc.stats().stored);
        drop(sealed);
        let stats = alloc.stats();
        assert_eq!(stats.committed, held);
        // All but the chunk that was freed, which the thread keeps.
        let kept = held - stats.stored;
        assert!((20_000..24_000).contains(&kept) && stored < stats.stored, "{kept} of {held}, {stored} before");
        alloc.trim();
        assert_eq!((alloc.stats().committed, alloc.stats().stored), (0, 0));
    }
}

#[test]
fn one_spike_does_not_leave_its_largest_chunk_to_small_frames() {
    for in_flight in [1, 3] {
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_frames_in_flight(in_flight));
        for _ in 0..300_000 {
            alloc.frame().alloc(0u64);
        }
        alloc.end_frame();
        for _ in 0..200 {
            alloc.frame().alloc(1u64);
            alloc.end_frame();
        }
        assert!(alloc.stats().committed <= in_flight * SMALLEST, "{in_flight}: {}", alloc.stats().committed);
    }
    let mut arena = Arena::new();
    for i in 0..300_000 {
        arena.alloc(i);
    }
    for _ in 0..200 {
        arena.reset();
        arena.alloc(1);
    }
    assert!(arena.committed() <= SMALLEST, "{}", arena.committed());
}

#[test]
fn a_spike_is_given_back_though_needs_vary_from_frame_to_frame() {
    // Around a quarter of the largest chunk, now less, now more: which of the spike's chunks serves must not be another one each time,
    // or all of them would have been needed lately.
    let needs = [[100, 300], [40, 500], [10, 900], [200, 280]];
    for (needs, in_flight) in needs.into_iter().flat_map(|needs| [(needs, 1), (needs, 2)]) {
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_frames_in_flight(in_flight));
        let frame = |alloc: &mut SmartAlloc, kib: usize| {
            (0..kib).for_each(|_| _ = alloc.frame().alloc([1u8; 1024]));
            alloc.end_frame();
        };
        for round in 0..100 {
            frame(&mut alloc, needs[round % 2]);
        }
        frame(&mut alloc, 20 << 10);
        assert!(alloc.stats().committed >= 20 << 20);
        for round in 0..150 {
            frame(&mut alloc, needs[round % 2]);
        }
        let held = alloc.stats().committed;
        assert!(held <= in_flight * (2 << 20), "{needs:?}, {in_flight} in flight: {held}");
    }
}

#[test]
fn a_large_chunk_that_is_needed_stays() {
    let mut alloc = SmartAlloc::default();
    for frame in 0..200 {
        alloc.frame().alloc_uninit_slice::<u8>(300_000);
        alloc.end_frame();
        if frame > 100 {
            let before = alloc.stats().backend_allocations;
            // Less is needed for a while, not as long as the window.
            for _ in 0..20 {
                alloc.frame().alloc(1u8);
                alloc.end_frame();
            }
            alloc.frame().alloc_uninit_slice::<u8>(300_000);
            alloc.end_frame();
            let drawn = alloc.stats().backend_allocations - before;
            assert!(frame == 101 || drawn == 0, "frame {frame}: {drawn}");
        }
    }
}

/// Sixteen bytes for a tag, and no more.
struct Sixteen;

impl Governor for Sixteen {
    fn open_tag(&self, _: &TagScope) -> Verdict {
        Verdict::AllowUpTo(16)
    }

    fn extend_tag(&self, _: &TagScope, _: usize) -> Verdict {
        Verdict::Deny
    }
}

#[test]
fn nothing_asks_for_more_than_it_needs_where_there_is_no_more() {
    let alloc = SmartAlloc::new(AllocConfig::default().with_governor(Arc::new(Sixteen)));
    alloc.with_tag("push", |alloc| {
        let mut bytes = alloc.frame().vec::<u8>();
        bytes.push(1);
        assert_eq!(bytes, [1]);
    });
    alloc.with_tag("text", |alloc| assert_eq!(framealloc_core::frame_format!(alloc, "{}", 7), "7"));
    alloc.with_tag("iterator", |alloc| {
        let one = alloc.frame().try_alloc_slice_fill_iter((0..1000u32).filter(|number| *number == 3));
        assert_eq!(one.expect("four bytes"), [3]);
    });
}

#[test]
fn what_an_iterator_did_not_yield_is_not_lost() {
    let mut arena = Arena::new();
    for _ in 0..1000 {
        arena.alloc_slice_fill_iter(
            (0..1000u64).filter(|number| *number == 7).map(|number| *arena.alloc(number)).take(500),
        );
    }
    assert!(arena.stats().bytes_allocated < 1000 * 300, "{}", arena.stats().bytes_allocated);
    arena.reset();
    arena.alloc_slice_fill_iter((0..32u32).filter(|number| *number == 7));
    assert_eq!(arena.stats().peak, 8);
}

#[test]
fn too_many_elements_of_no_size_are_refused() {
    let alloc = SmartAlloc::default();
    let mut units: FrameVec<'_, ()> = alloc.frame_vec();
    units.push(());
    let refused = catch_unwind(AssertUnwindSafe(|| units.extend_from_slice(&[(); usize::MAX])));
    assert!(refused.is_err());
    assert_eq!(units.len(), 1);
    assert!(units.try_extend_from_slice(&[(); usize::MAX]).is_err());
}

#[test]
fn the_peak_of_scratch_memory_has_what_scopes_freed() {
    let mut alloc = SmartAlloc::default();
    {
        let mut scratch = alloc.scratch();
        scratch.scope(|scope| {
            scope.alloc([1u8; 5000]);
        });
    }
    assert_eq!(alloc.end_frame().scratch_peak, 5000);
}

#[cfg(feature = "count")]
#[test]
fn allocations_of_no_size_are_counted_in_their_own_frame() {
    let mut alloc = SmartAlloc::default();
    alloc.frame().alloc(1u8);
    alloc.end_frame();
    for _ in 0..5 {
        alloc.frame().alloc(());
    }
    assert_eq!(alloc.end_frame().allocation_count, 5);
    alloc.frame().alloc(1u8);
    assert_eq!(alloc.end_frame().allocation_count, 1);
}

#[test]
fn a_vector_that_outgrew_its_chunk_once_is_not_moved_again() {
    let mut alloc = SmartAlloc::default();
    let mut moves = Vec::new();
    for _ in 0..3 {
        let mut numbers = alloc.frame_vec();
        let (mut place, mut moved) = (std::ptr::null(), 0);
        for number in 0..20_000u64 {
            numbers.push(number);
            if numbers.as_ptr() != place {
                (place, moved) = (numbers.as_ptr(), moved + 1);
            }
        }
        moves.push(moved);
        drop(numbers);
        alloc.end_frame();
    }
    assert!(moves[0] > 1, "the first frame goes on to a larger chunk");
    assert_eq!(moves[1..], [1, 1], "later ones begin in it");
}

#[test]
fn large_chunk_that_is_the_only_spare_one_is_given_back() {
    let mut alloc = SmartAlloc::default();
    alloc.frame().alloc(1u8);
    alloc.end_frame();
    let before = alloc.stats().committed;
    alloc.frame().alloc(1u8);
    alloc.frame().alloc_layout(std::alloc::Layout::from_size_align(8 << 20, 8).unwrap());
    alloc.end_frame();
    assert!(alloc.stats().committed >= before + (8 << 20));
    for _ in 0..100 {
        alloc.frame().alloc(1u8);
        alloc.end_frame();
    }
    assert_eq!(alloc.stats().committed, before);
}

#[test]
fn chunks_of_frames_in_flight_do_not_age_while_they_are_used() {
    for bytes in [100, SMALLEST / 2, 3 * SMALLEST] {
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_frames_in_flight(2));
        let mut play = |frames: usize| {
            for _ in 0..frames {
                for _ in 0..bytes / 100 {
                    alloc.frame().alloc([0u8; 100]);
                }
                alloc.end_frame();
            }
            let stats = alloc.stats();
            (stats.backend_allocations, stats.backend_releases)
        };
        let before = play(80);
        assert_eq!(play(150), before, "with {bytes} bytes a frame");
    }
}

#[test]
fn chunk_that_one_frame_in_flight_needed_is_given_back() {
    let config = AllocConfig::default().with_frame_chunk(SMALLEST, 16 * SMALLEST).with_frames_in_flight(2);
    let mut alloc = SmartAlloc::new(config);
    for bytes in [SMALLEST / 2, 12 * SMALLEST].into_iter().chain([SMALLEST / 2; 150]) {
        for _ in 0..bytes / 100 {
            alloc.frame().alloc([0u8; 100]);
        }
        alloc.end_frame();
    }
    assert!(alloc.stats().committed <= 4 * SMALLEST, "{}", alloc.stats().committed);
}
