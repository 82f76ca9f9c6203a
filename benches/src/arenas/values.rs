//! A frame's worth of values of one type: written, read back, reset.

use std::hint::black_box;

use blink_alloc::Blink;
use bump_scope::BumpBox;
use bump_scope::settings::{BumpAllocatorSettings, BumpSettings};
use framealloc::prelude::*;
use memkit::MkAllocator;

use super::names::*;
use super::{MIN_ALIGN, Scope, Scope8};
use crate::row::{Bar, Figure, Group, Row};

/// Values in a pass.
pub const VALUES: u64 = 10_000;

/// Four words: a small contact, or half a transform.
pub type Four = [u64; 4];

/// A transform: 64 bytes that SIMD code wants at a multiple of 16.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct Matrix([f32; 16]);

/// bump-scope going down.
type ScopeDown = bump_scope::Bump<bump_scope::alloc::Global, <BumpSettings as BumpAllocatorSettings>::WithUp<false>>;

/// The loop of all contenders: every value passes through `black_box` after it was stored, and is read back.
macro_rules! sum {
    ($make:expr, $read:expr, |$value:ident| $alloc:expr) => {{
        let mut sum = 0;
        for i in 0..VALUES {
            let $value = $make(i);
            sum += $read(black_box($alloc));
        }
        sum
    }};
}

macro_rules! row {
    ($id:literal, $work:literal, $type:ty, $make:expr, $read:expr) => {
        Row {
            id: $id,
            group: Group::Values,
            work: $work,
            unit: "value",
            operations: VALUES,
            contenders: vec![
                $crate::contender!(FRAME, SmartAlloc::default(), |alloc| {
                    alloc.begin_frame();
                    let frame = alloc.frame();
                    let sum = sum!($make, $read, |value| frame.alloc::<$type>(value));
                    alloc.end_frame();
                    sum
                }),
                $crate::contender!(SUGAR, SmartAlloc::default(), |alloc| {
                    alloc.begin_frame();
                    let sum = sum!($make, $read, |value| &mut *alloc.frame_box::<$type>(value));
                    alloc.end_frame();
                    sum
                }),
                $crate::contender!(ARENA, Arena::new(), |arena| {
                    let sum = sum!($make, $read, |value| arena.alloc::<$type>(value));
                    arena.reset();
                    sum
                }),
                $crate::contender!(BUMPALO, bumpalo::Bump::new(), |bump| {
                    let sum = sum!($make, $read, |value| bump.alloc::<$type>(value));
                    bump.reset();
                    sum
                }),
                $crate::contender!(BUMPALO_8, bumpalo::Bump::<MIN_ALIGN>::with_min_align(), |bump| {
                    let sum = sum!($make, $read, |value| bump.alloc::<$type>(value));
                    bump.reset();
                    sum
                }),
                $crate::contender!(BUMP_SCOPE, Scope::new(), |bump| {
                    let sum = sum!($make, $read, |value| BumpBox::leak(bump.alloc::<$type>(value)));
                    bump.reset();
                    sum
                }),
                $crate::contender!(BUMP_SCOPE_8, Scope8::new(), |bump| {
                    let sum = sum!($make, $read, |value| BumpBox::leak(bump.alloc::<$type>(value)));
                    bump.reset();
                    sum
                }),
                $crate::contender!(BUMP_SCOPE_DOWN, ScopeDown::new(), |bump| {
                    let sum = sum!($make, $read, |value| BumpBox::leak(bump.alloc::<$type>(value)));
                    bump.reset();
                    sum
                }),
                $crate::contender!(BLINK, Blink::new(), |blink| {
                    let sum = sum!($make, $read, |value| blink.put_no_drop::<$type>(value));
                    blink.reset();
                    sum
                }),
                $crate::contender!(MULTITUDE, multitude::Arena::new(), |arena| {
                    let sum = sum!($make, $read, |value| &mut *arena.alloc::<$type>(value));
                    arena.reset();
                    sum
                }),
                $crate::contender!(TYPED_ARENA, (), |_none| {
                    let arena = typed_arena::Arena::<$type>::with_capacity(VALUES as usize);
                    sum!($make, $read, |value| arena.alloc(value))
                }),
                $crate::contender!(MEMKIT, MkAllocator::with_defaults(), |alloc| {
                    alloc.begin_frame();
                    let sum = sum!($make, $read, |value| {
                        let place = alloc.frame_alloc::<$type>();
                        assert!(!place.is_null(), "memkit's arena is full");
                        // SAFETY: room for a value in this thread's arena, which is reset after the loop.
                        unsafe {
                            place.write(value);
                            &mut *place
                        }
                    });
                    alloc.end_frame();
                    sum
                }),
            ],
            bars: vec![
                Bar { ours: FRAME, rivals: &[BUMPALO, BUMP_SCOPE, BLINK], figure: Figure::Time, at_most: 1.03 },
                Bar { ours: FRAME, rivals: &[BUMPALO, BUMP_SCOPE], figure: Figure::Instructions, at_most: 1.0 },
                Bar { ours: SUGAR, rivals: &[BUMPALO], figure: Figure::Time, at_most: 1.15 },
            ],
        }
    };
}

/// The rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    vec![
        row!("u32", "10,000 `u32`s", u32, |i: u64| i as u32, |value: &mut u32| u64::from(*value)),
        row!("u64", "10,000 `u64`s", u64, |i: u64| i, |value: &mut u64| *value),
        row!("four-words", "10,000 `[u64; 4]`s", Four, |i: u64| [i, i + 1, i + 2, i + 3], |value: &mut Four| value[3]),
        row!(
            "matrix",
            "10,000 matrices of 64 bytes, aligned to 16",
            Matrix,
            |i: u64| Matrix([i as f32; 16]),
            |value: &mut Matrix| value.0[15] as u64
        ),
    ]
}
