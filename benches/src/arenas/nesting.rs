//! Scopes in scopes, and scratch memory in a loop.

use std::hint::black_box;

use bump_scope::BumpBox;

use super::names::*;
use crate::row::{Group, Row};

/// Nests of four scopes in a pass.
const NESTS: u64 = 1_000;
/// Rounds of scratch memory in a pass.
const ROUNDS: u64 = 1_000;
/// Values of a round.
const VALUES: u64 = 16;

/// framealloc's scratch arenas, leased and given back.
const SCRATCH: &str = "framealloc SmartAlloc::scratch";
/// One scratch arena, which is reset.
const SCRATCH_RESET: &str = "framealloc Scratch::reset";
/// A scope of an arena.
const ARENA_SCOPE: &str = "framealloc Arena::scope";
/// bump-scope's closures.
const SCOPED: &str = "bump-scope, scoped";
/// bump-scope's guards.
const GUARD: &str = "bump-scope, scope_guard";

/// The other arenas have no scopes, or none that nests in safe code.
fn nests() -> Row {
    Row {
        id: "scopes",
        group: Group::Nesting,
        work: "1,000 times four scopes, one in the other, with a value allocated in each before the next opens",
        unit: "scope",
        operations: 4 * NESTS,
        contenders: vec![
            pass!(reset ARENA_SCOPE, framealloc::Arena::new(), |arena| {
                let mut sum = 0;
                for i in 0..NESTS {
                    sum += arena.scope(|a| {
                        let one = black_box(a.alloc(i));
                        a.scope(|b| {
                            let two = black_box(b.alloc(i + 1));
                            b.scope(|c| {
                                let three = black_box(c.alloc(i + 2));
                                c.scope(|d| *one + *two + *three + *black_box(d.alloc(i + 3)))
                            })
                        })
                    });
                }
                sum
            }),
            pass!(reset SCOPED, super::Scope::new(), |bump| {
                let mut sum = 0;
                for i in 0..NESTS {
                    sum += bump.scoped(|a| {
                        let one = black_box(BumpBox::leak(a.alloc(i)));
                        a.scoped(|b| {
                            let two = black_box(BumpBox::leak(b.alloc(i + 1)));
                            b.scoped(|c| {
                                let three = black_box(BumpBox::leak(c.alloc(i + 2)));
                                c.scoped(|d| *one + *two + *three + *black_box(BumpBox::leak(d.alloc(i + 3))))
                            })
                        })
                    });
                }
                sum
            }),
            pass!(reset GUARD, super::Scope::new(), |bump| {
                let mut sum = 0;
                for i in 0..NESTS {
                    let mut guard = bump.scope_guard();
                    let a = guard.scope();
                    let one = black_box(BumpBox::leak(a.alloc(i)));
                    let mut guard = a.scope_guard();
                    let b = guard.scope();
                    let two = black_box(BumpBox::leak(b.alloc(i + 1)));
                    let mut guard = b.scope_guard();
                    let c = guard.scope();
                    let three = black_box(BumpBox::leak(c.alloc(i + 2)));
                    let mut guard = c.scope_guard();
                    let d = guard.scope();
                    sum += *one + *two + *three + *black_box(BumpBox::leak(d.alloc(i + 3)));
                }
                sum
            }),
        ],
        bars: Vec::new(),
    }
}

/// The values of a round.
macro_rules! values {
    ($round:ident, |$value:ident| $alloc:expr) => {{
        let mut sum = 0;
        for i in 0..VALUES {
            let $value = $round + i;
            sum += *black_box($alloc);
        }
        sum
    }};
}

/// A leased arena stands beside the frame and other scratches; the others are one arena, held by the loop.
fn scratches() -> Row {
    Row {
        id: "scratch",
        group: Group::Nesting,
        work: "1,000 times 16 `u64`s in scratch memory that is freed again",
        unit: "scratch",
        operations: ROUNDS,
        contenders: vec![
            crate::contender!(SCRATCH, framealloc::SmartAlloc::default(), |alloc| {
                let mut sum = 0;
                for round in 0..ROUNDS {
                    let scratch = alloc.scratch();
                    sum += values!(round, |value| scratch.alloc(value));
                }
                alloc.end_frame();
                sum
            }),
            crate::contender!(SCRATCH_RESET, framealloc::SmartAlloc::default(), |alloc| {
                let mut sum = 0;
                let mut scratch = alloc.scratch();
                for round in 0..ROUNDS {
                    sum += values!(round, |value| scratch.alloc(value));
                    scratch.reset();
                }
                drop(scratch);
                alloc.end_frame();
                sum
            }),
            crate::contender!(ARENA, framealloc::Arena::new(), |arena| {
                let mut sum = 0;
                for round in 0..ROUNDS {
                    sum += values!(round, |value| arena.alloc(value));
                    arena.reset();
                }
                sum
            }),
            pass!(reset ARENA_SCOPE, framealloc::Arena::new(), |arena| {
                let mut sum = 0;
                for round in 0..ROUNDS {
                    sum += arena.scope(|scope| values!(round, |value| scope.alloc(value)));
                }
                sum
            }),
            crate::contender!(BUMPALO, bumpalo::Bump::new(), |bump| {
                let mut sum = 0;
                for round in 0..ROUNDS {
                    sum += values!(round, |value| bump.alloc(value));
                    bump.reset();
                }
                sum
            }),
            pass!(reset SCOPED, super::Scope::new(), |bump| {
                let mut sum = 0;
                for round in 0..ROUNDS {
                    sum += bump.scoped(|scope| values!(round, |value| BumpBox::leak(scope.alloc(value))));
                }
                sum
            }),
            crate::contender!(BLINK, blink_alloc::Blink::new(), |blink| {
                let mut sum = 0;
                for round in 0..ROUNDS {
                    sum += values!(round, |value| blink.put_no_drop(value));
                    blink.reset();
                }
                sum
            }),
            crate::contender!(MULTITUDE, multitude::Arena::new(), |arena| {
                let mut sum = 0;
                for round in 0..ROUNDS {
                    sum += values!(round, |value| &mut *arena.alloc(value));
                    arena.reset();
                }
                sum
            }),
        ],
        bars: Vec::new(),
    }
}

/// The rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    vec![nests(), scratches()]
}
