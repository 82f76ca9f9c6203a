//! Live blocks and what they must hold: their bytes, their alignment, a place that is nobody else's, inside of a block of the
//! backend; and the figures that follow from them.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ptr::NonNull;

use allocator_api2::alloc::AllocError as NoMemory;
use allocator_api2::alloc::Allocator;
use framealloc_core::{AllocError, Arena, Fallible, Frame, InitError, Scope, ThreadStats};

use super::vault::Vault;
use super::{Record, align, index, size};

/// The places of all live blocks, which never overlap.
#[derive(Default)]
pub(crate) struct Ground(BTreeMap<usize, usize>);

impl Ground {
    pub(crate) fn add(&mut self, start: usize, size: usize) {
        if size == 0 {
            return;
        }
        let end = start + size;
        if let Some((&other, &until)) = self.0.range(..end).next_back() {
            assert!(until <= start, "{start:#x}..{end:#x} overlaps {other:#x}..{until:#x}, which is live");
        }
        self.0.insert(start, end);
    }

    pub(crate) fn remove(&mut self, start: usize, size: usize) {
        if size != 0 {
            assert_eq!(self.0.remove(&start), Some(start + size), "the model's own books");
        }
    }

    /// Takes the places of another thread's blocks over.
    pub(crate) fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(start, end)| self.add(start, end - start));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A live block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    ptr: NonNull<u8>,
    layout: Layout,
    mark: u8,
    /// Bytes of the arena's figure that may be its.
    share: usize,
}

// SAFETY: a block is an address; who has it may read it while the memory is there, which the model's users see to.
unsafe impl Send for Block {}

/// Bytes at either end of a long block that are written and read.
const EDGE: usize = 256;

/// What stands at a place of a block of this mark: not the same everywhere, so that bytes that were moved show.
fn byte(mark: u8, at: usize) -> u8 {
    mark ^ (at as u8).wrapping_mul(31) ^ (at >> 8) as u8
}

/// The written parts of a block of this size.
fn parts(size: usize) -> [std::ops::Range<usize>; 2] {
    if size <= 4 * EDGE { [0..size, 0..0] } else { [0..EDGE, size - EDGE..size] }
}

impl Block {
    pub(crate) fn start(&self) -> usize {
        self.ptr.addr().get()
    }

    pub(crate) fn size(&self) -> usize {
        self.layout.size()
    }

    fn fill(&self) {
        for at in parts(self.size()).into_iter().flatten() {
            // SAFETY: inside the block, which is live.
            unsafe { self.ptr.add(at).write(byte(self.mark, at)) };
        }
    }

    /// The bytes that were written to a block of `written` bytes, those below `until`, are there.
    fn verify_moved(&self, written: usize, until: usize) {
        for at in parts(written).into_iter().flatten().filter(|&at| at < until) {
            // SAFETY: written before, and inside the block, which is live.
            let found = unsafe { self.ptr.add(at).read() };
            assert_eq!(found, byte(self.mark, at), "byte {at} of {self:?}");
        }
    }

    /// Its bytes are there.
    pub(crate) fn verify(&self) {
        self.verify_moved(self.size(), self.size());
    }
}

/// A value of an alignment.
macro_rules! value {
    ($arena:expr, $align:literal, $len:literal, $mark:expr) => {{
        #[repr(align($align))]
        struct Value(#[allow(dead_code, reason = "read by its bytes")] [u8; $len]);
        let mark = $mark;
        let place = $arena.try_alloc(Value(std::array::from_fn(|at| byte(mark, at))))?;
        Ok((NonNull::from(place).cast(), Layout::from_size_align($len, $align).unwrap()))
    }};
}

/// What gives out blocks. The layout that comes with one covers the written bytes only.
pub(crate) trait Surface {
    const MIN: usize;

    fn place(&self, layout: Layout) -> Result<NonNull<u8>, AllocError>;
    /// A value whose layout is a constant, which holds [`byte`]s already.
    fn value(&self, kind: u16, mark: u8) -> Result<(NonNull<u8>, Layout), AllocError>;
    /// A value that is not made after all.
    fn fail(&self, kind: u16) -> Result<(), AllocError>;
    /// As an allocator, if it is one, of which a refusal is an error or, where nothing is refused, a panic.
    fn allocator(&self, quiet: bool) -> Option<impl Allocator>;
    fn stats(&self) -> Option<ThreadStats>;
}

macro_rules! surface {
    ([$($generics:tt)*] $type:ty, $min:expr, |$me:ident| $allocator:expr, $stats:expr) => {
        impl<$($generics)*> Surface for $type {
            const MIN: usize = $min;

            fn place(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
                self.try_alloc_layout(layout)
            }

            fn value(&self, kind: u16, mark: u8) -> Result<(NonNull<u8>, Layout), AllocError> {
                match kind % 12 {
                    0 => value!(self, 1, 0, mark),
                    1 => value!(self, 1, 1, mark),
                    2 => value!(self, 2, 2, mark),
                    3 => value!(self, 4, 12, mark),
                    4 => value!(self, 8, 8, mark),
                    5 => value!(self, 8, 40, mark),
                    6 => value!(self, 16, 16, mark),
                    7 => value!(self, 64, 128, mark),
                    8 => value!(self, 256, 256, mark),
                    9 => value!(self, 4096, 4096, mark),
                    10 => value!(self, 4096, 0, mark),
                    _ => value!(self, 1, 1021, mark),
                }
            }

            fn fail(&self, kind: u16) -> Result<(), AllocError> {
                #[repr(align(64))]
                struct Line(#[allow(dead_code, reason = "never made")] [u8; 64]);
                let failed = match kind % 3 {
                    0 => self.try_alloc_with(|| Err::<u8, ()>(())).err(),
                    1 => self.try_alloc_with(|| Err::<Line, ()>(())).err(),
                    _ => self.try_alloc_with(|| Err::<[u8; 700], ()>(())).err(),
                };
                match failed.expect("an error was returned") {
                    InitError::Init(()) => Ok(()),
                    InitError::Alloc(error) => Err(error),
                }
            }

            fn allocator(&self, quiet: bool) -> Option<impl Allocator> {
                let $me = self;
                $allocator.map(|(plain, fallible)| Way { plain, fallible, quiet })
            }

            fn stats(&self) -> Option<ThreadStats> {
                let $me = self;
                $stats
            }
        }
    };
}

surface!([const M: usize] Arena<M>, M, |me| Some((me, me.fallible())), Some(Arena::stats(me)));
surface!(['f] Frame<'f>, 8, |me| Some((*me, me.fallible())), Some(Frame::stats(*me)));
// A scope gives no figures, and is an allocator as a frame only: see `arena`.
surface!(['s, 'env, const M: usize] Scope<'s, 'env, M>, M, |_me| None::<(Frame<'_>, Fallible<Frame<'_>>)>, None);

/// The two allocators that a surface is.
struct Way<P, F> {
    plain: P,
    fallible: F,
    quiet: bool,
}

macro_rules! either {
    ($me:ident, $($call:tt)+) => {
        if $me.quiet { $me.fallible.$($call)+ } else { $me.plain.$($call)+ }
    };
}

// SAFETY: both are allocators of one surface.
unsafe impl<P: Allocator, F: Allocator> Allocator for Way<P, F> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        either!(self, allocate(layout))
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { either!(self, deallocate(ptr, layout)) }
    }

    unsafe fn grow(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        // SAFETY: the caller's promise.
        unsafe { either!(self, grow(ptr, old, new)) }
    }

    unsafe fn grow_zeroed(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        // SAFETY: the caller's promise.
        unsafe { either!(self, grow_zeroed(ptr, old, new)) }
    }

    unsafe fn shrink(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        // SAFETY: the caller's promise.
        unsafe { either!(self, shrink(ptr, old, new)) }
    }
}

/// A step that concerns one block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Value {
        kind: u16,
    },
    Place {
        layout: Layout,
    },
    Allocate {
        layout: Layout,
        zeroed: bool,
    },
    Resize {
        at: u16,
        size: usize,
        align: usize,
        zeroed: bool,
    },
    Free {
        at: u16,
    },
    /// The last block.
    FreeLast,
    Brief {
        layout: Layout,
    },
    Fail {
        kind: u16,
    },
}

impl From<Record> for Op {
    fn from(record: Record) -> Self {
        let Record { kind, a, b, c } = record;
        let layout = Layout::from_size_align(size(a), align(b)).unwrap();
        match kind % 16 {
            0 | 1 => Self::Value { kind: c },
            2 => Self::Place { layout },
            3..=5 => Self::Allocate { layout, zeroed: c % 4 == 1 },
            6..=10 => Self::Resize { at: c, size: size(a), align: align(b), zeroed: kind % 16 == 6 },
            11 | 12 => Self::Free { at: c },
            13 => Self::FreeLast,
            14 => Self::Brief { layout },
            _ => Self::Fail { kind: c },
        }
    }
}

fn bytes(memory: NonNull<[u8]>, size: usize) -> NonNull<u8> {
    assert!(memory.len() >= size, "{} bytes for {size}", memory.len());
    memory.cast()
}

/// The blocks that one surface gave out and that are live.
#[derive(Default)]
pub(crate) struct Level {
    pub(crate) blocks: Vec<Block>,
    next: u8,
    /// What is refused is an error of the model if memory is not limited.
    limited: bool,
}

/// What a step may have done to the figures.
struct Span {
    /// Bytes by which the figure may have grown for a moment.
    gain: usize,
    /// Bytes by which it may have fallen.
    loss: usize,
}

impl Level {
    pub(crate) fn new(limited: bool) -> Self {
        Self { limited, ..Self::default() }
    }

    pub(crate) fn verify(&self) {
        self.blocks.iter().for_each(Block::verify);
    }

    pub(crate) fn forget(&mut self, ground: &mut Ground) {
        self.blocks.drain(..).for_each(|block| ground.remove(block.start(), block.size()));
    }

    fn refused<E>(&self, _: E) -> Option<Block> {
        assert!(self.limited, "refused, though there is memory");
        None
    }

    fn keep(&mut self, ground: &mut Ground, vault: &Vault, block: Block, min: usize) {
        assert!(block.start().is_multiple_of(block.layout.align().max(min)), "{block:?} is not aligned");
        if block.size() != 0 {
            assert!(vault.holds(block.start(), block.size()), "{block:?} is outside of the backend's memory");
        }
        ground.add(block.start(), block.size());
        self.blocks.push(block);
    }

    /// Does a step, and compares.
    pub(crate) fn step<S: Surface>(&mut self, surface: &S, ground: &mut Ground, vault: &Vault, op: Op) {
        let before = surface.stats();
        let Some(span) = self.act(surface, ground, vault, op) else { return };
        let (Some(before), Some(after)) = (before, surface.stats()) else { return };
        let (was, is) = (before.bytes_allocated, after.bytes_allocated);
        assert!(is <= was + span.gain, "{op:?} took {} bytes, {} at most", is - was, span.gain);
        assert!(is + span.loss >= was, "{op:?} gave {} bytes back, {} at most", was - is, span.loss);
        assert!(after.peak >= before.peak.max(is), "{op:?}: the peak of {} is {}", is, after.peak);
        assert!(after.peak <= before.peak.max(was + span.gain), "{op:?}: a peak of {} was never there", after.peak);
        let least: usize = self.blocks.iter().map(|block| block.size().next_multiple_of(S::MIN)).sum();
        assert!(is >= least, "{op:?}: {is} bytes are handed out, and {least} are live");
    }

    fn act<S: Surface>(&mut self, surface: &S, ground: &mut Ground, vault: &Vault, op: Op) -> Option<Span> {
        self.next = self.next.wrapping_mul(5).wrapping_add(77);
        let mark = self.next;
        let share = |layout: Layout| (layout.size() + layout.align().saturating_sub(S::MIN)).next_multiple_of(S::MIN);
        let mut span = Span { gain: 0, loss: 0 };
        match op {
            Op::Value { kind } => match surface.value(kind, mark) {
                Ok((ptr, layout)) => {
                    span.gain = share(layout);
                    let block = Block { ptr, layout, mark, share: span.gain };
                    block.verify();
                    self.keep(ground, vault, block, S::MIN);
                }
                Err(error) => _ = self.refused(error),
            },
            Op::Place { layout } => match surface.place(layout) {
                Ok(ptr) => {
                    span.gain = share(layout);
                    let block = Block { ptr, layout, mark, share: span.gain };
                    block.fill();
                    self.keep(ground, vault, block, S::MIN);
                }
                Err(error) => _ = self.refused(error),
            },
            Op::Allocate { layout, zeroed } => {
                let allocator = surface.allocator(self.limited || mark.is_multiple_of(2))?;
                let memory = if zeroed { allocator.allocate_zeroed(layout) } else { allocator.allocate(layout) };
                match memory {
                    Ok(memory) => {
                        span.gain = share(layout);
                        let ptr = bytes(memory, layout.size());
                        if zeroed {
                            all_zero(ptr, 0, layout.size());
                        }
                        let block = Block { ptr, layout, mark, share: span.gain };
                        block.fill();
                        self.keep(ground, vault, block, S::MIN);
                    }
                    Err(error) => _ = self.refused(error),
                }
            }
            Op::Resize { at, size, align, zeroed } => {
                let allocator = surface.allocator(self.limited || mark.is_multiple_of(2))?;
                if self.blocks.is_empty() {
                    return None;
                }
                let at = index(at, self.blocks.len());
                let old = self.blocks[at];
                let new = Layout::from_size_align(size, align).unwrap();
                old.verify();
                // SAFETY: the block is live, of this surface, and has its layout; which of the two it is, the sizes tell.
                let memory = unsafe {
                    if size < old.size() {
                        allocator.shrink(old.ptr, old.layout, new)
                    } else if zeroed {
                        allocator.grow_zeroed(old.ptr, old.layout, new)
                    } else {
                        allocator.grow(old.ptr, old.layout, new)
                    }
                };
                match memory {
                    Ok(memory) => {
                        self.blocks.swap_remove(at);
                        ground.remove(old.start(), old.size());
                        span.gain = share(new);
                        span.loss = old.share;
                        let ptr = bytes(memory, size);
                        // In place it may keep what it had.
                        let kept = if ptr == old.ptr { old.share } else { 0 };
                        let block = Block { ptr, layout: new, mark: old.mark, share: span.gain.max(kept) };
                        block.verify_moved(old.size(), size);
                        if zeroed && size > old.size() {
                            all_zero(ptr, old.size(), size);
                        }
                        block.fill();
                        self.keep(ground, vault, block, S::MIN);
                    }
                    // The block is as it was, which the next look shows.
                    Err(error) => _ = self.refused(error),
                }
            }
            Op::Free { .. } | Op::FreeLast => {
                let allocator = surface.allocator(self.limited || mark.is_multiple_of(2))?;
                let last = self.blocks.len().checked_sub(1)?;
                let at = if let Op::Free { at } = op { index(at, last + 1) } else { last };
                let block = self.blocks.swap_remove(at);
                block.verify();
                ground.remove(block.start(), block.size());
                span.loss = block.share;
                // SAFETY: live, of this surface, with its layout, and gone from the model.
                unsafe { allocator.deallocate(block.ptr, block.layout) };
            }
            Op::Brief { layout } => {
                let allocator = surface.allocator(self.limited || mark.is_multiple_of(2))?;
                match allocator.allocate(layout) {
                    Ok(memory) => {
                        span.gain = share(layout);
                        let block = Block { ptr: bytes(memory, layout.size()), layout, mark, share: span.gain };
                        block.fill();
                        self.keep(ground, vault, block, S::MIN);
                        self.blocks.pop();
                        block.verify();
                        ground.remove(block.start(), block.size());
                        let full = surface.stats().map(|stats| stats.bytes_allocated);
                        // SAFETY: live, of this surface, with its layout, and gone from the model.
                        unsafe { allocator.deallocate(block.ptr, block.layout) };
                        // The last block goes back, but for one that has a chunk of its own for its alignment.
                        if let (Some(full), Some(stats)) = (full, surface.stats()) {
                            let least = if layout.align() <= 64 { layout.size().next_multiple_of(S::MIN) } else { 0 };
                            assert!(full - stats.bytes_allocated >= least, "{op:?}: the last block stays");
                        }
                    }
                    Err(error) => _ = self.refused(error),
                }
            }
            Op::Fail { kind } => {
                // The padding before a value that is aligned to more than the minimum stays.
                span.gain = if kind % 3 == 1 { 64 - S::MIN } else { 0 };
                if let Err(error) = surface.fail(kind) {
                    self.refused(error);
                }
            }
        }
        Some(span)
    }
}

/// The written parts of what is to be zeroed are.
fn all_zero(ptr: NonNull<u8>, from: usize, until: usize) {
    for at in parts(until - from).into_iter().flatten() {
        // SAFETY: the caller's block is live and has so many bytes, which were zeroed.
        assert_eq!(unsafe { ptr.add(from + at).read() }, 0, "byte {} of {until} is not zero", from + at);
    }
}
