//! Slices: copied, filled, collected from iterators.

use std::hint::black_box;

use bump_scope::BumpBox;

use super::names::*;
use crate::row::{Bar, Contender, Figure, Group, Row};

/// Slices in a pass.
const SLICES: usize = 2_000;
/// Long slices in a pass.
const LONG_SLICES: usize = 32;
/// Elements of the longest slice.
const LONG: usize = 4_096;

/// What slices are made of.
static NUMBERS: [u32; LONG] = numbers();
/// 0 to 64 elements: what comes next cannot be guessed.
static LENGTHS: [usize; SLICES] = super::lengths(64);

const fn numbers() -> [u32; LONG] {
    let mut numbers = [0; LONG];
    let mut i = 0;
    while i < LONG {
        numbers[i] = i as u32;
        i += 1;
    }
    numbers
}

/// Slices of the short lengths: each is made of a part of the numbers, and read at its ends.
macro_rules! short {
    (|$source:ident| $alloc:expr) => {{
        let (numbers, lengths) = black_box((&NUMBERS, &LENGTHS));
        let mut sum = 0;
        for &length in lengths {
            let $source = &numbers[..length];
            sum += read(black_box($alloc));
        }
        sum
    }};
}

/// The same with long ones, of lengths that differ a little: how many instructions the C library takes for a copy depends on where
/// in a line it ends up, which with one length would be the same place in all of a pass.
macro_rules! long {
    (|$source:ident| $alloc:expr) => {{
        let numbers = black_box(&NUMBERS);
        let mut sum = 0;
        for shorter in 0..LONG_SLICES {
            let $source = &numbers[shorter..];
            sum += read(black_box($alloc));
        }
        sum
    }};
}

#[inline(always)]
fn read(slice: &[u32]) -> u64 {
    match slice {
        [first, .., last] => slice_sum(*first, *last),
        [only] => u64::from(*only),
        [] => 1,
    }
}

#[inline(always)]
fn slice_sum(first: u32, last: u32) -> u64 {
    u64::from(first) + u64::from(last)
}

/// Appends to the list of what is kept; what was appended.
#[inline(always)]
fn keep<T>(kept: &mut Vec<Vec<T>>, vec: Vec<T>) -> &[T] {
    kept.push(vec);
    kept.last().expect("just pushed")
}

fn row(id: &'static str, work: &'static str, operations: usize, contenders: Vec<Contender>) -> Row {
    Row {
        id,
        group: Group::Layouts,
        work,
        unit: "slice",
        operations: operations as u64,
        contenders,
        bars: vec![
            Bar { ours: FRAME, rivals: &[BUMP_SCOPE, BLINK], figure: Figure::Instructions, at_most: 1.0 },
            Bar { ours: FRAME, rivals: &[BUMP_SCOPE, BLINK], figure: Figure::Time, at_most: 1.03 },
        ],
    }
}

fn copied() -> Row {
    row(
        "slice-copy",
        "copies of 2,000 slices of 0 to 64 `u32`s",
        SLICES,
        vec![
            pass!(frame, |frame| short!(|source| frame.alloc_slice_copy(source))),
            pass!(sugar, |alloc| short!(|source| alloc.frame_alloc_slice_copy(source))),
            pass!(arena, |arena| short!(|source| arena.alloc_slice_copy(source))),
            pass!(bumpalo, |bump| short!(|source| bump.alloc_slice_copy(source))),
            pass!(bump_scope, |bump| short!(|source| BumpBox::leak(bump.alloc_slice_copy(source)))),
            pass!(bump_scope_8, |bump| short!(|source| BumpBox::leak(bump.alloc_slice_copy(source)))),
            pass!(blink, |blink| short!(|source| blink.copy_slice(source))),
            pass!(multitude, |arena| short!(|source| &mut *arena.alloc_slice_copy(source))),
            pass!(kept SYSTEM, |kept| short!(|source| keep(&mut kept, source.to_vec()))),
        ],
    )
}

fn copied_long() -> Row {
    row(
        "slice-copy-long",
        "copies of 32 slices of 4,065 to 4,096 `u32`s",
        LONG_SLICES,
        vec![
            pass!(frame, |frame| long!(|source| frame.alloc_slice_copy(source))),
            pass!(bumpalo, |bump| long!(|source| bump.alloc_slice_copy(source))),
            pass!(bump_scope, |bump| long!(|source| BumpBox::leak(bump.alloc_slice_copy(source)))),
            pass!(bump_scope_8, |bump| long!(|source| BumpBox::leak(bump.alloc_slice_copy(source)))),
            pass!(blink, |blink| long!(|source| blink.copy_slice(source))),
            pass!(multitude, |arena| long!(|source| &mut *arena.alloc_slice_copy(source))),
            pass!(kept SYSTEM, |kept| long!(|source| keep(&mut kept, source.to_vec()))),
        ],
    )
}

/// blink-alloc's way to fill a slice is an iterator; bump-scope's closure is not given the index.
fn filled() -> Row {
    row(
        "slice-fill",
        "2,000 slices of 0 to 64 `u32`s, filled by a closure",
        SLICES,
        vec![
            pass!(frame, |frame| short!(|source| frame.alloc_slice_fill_with(source.len(), |i| i as u32 ^ 5))),
            pass!(sugar, |alloc| short!(|source| alloc.frame_alloc_slice_fill_with(source.len(), |i| i as u32 ^ 5))),
            pass!(arena, |arena| short!(|source| arena.alloc_slice_fill_with(source.len(), |i| i as u32 ^ 5))),
            pass!(bumpalo, |bump| short!(|source| bump.alloc_slice_fill_with(source.len(), |i| i as u32 ^ 5))),
            pass!(bump_scope, |bump| short!(|source| {
                let mut indices = 0..;
                BumpBox::leak(bump.alloc_slice_fill_with(source.len(), || indices.next().unwrap_or(0) ^ 5))
            })),
            pass!(blink, |blink| short!(|source| {
                blink.emplace_no_drop().from_iter((0..source.len()).map(|i| i as u32 ^ 5))
            })),
            pass!(multitude, |arena| short!(|source| {
                multitude::Alloc::leak(arena.alloc_slice_fill_with(source.len(), |i| i as u32 ^ 5))
            })),
            pass!(kept SYSTEM, |kept| short!(|source| {
                keep(&mut kept, (0..source.len()).map(|i| i as u32 ^ 5).collect())
            })),
        ],
    )
}

fn of_exact_iterators() -> Row {
    row(
        "slice-exact-iter",
        "2,000 slices of iterators of 0 to 64 `u32`s, whose length is known",
        SLICES,
        vec![
            pass!(frame, |frame| short!(|source| frame.alloc_slice_fill_iter(source.iter().map(|n| n ^ 5)))),
            pass!(arena, |arena| short!(|source| arena.alloc_slice_fill_iter(source.iter().map(|n| n ^ 5)))),
            pass!(bumpalo, |bump| short!(|source| bump.alloc_slice_fill_iter(source.iter().map(|n| n ^ 5)))),
            pass!(bump_scope, |bump| short!(|source| {
                BumpBox::leak(bump.alloc_iter_exact(source.iter().map(|n| n ^ 5)))
            })),
            pass!(blink, |blink| short!(|source| blink.emplace_no_drop().from_iter(source.iter().map(|n| n ^ 5)))),
            pass!(multitude, |arena| short!(|source| &mut *arena.alloc_slice_fill_iter(source.iter().map(|n| n ^ 5)))),
            pass!(kept SYSTEM, |kept| short!(|source| keep(&mut kept, source.iter().map(|n| n ^ 5).collect()))),
        ],
    )
}

/// Whether a number stays: three of four do.
#[inline(always)]
fn stays(number: &u32) -> bool {
    number & 3 != 0
}

/// bumpalo and multitude collect into a vector of theirs for this.
fn of_other_iterators() -> Row {
    row(
        "slice-filter-iter",
        "2,000 slices of iterators of 0 to 64 `u32`s, of which a filter takes one in four away",
        SLICES,
        vec![
            pass!(frame, |frame| short!(|source| {
                frame.alloc_slice_fill_iter(source.iter().copied().filter(stays))
            })),
            pass!(arena, |arena| short!(|source| {
                arena.alloc_slice_fill_iter(source.iter().copied().filter(stays))
            })),
            pass!(bumpalo, |bump| short!(|source| {
                bumpalo::collections::Vec::from_iter_in(source.iter().copied().filter(stays), &bump)
                    .into_bump_slice_mut()
            })),
            pass!(bump_scope, |bump| short!(|source| {
                BumpBox::leak(bump.alloc_iter(source.iter().copied().filter(stays)))
            })),
            pass!(reset BUMP_SCOPE_MUT, super::Scope::new(), |bump| {
                let scope = bump.as_mut_scope();
                short!(|source| BumpBox::leak(scope.alloc_iter_mut(source.iter().copied().filter(stays))))
            }),
            pass!(blink, |blink| short!(|source| {
                blink.emplace_no_drop().from_iter(source.iter().copied().filter(stays))
            })),
            pass!(multitude, |arena| short!(|source| {
                multitude::vec::Vec::from_iter_in(source.iter().copied().filter(stays), &arena).leak()
            })),
            pass!(kept SYSTEM, |kept| short!(|source| {
                keep(&mut kept, source.iter().copied().filter(stays).collect())
            })),
        ],
    )
}

/// The rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    vec![copied(), copied_long(), filled(), of_exact_iterators(), of_other_iterators()]
}
