//! bumpalo as an oracle, where the two mean the same: the same program leaves the same contents in places of the same
//! alignment, and what cannot be had at all is refused by both.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/models/mod.rs"]
mod models;
#[path = "support/programs.rs"]
mod programs;

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as AllocVec;
use bumpalo::Bump;
use cases::config;
use framealloc_core::{Arena, InitError};
use models::vault::Vault;
use models::{Record, align, index, size};
use programs::programs;
use proptest::prelude::*;

/// A step that both take.
#[derive(Clone, Copy, Debug)]
enum Step {
    Word(u64),
    Copy { len: usize },
    With { len: usize },
    Iter { len: usize },
    Text { len: usize },
    Failed { succeeds: bool },
    Push { vec: u16, count: u16 },
    Change { vec: u16, what: u8, at: u16 },
    Allocate { layout: Layout },
    Resize { block: u16, size: usize, align: usize },
    Free { block: u16 },
    Reset,
}

impl From<Record> for Step {
    fn from(Record { kind, a, b, c }: Record) -> Self {
        let (len, layout) = (size(a) % 20_000, Layout::from_size_align(size(a), align(b)).unwrap());
        match kind % 32 {
            0 | 1 => Self::Word(u64::from(a) << 16 | u64::from(c)),
            2 | 3 => Self::Copy { len },
            4 => Self::With { len },
            5 => Self::Iter { len },
            6 => Self::Text { len },
            7 => Self::Failed { succeeds: b & 1 == 0 },
            8..=13 => Self::Push { vec: c, count: a % 300 },
            14..=17 => Self::Change { vec: c, what: b, at: a },
            18..=22 => Self::Allocate { layout },
            23..=28 => Self::Resize { block: c, size: layout.size(), align: layout.align() },
            29 | 30 => Self::Free { block: c },
            _ => Self::Reset,
        }
    }
}

/// A block of both, with the same bytes in it.
struct Twin {
    ours: NonNull<u8>,
    theirs: NonNull<u8>,
    layout: Layout,
}

impl Twin {
    fn fill(&self, from: usize, mark: u8) {
        for ptr in [self.ours, self.theirs] {
            // SAFETY: live, and so long.
            unsafe { ptr.add(from).write_bytes(mark, self.layout.size() - from) };
        }
    }

    fn compare(&self, len: usize) {
        assert!(self.ours.addr().get().is_multiple_of(self.layout.align()), "ours is not aligned to {:?}", self.layout);
        assert!(self.theirs.addr().get().is_multiple_of(self.layout.align()));
        // SAFETY: both are live, and written that far.
        let [ours, theirs] =
            [self.ours, self.theirs].map(|ptr| unsafe { std::slice::from_raw_parts(ptr.as_ptr(), len) });
        assert!(ours == theirs, "contents differ");
    }
}

/// Runs steps until a reset, or the end.
fn round(ours: &Arena, theirs: &Bump, steps: &mut std::slice::Iter<'_, Step>) {
    let mut slices: Vec<(&[u8], &[u8])> = Vec::new();
    let mut words: Vec<(&u64, &u64)> = Vec::new();
    let mut vecs = [(); 3].map(|()| (AllocVec::<u32, _>::new_in(ours), AllocVec::<u32, _>::new_in(theirs)));
    let mut blocks: Vec<Twin> = Vec::new();
    for (mark, &step) in (0u8..=255).cycle().zip(steps) {
        match step {
            Step::Word(word) => words.push((ours.alloc(word), theirs.alloc(word))),
            Step::Copy { len } => {
                let source: Vec<_> = (0..len).map(|at| at as u8 ^ mark).collect();
                slices.push((ours.alloc_slice_copy(&source), theirs.alloc_slice_copy(&source)));
            }
            Step::With { len } => {
                let f = |at: usize| (at * 7) as u8 ^ mark;
                slices.push((ours.alloc_slice_fill_with(len, f), theirs.alloc_slice_fill_with(len, f)));
            }
            Step::Iter { len } => {
                let iter = (0..len).map(|at| at as u8 ^ mark);
                slices.push((ours.alloc_slice_fill_iter(iter.clone()), theirs.alloc_slice_fill_iter(iter)));
            }
            Step::Text { len } => {
                let text = "a☃ß".repeat(len % 500);
                slices.push((ours.alloc_str(&text).as_bytes(), theirs.alloc_str(&text).as_bytes()));
            }
            Step::Failed { succeeds } => {
                let make = || if succeeds { Ok([mark; 33]) } else { Err(mark) };
                match (ours.try_alloc_with(make), theirs.alloc_try_with(make)) {
                    (Ok(a), Ok(b)) => slices.push((a, b)),
                    (Err(InitError::Init(a)), Err(b)) => assert_eq!(a, b),
                    (a, b) => panic!("{a:?} and {b:?}"),
                }
            }
            Step::Push { vec, count } => {
                let (a, b) = &mut vecs[usize::from(vec) % 3];
                a.extend((0..u32::from(count)).map(|i| i ^ u32::from(mark)));
                b.extend((0..u32::from(count)).map(|i| i ^ u32::from(mark)));
            }
            Step::Change { vec, what, at } => {
                let (a, b) = &mut vecs[usize::from(vec) % 3];
                let at = if a.is_empty() { 0 } else { index(at, a.len()) };
                match what % 6 {
                    0 => {
                        a.insert(at, 7);
                        b.insert(at, 7);
                    }
                    1 => {
                        a.truncate(at);
                        b.truncate(at);
                    }
                    2 => {
                        a.shrink_to_fit();
                        b.shrink_to_fit();
                    }
                    3 => {
                        a.reserve_exact(at + 1);
                        b.reserve_exact(at + 1);
                    }
                    4 => assert_eq!(a.pop(), b.pop()),
                    _ => {
                        a.retain(|x| x % 3 != 1);
                        b.retain(|x| x % 3 != 1);
                    }
                }
            }
            Step::Allocate { layout } => {
                let (a, b) = (ours.fallible().allocate(layout), theirs.allocate(layout));
                assert_eq!(a.is_ok(), b.is_ok());
                let (Ok(a), Ok(b)) = (a, b) else { continue };
                let twin = Twin { ours: a.cast(), theirs: b.cast(), layout };
                twin.fill(0, mark);
                blocks.push(twin);
            }
            Step::Resize { block, size, align } if !blocks.is_empty() => {
                let at = index(block, blocks.len());
                let old = &blocks[at];
                let new = Layout::from_size_align(size, align).unwrap();
                // SAFETY: both are live with the old layout, each in its own; the sizes tell which it is.
                let (a, b) = unsafe {
                    if size < old.layout.size() {
                        (ours.shrink(old.ours, old.layout, new), theirs.shrink(old.theirs, old.layout, new))
                    } else {
                        (ours.grow(old.ours, old.layout, new), theirs.grow(old.theirs, old.layout, new))
                    }
                };
                let (a, b) = (a.expect("there is memory"), b.expect("there is memory"));
                let kept = old.layout.size().min(size);
                let twin = Twin { ours: a.cast(), theirs: b.cast(), layout: new };
                twin.compare(kept);
                twin.fill(kept, mark);
                blocks[at] = twin;
            }
            Step::Free { block } if !blocks.is_empty() => {
                let twin = blocks.swap_remove(index(block, blocks.len()));
                // SAFETY: both are live with this layout, and gone from the model.
                unsafe {
                    ours.deallocate(twin.ours, twin.layout);
                    theirs.deallocate(twin.theirs, twin.layout);
                }
            }
            Step::Reset => break,
            _ => {}
        }
        for twin in &blocks {
            twin.compare(twin.layout.size());
        }
    }
    assert!(slices.iter().all(|(a, b)| a == b) && words.iter().all(|(a, b)| a == b));
    for (a, b) in &vecs {
        assert!(a[..] == b[..]);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn same_programs_leave_the_same(program in programs::<Step>(100)) {
        let min = 1024 << (program.setup.a % 7);
        let mut ours = Arena::with_chunk_sizes(min, min << (program.setup.c % 4));
        let mut theirs = Bump::new();
        let mut steps = program.steps.iter();
        while !steps.as_slice().is_empty() {
            round(&ours, &theirs, &mut steps);
            ours.reset();
            theirs.reset();
        }
    }

    /// With a limit each has its own overhead: so what is compared is what fits many times over, and what does not fit at all.
    #[test]
    fn same_limits_refuse_what_cannot_fit(kib in 64..1024usize, sizes in proptest::collection::vec((any::<u16>(), any::<bool>()), 0..40)) {
        let limit = kib << 10;
        let vault = Vault::new(Some(limit));
        let ours = Arena::<8>::try_with(vault.boxed(), 1024, 4096).unwrap();
        let theirs = Bump::new();
        theirs.set_allocation_limit(Some(limit));
        let mut small = 0;
        for (mark, (size, fits)) in (0u8..).zip(sizes) {
            if fits {
                // All of these are a quarter of the limit at most.
                let size = usize::from(size) % (limit / 4 / 40);
                small += size;
                let a = ours.try_alloc_slice_fill(size, mark).expect("a part of the limit");
                let b = theirs.try_alloc_slice_fill_with(size, |_| mark).expect("a part of the limit");
                prop_assert_eq!(a, b);
            } else {
                let size = limit + usize::from(size);
                let before = (ours.stats().bytes_allocated, ours.committed());
                prop_assert!(ours.try_alloc_slice_fill(size, mark).is_err());
                prop_assert!(theirs.try_alloc_slice_fill_with(size, |_| mark).is_err());
                prop_assert_eq!((ours.stats().bytes_allocated, ours.committed()), before);
            }
        }
        prop_assert!(vault.live().1 <= limit && small <= limit);
    }
}
