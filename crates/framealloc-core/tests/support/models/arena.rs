//! One arena: blocks of every size and alignment, grown, shrunk and freed in any order, in nested scopes that rewind, over
//! chunks of every growth, with and without a limit of memory, for each minimum alignment.

use framealloc_core::{Arena, Scope, TrimPolicy};

use super::blocks::{Ground, Level, Op, Surface};
use super::vault::Vault;
use super::{Program, Record};

/// A step of an arena's program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Op(Op),
    Open,
    Close,
    Reset,
    Trim,
}

impl From<Record> for Step {
    fn from(record: Record) -> Self {
        match record.kind {
            // Few, so that there is something to rewind.
            0..=23 => Self::Open,
            24..=43 => Self::Close,
            44..=49 => Self::Reset,
            50..=52 => Self::Trim,
            kind => Self::Op(Record { kind: kind - 53, ..record }.into()),
        }
    }
}

/// What is shared by all levels of scopes.
struct Model {
    ground: Ground,
    vault: Vault,
    limited: bool,
}

/// A scope that takes steps: as itself, or, with the minimum alignment of frames, as a frame, which is an allocator.
trait Steps {
    fn step(&self, level: &mut Level, model: &mut Model, op: Op);
    fn nest(&mut self, steps: &mut std::slice::Iter<'_, Step>, model: &mut Model);
}

macro_rules! steps {
    ($($min:literal)*) => { $(
        impl Steps for Scope<'_, '_, $min> {
            fn step(&self, level: &mut Level, model: &mut Model, op: Op) {
                level.step(self, &mut model.ground, &model.vault, op);
            }

            fn nest(&mut self, steps: &mut std::slice::Iter<'_, Step>, model: &mut Model) {
                self.scope(|inner| scope(inner, steps, model));
            }
        }
    )* };
}

steps!(1 2 4 16 32 64);

impl Steps for Scope<'_, '_, 8> {
    fn step(&self, level: &mut Level, model: &mut Model, op: Op) {
        match op {
            Op::Value { kind } if kind.is_multiple_of(2) => level.step(self, &mut model.ground, &model.vault, op),
            _ => level.step(&self.frame(), &mut model.ground, &model.vault, op),
        }
    }

    fn nest(&mut self, steps: &mut std::slice::Iter<'_, Step>, model: &mut Model) {
        let before = self.frame().stats();
        self.scope(|inner| scope(inner, steps, model));
        let after = self.frame().stats();
        assert_eq!(after.bytes_allocated, before.bytes_allocated, "a scope gives back what it took");
        assert!(after.peak >= before.peak);
    }
}

fn scope(scope: &mut impl Steps, steps: &mut std::slice::Iter<'_, Step>, model: &mut Model) {
    let mut level = Level::new(model.limited);
    while let Some(&step) = steps.next() {
        match step {
            Step::Op(op) => scope.step(&mut level, model, op),
            Step::Open => {
                scope.nest(steps, model);
                level.verify();
            }
            Step::Close => break,
            // These need the arena, which is lent.
            Step::Reset | Step::Trim => {}
        }
    }
    level.verify();
    level.forget(&mut model.ground);
}

/// Every live block lies in the filled part of a chunk in use, and these parts are what the figure says.
fn look<const M: usize>(arena: &mut Arena<M>, level: &Level, vault: &Vault) {
    assert_eq!(arena.committed(), vault.live().1, "what the arena holds is what the backend gave");
    let stats = arena.stats();
    let parts: Vec<_> = arena.chunks().map(|(start, bytes)| (start.addr().get(), bytes)).collect();
    assert_eq!(parts.iter().map(|(_, bytes)| bytes).sum::<usize>(), stats.bytes_allocated);
    assert!(stats.chunks >= parts.len(), "a chunk in use is counted");
    for block in level.blocks.iter().filter(|block| block.size() != 0) {
        let inside =
            |&(start, bytes): &(usize, usize)| start <= block.start() && block.start() + block.size() <= start + bytes;
        assert!(parts.iter().any(inside), "{block:?} lies in no chunk");
    }
}

fn run_with<const M: usize>(program: &Program<Step>)
where
    for<'s, 'env> Scope<'s, 'env, M>: Steps,
{
    let Record { kind, a, b, c } = program.setup;
    let min = 1024 << (a % 8);
    let max = min << (c % 5);
    let limit = if kind & 0x80 == 0 { None } else { Some(4096 * (1 + usize::from(b))) };
    let vault = if a & 8 == 0 { Vault::new(limit) } else { Vault::dense(limit) };
    let policy = if c & 0x100 == 0 { TrimPolicy::AfterFrames(u32::from(c >> 9) % 4) } else { TrimPolicy::Never };
    let mut arena = Arena::<M>::try_with(vault.boxed(), min, max).unwrap().with_trim(policy);
    assert_eq!((arena.committed(), vault.live()), (0, (0, 0)), "an arena that was not used has nothing");

    let mut model = Model { ground: Ground::default(), vault: vault.clone(), limited: limit.is_some() };
    let mut level = Level::new(model.limited);
    let mut steps = program.steps.iter();
    let mut done = 0usize;
    while let Some(&step) = steps.next() {
        match step {
            Step::Op(op) => level.step(&arena, &mut model.ground, &vault, op),
            Step::Open => {
                let before = arena.stats();
                arena.scope(|inner| scope(inner, &mut steps, &mut model));
                let after = arena.stats();
                assert_eq!(after.bytes_allocated, before.bytes_allocated, "a scope gives back what it took");
                assert!(after.peak >= before.peak);
                level.verify();
            }
            Step::Close => look(&mut arena, &level, &vault),
            Step::Reset => {
                level.verify();
                level.forget(&mut model.ground);
                arena.reset();
                let stats = arena.stats();
                assert_eq!((stats.bytes_allocated, stats.peak, stats.waste, stats.chunks), (0, 0, 0, 0));
                assert_eq!(arena.chunks().count(), 0);
            }
            Step::Trim => {
                let (before, held) = (arena.stats(), vault.live().1);
                let freed = arena.trim();
                assert_eq!(vault.live().1 + freed, held, "what was given back is what the backend got");
                assert_eq!(arena.stats().bytes_allocated, before.bytes_allocated);
            }
        }
        done += 1;
        if done.is_multiple_of(8) {
            level.verify();
            look(&mut arena, &level, &vault);
        }
    }
    level.verify();
    look(&mut arena, &level, &vault);
    level.forget(&mut model.ground);
    assert!(model.ground.is_empty(), "all of the scopes' blocks are forgotten");
    arena.reset();
    arena.trim();
    assert_eq!(vault.live(), (0, 0), "an arena in which nothing lies gives everything back");
    let _ = arena.place(std::alloc::Layout::new::<u64>());
    drop(arena);
    assert_eq!(vault.live(), (0, 0), "an arena that is dropped gives everything back");
}

pub(crate) fn run(program: &Program<Step>) {
    match program.setup.kind & 0x7f {
        0..=15 => run_with::<1>(program),
        16..=23 => run_with::<2>(program),
        24..=31 => run_with::<4>(program),
        32..=95 => run_with::<8>(program),
        96..=111 => run_with::<16>(program),
        112..=119 => run_with::<32>(program),
        _ => run_with::<64>(program),
    }
}
