//! The library against plain models of it: `support/models`. One program, since the models are most of what is compiled for each.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/models/mod.rs"]
mod models;
#[path = "support/programs.rs"]
mod programs;

use proptest::prelude::*;

use cases::config;
use framealloc_core::Arena;
use models::{arena, bump, collections, config as unreliable, frames, instances, pools};
use programs::programs;

/// Found by the model: the part was said to begin at the chunk's start, and the block lay behind it.
#[test]
fn filled_part_of_an_aligned_blocks_own_chunk_holds_the_block() {
    let mut arena = Arena::with_chunk_sizes(1024, 1024);
    let block = arena.alloc_slice_copy_aligned(&[7u8; 256], 4096).as_ptr().addr();
    let parts: Vec<_> = arena.chunks().map(|(start, bytes)| (start.addr().get(), bytes)).collect();
    assert_eq!(parts, [(block, 256)]);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arena_does_as_its_model(program in programs(120)) {
        arena::run(&program);
    }

    /// Whole words, so that sums come near the top of the address space; and words near each other.
    #[test]
    fn bump_does_as_in_128_bits(words in any::<[usize; 4]>(), near in any::<[u16; 4]>(), aligns in any::<[u8; 2]>()) {
        bump::check_library(words, aligns[0], aligns[1]);
        bump::check_library(near.map(usize::from), aligns[0] % 13, aligns[1]);
        let together: [usize; 2] = std::array::from_fn(|at| words[0].wrapping_add(usize::from(near[at])));
        bump::check_library([together[0], together[1], usize::from(near[2]), words[3]], aligns[0] % 17, aligns[1]);
    }

    #[test]
    fn collections_do_as_those_of_std(program in programs(150)) {
        collections::run(&program);
    }

    /// Settings, lying backends and governors that answer nonsense.
    #[test]
    fn nothing_is_believed_and_all_books_are_even(program in programs(80)) {
        unreliable::run(&program);
    }

    #[test]
    fn frames_and_handles_do_as_their_model(program in programs(100)) {
        frames::run(&program);
    }

    /// On three threads, hundreds of times as long as the others.
    #[test]
    fn pools_do_as_their_model(program in programs(120)) {
        pools::run(&program);
    }

    /// On one thread, and on two.
    #[test]
    fn two_allocators_never_see_each_other(program in programs(120)) {
        instances::run(&program);
    }
}
