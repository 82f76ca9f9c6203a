//! Two allocators on one thread and on two, with scratch arenas nested in any order: neither ever sees the other's memory, and
//! no boundary of one touches what is live in the other.

use std::slice::Iter;
use std::thread;

use framealloc_core::{AllocConfig, Frame, Scratch, SmartAlloc};

use super::blocks::{Block, Ground, Level, Op};
use super::vault::Vault;
use super::{Program, Record};

/// A step of a program of two allocators.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// In the frame of an allocator.
    Frame(usize, Op),
    /// In a scratch arena that is open, counted from the innermost one.
    Scratch(usize, Op),
    Open(usize),
    /// A frame of scratch memory is over, or the scratch itself.
    Reset,
    Close,
    End(usize),
    Trim(usize),
    /// The next steps run on another thread, at the same time as those after them do here.
    Fork(u8),
}

impl From<Record> for Step {
    fn from(record: Record) -> Self {
        let which = usize::from(record.c >> 15);
        let op = Record { kind: record.kind >> 3, ..record };
        match record.kind {
            0..=99 => Self::Frame(which, op.into()),
            100..=179 => Self::Scratch(usize::from(record.c >> 13), op.into()),
            180..=202 => Self::Open(which),
            203..=207 => Self::Reset,
            208..=227 => Self::Close,
            228..=244 => Self::End(which),
            245..=252 => Self::Trim(which),
            _ => Self::Fork(record.b % 16),
        }
    }
}

/// One allocator and the books of its backend.
struct Instance {
    alloc: SmartAlloc,
    vault: Vault,
}

/// What one thread has in the two frames.
#[derive(Default)]
struct Hands {
    ground: Ground,
    frames: [Level; 2],
    /// Blocks of threads that have ended: they stay as they are until the frame ends.
    left: [Vec<Block>; 2],
}

impl Hands {
    fn verify(&self) {
        self.frames.iter().for_each(Level::verify);
        self.left.iter().flatten().for_each(Block::verify);
    }

    /// Takes another thread's over.
    fn join(&mut self, other: Self) {
        other.verify();
        self.ground.merge(other.ground);
        for (which, (frame, left)) in other.frames.into_iter().zip(other.left).enumerate() {
            self.left[which].extend(frame.blocks.into_iter().chain(left));
        }
    }

    fn end(&mut self, which: usize) {
        self.verify();
        self.frames[which].forget(&mut self.ground);
        for block in self.left[which].drain(..) {
            self.ground.remove(block.start(), block.size());
        }
    }
}

/// An open scratch arena, in the ones around it.
struct Nest<'a> {
    scratch: &'a Scratch<'a>,
    which: usize,
    level: &'a std::cell::RefCell<Level>,
    outer: Option<&'a Nest<'a>>,
}

/// Runs steps until the scratch is closed. Boundaries need the allocators themselves: without a scratch the step is returned.
fn shared(
    instances: &[Instance; 2],
    steps: &mut Iter<'_, Step>,
    hands: &mut Hands,
    nest: Option<&Nest<'_>>,
) -> Option<Step> {
    while let Some(&step) = steps.next() {
        match step {
            Step::Frame(which, op) => {
                let Instance { alloc, vault } = &instances[which];
                hands.frames[which].step(&alloc.frame(), &mut hands.ground, vault, op);
            }
            Step::Scratch(up, op) => {
                let mut at = nest;
                for _ in 0..up {
                    at = at.and_then(|nest| nest.outer).or(at);
                }
                if let Some(nest) = at {
                    let frame: Frame<'_> = nest.scratch.frame();
                    let vault = &instances[nest.which].vault;
                    nest.level.borrow_mut().step(&frame, &mut hands.ground, vault, op);
                }
            }
            Step::Open(which) => open(instances, steps, hands, which, nest),
            Step::Reset | Step::Close if nest.is_some() => return Some(step),
            Step::Fork(count) => {
                let (there, here) = steps.as_slice().split_at(usize::from(count).min(steps.len()));
                let mut there = there.iter();
                *steps = here.iter();
                let theirs = thread::scope(|scope| {
                    let other = scope.spawn(move || {
                        let mut theirs = Hands::default();
                        while let Some(Step::End(_) | Step::Trim(_) | Step::Reset | Step::Close) =
                            shared(instances, &mut there, &mut theirs, None)
                        {}
                        theirs
                    });
                    // As many here, at the same time.
                    let (now, later) = steps.as_slice().split_at(usize::from(count).min(steps.len()));
                    let forked: Vec<_> = now
                        .iter()
                        .copied()
                        .filter(|step| matches!(step, Step::Frame(..) | Step::Scratch(..)))
                        .collect();
                    shared(instances, &mut forked.iter(), hands, nest);
                    *steps = later.iter();
                    other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                });
                hands.join(theirs);
            }
            Step::End(_) | Step::Trim(_) if nest.is_none() => return Some(step),
            Step::Reset | Step::Close | Step::End(_) | Step::Trim(_) => {}
        }
    }
    None
}

fn open(
    instances: &[Instance; 2],
    steps: &mut Iter<'_, Step>,
    hands: &mut Hands,
    which: usize,
    outer: Option<&Nest<'_>>,
) {
    let level = std::cell::RefCell::new(Level::default());
    let mut scratch = instances[which].alloc.scratch();
    loop {
        let step = {
            let nest = Nest { scratch: &scratch, which, level: &level, outer };
            shared(instances, steps, hands, Some(&nest))
        };
        let mut level = level.borrow_mut();
        level.verify();
        level.forget(&mut hands.ground);
        if let Some(Step::Reset) = step {
            scratch.reset();
            assert_eq!(scratch.frame().stats().bytes_allocated, 0);
        } else {
            break;
        }
    }
    // Those around it are as they were.
    let mut at = outer;
    while let Some(nest) = at {
        nest.level.borrow().verify();
        at = nest.outer;
    }
}

pub(crate) fn run(program: &Program<Step>) {
    let Record { kind, a, c, .. } = program.setup;
    let mut instances = [kind, kind >> 4].map(|kind| {
        let vault = Vault::new(None);
        let min = 1024 << (a % 6);
        let config = AllocConfig::default()
            .with_backend(vault.boxed())
            .with_frame_chunk(min, min << (c % 4))
            .with_frames_in_flight(usize::from(kind % 3) + 1);
        Instance { alloc: SmartAlloc::new(config), vault }
    });
    let mut hands = Hands::default();
    let mut steps = program.steps.iter();
    while let Some(step) = shared(&instances, &mut steps, &mut hands, None) {
        match step {
            Step::End(which) => {
                hands.end(which);
                instances[which].alloc.end_frame();
                assert_eq!(instances[which].alloc.frame().stats().bytes_allocated, 0);
                if kind & 8 != 0 {
                    // Moved between frames: nothing depends on where it lies.
                    let [one, other] = &mut instances;
                    std::mem::swap(&mut one.alloc, &mut other.alloc);
                    std::mem::swap(&mut one.alloc, &mut other.alloc);
                }
            }
            Step::Trim(which) => {
                let held = instances[which].vault.live().1;
                let freed = instances[which].alloc.trim();
                assert_eq!(instances[which].vault.live().1 + freed, held);
            }
            _ => {}
        }
        hands.verify();
    }
    hands.verify();
    for which in [usize::from(kind >> 7), 1 - usize::from(kind >> 7)] {
        hands.end(which);
    }
    assert!(hands.ground.is_empty(), "the model's own books");
    let [one, other] = instances.map(|Instance { alloc, vault }| {
        drop(alloc);
        vault.live()
    });
    assert_eq!((one, other), ((0, 0), (0, 0)), "all memory goes back");
}
