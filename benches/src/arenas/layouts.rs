//! Blocks whose size and alignment are known at run time only.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::hint::black_box;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use bump_scope::traits::BumpAllocatorTyped;

use super::names::*;
use crate::row::{Bar, Figure, Group, Row};

/// multitude hands out blocks of a layout by its `Allocator` alone, which counts each: they are freed one by one.
const MULTITUDE_BLOCKS: &str = "multitude, its Allocator";

/// Blocks in a pass.
const BLOCKS: usize = 10_000;

/// Sizes of 1 to 256 bytes, alignments of 1 to 16: what comes next cannot be guessed.
static LAYOUTS: [Layout; BLOCKS] = layouts();

const fn layouts() -> [Layout; BLOCKS] {
    let mut layouts = [Layout::new::<u8>(); BLOCKS];
    let (mut i, mut state) = (0, 1);
    while i < BLOCKS {
        state = super::random(state);
        let (size, align) = ((state >> 40) as usize % 256 + 1, 1 << ((state >> 56) % 5));
        layouts[i] = match Layout::from_size_align(size, align) {
            Ok(layout) => layout,
            Err(_) => panic!("the alignment is a power of two"),
        };
        i += 1;
    }
    layouts
}

/// Writes a block's first byte, and reads it back.
#[inline(always)]
fn read(block: NonNull<u8>, layout: Layout) -> u64 {
    // SAFETY: just handed out for at least one byte, and nobody else's.
    unsafe { block.write(layout.size() as u8) };
    let block = black_box(block);
    // SAFETY: as above, and written.
    u64::from(unsafe { block.read() })
}

macro_rules! sum {
    (|$layout:ident| $alloc:expr) => {{
        let mut sum = 0;
        for &$layout in black_box(&LAYOUTS) {
            sum += read($alloc, $layout);
        }
        sum
    }};
}

/// A block of the general-purpose heap.
struct Block(NonNull<u8>, Layout);

impl Block {
    fn new(layout: Layout) -> Self {
        // SAFETY: no layout of the table has size 0.
        match NonNull::new(unsafe { alloc(layout) }) {
            Some(block) => Self(block, layout),
            None => handle_alloc_error(layout),
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: made by `alloc` with this layout, and dropped once.
        unsafe { dealloc(self.0.as_ptr(), self.1) };
    }
}

/// The rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    vec![Row {
        id: "layout",
        group: Group::Layouts,
        work: "10,000 blocks of 1 to 256 bytes, aligned to 1 to 16, from a table",
        unit: "block",
        operations: BLOCKS as u64,
        contenders: vec![
            pass!(frame, |frame| sum!(|layout| frame.alloc_layout(layout))),
            pass!(arena, |arena| sum!(|layout| arena.alloc_layout(layout))),
            pass!(bumpalo, |bump| sum!(|layout| bump.alloc_layout(layout))),
            pass!(bump_scope, |bump| sum!(|layout| bump.allocate_layout(layout))),
            pass!(bump_scope_8, |bump| sum!(|layout| bump.allocate_layout(layout))),
            pass!(blink, |blink| sum!(|layout| blink.allocator().allocate(layout).expect("memory").cast())),
            crate::contender!(MULTITUDE_BLOCKS, (multitude::Arena::new(), Vec::new()), |state| {
                let (arena, kept) = &mut state;
                let sum = sum!(|layout| {
                    let block = (&*arena).allocate(layout).expect("memory").cast();
                    kept.push((block, layout));
                    block
                });
                for (block, layout) in kept.drain(..) {
                    // SAFETY: made above with this layout, and freed once.
                    unsafe { (&*arena).deallocate(block, layout) };
                }
                arena.reset();
                sum
            }),
            pass!(kept SYSTEM, |kept| sum!(|layout| {
                kept.push(Block::new(layout));
                kept[kept.len() - 1].0
            })),
        ],
        bars: vec![
            Bar { ours: FRAME, rivals: &[BUMP_SCOPE, BLINK], figure: Figure::Instructions, at_most: 1.0 },
            Bar { ours: FRAME, rivals: &[BUMP_SCOPE, BLINK], figure: Figure::Time, at_most: 1.03 },
        ],
    }]
}
