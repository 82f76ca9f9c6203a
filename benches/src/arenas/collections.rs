//! Vectors, maps, columns.

use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::mem::take;

use bump_scope::{BumpVec, MutBumpVec};
use framealloc::FrameMap;
use hashbrown::HashMap;

use super::names::*;
use crate::row::{Bar, Figure, Group, Row};

/// Elements of a vector that grows.
const ELEMENTS: u64 = 10_000;
/// Small vectors in a pass.
const VECTORS: usize = 1_000;
/// Entries of a map.
const ENTRIES: u64 = 1_000;
/// Sets of columns in a pass.
const SETS: usize = 50;
/// Elements of a column.
const COLUMN: usize = 100;

/// bumpalo's own vector.
const BUMPALO_OWN: &str = "bumpalo, its own Vec";
/// bumpalo under the vector that framealloc uses.
const BUMPALO_API2: &str = "bumpalo, allocator-api2 Vec";
/// bump-scope's own vector.
const BUMP_SCOPE_OWN: &str = "bump-scope, BumpVec";
/// bump-scope's vector that holds the arena while it grows.
const BUMP_SCOPE_HELD: &str = "bump-scope, MutBumpVec";
/// bump-scope under the vector that framealloc uses.
const BUMP_SCOPE_API2: &str = "bump-scope, allocator-api2 Vec";
/// blink-alloc under a vector.
const BLINK_API2: &str = "blink-alloc, allocator-api2 Vec";
/// A `Vec` made for the pass.
const FRESH: &str = "system, Vec made anew";
/// A `Vec` cleared and used again, which allocates nothing.
const REUSED: &str = "system, Vec reused";

/// 1 to 20 elements: what comes next cannot be guessed.
static LENGTHS: [usize; VECTORS] = super::lengths(19);

/// Pushes all elements of the large vector, and reads them.
macro_rules! push {
    ($vec:expr) => {{
        let mut vec = $vec;
        push!(in vec)
    }};
    (in $vec:ident) => {{
        for i in 0..black_box(ELEMENTS) {
            $vec.push(i);
        }
        read(black_box(&$vec[..]))
    }};
}

/// Pushes all elements of the small vectors, and reads them. What `finish` makes of each stays until the pass ends.
macro_rules! small {
    ($vec:expr, |$done:ident| $finish:expr) => {{
        let mut sum = 0;
        for &length in black_box(&LENGTHS) {
            let mut vec = $vec;
            for i in 0..=length as u64 {
                vec.push(i);
            }
            let $done = vec;
            sum += read(black_box($finish));
        }
        sum
    }};
}

#[inline(always)]
fn read(slice: &[u64]) -> u64 {
    slice.iter().sum()
}

fn growing() -> Row {
    Row {
        id: "vec-push",
        group: Group::Collections,
        work: "a vector grown from empty to 10,000 `u64`s",
        unit: "element",
        operations: ELEMENTS,
        contenders: vec![
            pass!(frame, |frame| push!(frame.vec::<u64>())),
            pass!(sugar, |alloc| push!(alloc.frame_vec::<u64>())),
            pass!(reset BUMPALO_OWN, bumpalo::Bump::new(), |bump| push!(bumpalo::collections::Vec::new_in(&bump))),
            pass!(reset BUMPALO_API2, bumpalo::Bump::new(), |bump| push!(allocator_api2::vec::Vec::new_in(&bump))),
            pass!(reset BUMP_SCOPE_OWN, super::Scope::new(), |bump| push!(BumpVec::new_in(&bump))),
            pass!(reset BUMP_SCOPE_HELD, super::Scope::new(), |bump| push!(MutBumpVec::new_in(&mut bump))),
            pass!(reset BUMP_SCOPE_API2, super::Scope::new(), |bump| push!(allocator_api2::vec::Vec::new_in(&bump))),
            pass!(reset BLINK_API2, blink_alloc::BlinkAlloc::new(), |blink| push!(
                allocator_api2_04::vec::Vec::new_in(&blink)
            )),
            pass!(multitude, |arena| push!(arena.alloc_vec::<u64>())),
            crate::contender!(FRESH, (), |_none| push!(Vec::new())),
            // Taken from its place for the pass, so that its parts can lie in registers as those of the others can.
            crate::contender!(REUSED, Vec::new(), |kept| {
                let mut vec = take(&mut kept);
                vec.clear();
                let sum = push!(in vec);
                kept = vec;
                sum
            }),
        ],
        bars: vec![
            Bar { ours: FRAME, rivals: &[BUMP_SCOPE_OWN], figure: Figure::Time, at_most: 1.0 },
            Bar { ours: FRAME, rivals: &[BUMP_SCOPE_OWN], figure: Figure::Instructions, at_most: 1.0 },
            Bar { ours: FRAME, rivals: &[BUMPALO_OWN], figure: Figure::Time, at_most: 0.7 },
            Bar { ours: FRAME, rivals: &[BUMPALO_OWN], figure: Figure::Instructions, at_most: 0.7 },
        ],
    }
}

fn with_capacity() -> Row {
    const ALL: usize = ELEMENTS as usize;
    Row {
        id: "vec-capacity",
        group: Group::Collections,
        work: "a vector with room for 10,000 `u64`s, filled by pushing",
        unit: "element",
        operations: ELEMENTS,
        contenders: vec![
            pass!(frame, |frame| push!(frame.vec_with_capacity::<u64>(ALL))),
            pass!(reset BUMPALO_OWN, bumpalo::Bump::new(), |bump| push!(
                bumpalo::collections::Vec::with_capacity_in(ALL, &bump)
            )),
            pass!(reset BUMPALO_API2, bumpalo::Bump::new(), |bump| push!(
                allocator_api2::vec::Vec::with_capacity_in(ALL, &bump)
            )),
            pass!(reset BUMP_SCOPE_OWN, super::Scope::new(), |bump| push!(BumpVec::with_capacity_in(ALL, &bump))),
            pass!(reset BUMP_SCOPE_HELD, super::Scope::new(), |bump| push!(
                MutBumpVec::with_capacity_in(ALL, &mut bump)
            )),
            pass!(reset BLINK_API2, blink_alloc::BlinkAlloc::new(), |blink| push!(
                allocator_api2_04::vec::Vec::with_capacity_in(ALL, &blink)
            )),
            pass!(multitude, |arena| push!(arena.alloc_vec_with_capacity::<u64>(ALL))),
            crate::contender!(FRESH, (), |_none| push!(Vec::with_capacity(ALL))),
        ],
        bars: Vec::new(),
    }
}

/// Each vector becomes a slice that stays, by the method that its crate has for that: some give spare room back, some do not.
fn small() -> Row {
    Row {
        id: "vec-small",
        group: Group::Collections,
        work: "1,000 vectors of 1 to 20 `u64`s, pushed one by one, kept as slices",
        unit: "vector",
        operations: VECTORS as u64,
        contenders: vec![
            pass!(frame, |frame| small!(frame.vec::<u64>(), |vec| vec.into_slice())),
            pass!(sugar, |alloc| small!(alloc.frame_vec::<u64>(), |vec| vec.into_slice())),
            pass!(reset BUMPALO_OWN, bumpalo::Bump::new(), |bump| small!(
                bumpalo::collections::Vec::new_in(&bump),
                |vec| vec.into_bump_slice_mut()
            )),
            pass!(reset BUMPALO_API2, bumpalo::Bump::new(), |bump| small!(
                allocator_api2::vec::Vec::new_in(&bump),
                |vec| allocator_api2::vec::Vec::leak(vec)
            )),
            pass!(reset BUMP_SCOPE_OWN, super::Scope::new(), |bump| small!(
                BumpVec::new_in(&bump),
                |vec| vec.into_slice()
            )),
            pass!(reset BUMP_SCOPE_HELD, super::Scope::new(), |bump| {
                let scope = bump.as_mut_scope();
                small!(MutBumpVec::new_in(&mut *scope), |vec| vec.into_slice())
            }),
            pass!(reset BLINK_API2, blink_alloc::BlinkAlloc::new(), |blink| small!(
                allocator_api2_04::vec::Vec::new_in(&blink),
                |vec| allocator_api2_04::vec::Vec::leak(vec)
            )),
            pass!(multitude, |arena| small!(arena.alloc_vec::<u64>(), |vec| vec.leak())),
            pass!(kept FRESH, |kept| small!(Vec::new(), |vec| {
                kept.push(vec);
                &kept[kept.len() - 1]
            })),
        ],
        bars: Vec::new(),
    }
}

/// The same hash everywhere: those that seed themselves would do other work in each pass.
#[derive(Default)]
pub struct Hash(u64);

impl Hasher for Hash {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Inserts all entries, and looks each up.
macro_rules! entries {
    ($map:expr) => {{
        let mut map = $map;
        for key in 0..black_box(ENTRIES) {
            map.insert(key, !key);
        }
        let mut sum = 0u64;
        for key in 0..black_box(ENTRIES) {
            sum = sum.wrapping_add(map[&key]);
        }
        sum
    }};
}

/// hashbrown's map in all of them. (blink-alloc implements a newer `Allocator` than hashbrown asks for.)
fn map() -> Row {
    type Build = BuildHasherDefault<Hash>;
    Row {
        id: "map",
        group: Group::Collections,
        work: "a hash map grown from empty to 1,000 entries, each looked up",
        unit: "entry",
        operations: ENTRIES,
        contenders: vec![
            pass!(frame, |frame| entries!(FrameMap::with_hasher_in(Build::default(), frame))),
            pass!(bumpalo, |bump| entries!(HashMap::with_hasher_in(Build::default(), &bump))),
            pass!(bump_scope, |bump| entries!(HashMap::with_hasher_in(Build::default(), &bump))),
            pass!(multitude, |arena| entries!(HashMap::with_hasher_in(Build::default(), &arena))),
            crate::contender!(SYSTEM, (), |_none| entries!(HashMap::with_hasher(Build::default()))),
        ],
        bars: Vec::new(),
    }
}

/// Three columns of a set: written from their defaults on, and read.
macro_rules! columns {
    ($columns:expr) => {{
        let mut sum = 0;
        for set in 0..SETS as u32 {
            #[allow(unused_mut, reason = "references need not be mutable themselves")]
            let (mut position, mut velocity, mut id) = $columns;
            (position[7], velocity[8], id[COLUMN - 1]) = ([1.0; 3], [2.0; 3], set);
            let columns = black_box((&position[..], &velocity[..], &id[..]));
            sum += u64::from(columns.2[COLUMN - 1] + columns.2[0]) + (columns.0[7][1] + columns.1[8][2]) as u64;
        }
        sum
    }};
}

type Vector = [f32; 3];

/// framealloc's columns begin at cache lines of their own; a vector of a peer at a multiple of four.
fn columns() -> Row {
    Row {
        id: "columns",
        group: Group::Collections,
        work: "50 sets of three columns of 100 elements, which start as their types' defaults",
        unit: "set",
        operations: SETS as u64,
        contenders: vec![
            pass!(frame, |frame| columns!(frame.columns::<(Vector, Vector, u32)>(COLUMN))),
            pass!(named "framealloc Frame, three slices", frame, |frame| columns!((
                frame.slice::<Vector>(COLUMN),
                frame.slice::<Vector>(COLUMN),
                frame.slice::<u32>(COLUMN),
            ))),
            pass!(bumpalo, |bump| columns!((
                bump.alloc_slice_fill_default::<Vector>(COLUMN),
                bump.alloc_slice_fill_default::<Vector>(COLUMN),
                bump.alloc_slice_fill_default::<u32>(COLUMN),
            ))),
            pass!(bump_scope, |bump| columns!((
                bump.alloc_slice_fill_with(COLUMN, Vector::default),
                bump.alloc_slice_fill_with(COLUMN, Vector::default),
                bump.alloc_slice_fill_with(COLUMN, u32::default),
            ))),
            pass!(multitude, |arena| columns!((
                arena.alloc_slice_fill_with(COLUMN, |_| Vector::default()),
                arena.alloc_slice_fill_with(COLUMN, |_| Vector::default()),
                arena.alloc_slice_fill_with(COLUMN, |_| u32::default()),
            ))),
            crate::contender!(FRESH, (), |_none| columns!((
                vec![Vector::default(); COLUMN],
                vec![Vector::default(); COLUMN],
                vec![u32::default(); COLUMN],
            ))),
        ],
        bars: Vec::new(),
    }
}

/// The rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    vec![growing(), with_capacity(), small(), map(), columns()]
}
