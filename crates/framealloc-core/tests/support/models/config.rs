//! Settings of every value, backends that fail, lie and unwind, governors that answer nonsense: what is refused is an error and
//! changes nothing, what is granted is memory of one's own, and in the end the books of all are even.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allocator_api2::alloc::Allocator;
use framealloc_core::{
    AllocConfig, AllocErrorKind, AllocationResult, AllocatorBackend, FrameHandle, Governor, Outcome, PoolBox, Release,
    Request, Resource, SmartAlloc, SystemBackend, TagScope, TrimPolicy, Verdict,
};

use super::blocks::Ground;
use super::{Program, Record, align, index, size};

/// A step of a program whose memory is not to be relied on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Frame {
        layout: Layout,
    },
    Publish {
        len: usize,
    },
    Vec {
        len: u16,
    },
    Pool {
        kind: u16,
    },
    Block {
        layout: Layout,
    },
    Free {
        at: u16,
    },
    Scratch {
        layout: Layout,
    },
    /// Opens a tag scope around as many steps.
    Tag {
        count: u16,
    },
    End,
    Seal,
    Trim,
    /// What the backends and governors answer from here on.
    Mood {
        backend: u16,
        governor: u16,
    },
}

impl From<Record> for Step {
    fn from(record: Record) -> Self {
        let Record { kind, a, b, c } = record;
        // Sizes that no backend has are asked for, too.
        let size = if c % 32 == 31 { isize::MAX as usize >> (b % 8) } else { size(a) };
        let layout = Layout::from_size_align(size, align(b)).unwrap_or(Layout::new::<u64>());
        match kind % 32 {
            0..=6 => Self::Frame { layout },
            7..=10 => Self::Publish { len: super::size(a) },
            11..=13 => Self::Vec { len: a % 700 },
            14..=17 => Self::Pool { kind: a },
            18 | 19 => Self::Block { layout },
            20 | 21 => Self::Free { at: a },
            22 | 23 => Self::Scratch { layout },
            24 => Self::Tag { count: a % 16 },
            25 | 26 => Self::End,
            27 => Self::Seal,
            28 => Self::Trim,
            _ => Self::Mood { backend: a, governor: c },
        }
    }
}

/// What the panics of a backend or governor carry: not a text, and without a report.
struct Planned;

/// What all of them remember.
#[derive(Default)]
struct Books {
    /// A mood and a position: together they tell the next answers.
    backend: u16,
    governor: u16,
    turn: u16,
    live: BTreeMap<usize, Layout>,
    lies: Vec<(NonNull<u8>, Layout)>,
    held: BTreeMap<&'static str, usize>,
}

// SAFETY: lies are addresses of memory that the books own.
unsafe impl Send for Books {}

impl Books {
    fn turn(&mut self, mood: u16) -> u16 {
        self.turn = self.turn.wrapping_mul(25_173).wrapping_add(13_849);
        // A quiet mood is a good backend's.
        if mood.is_multiple_of(4) { 0 } else { (self.turn >> 4) ^ mood }
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        for (ptr, layout) in self.lies.drain(..) {
            // SAFETY: made by `real`; the lie was refused, so that nobody uses it.
            unsafe { SystemBackend::new().deallocate(ptr, layout) };
        }
    }
}

#[derive(Clone, Default)]
struct World(Arc<Mutex<Books>>);

impl World {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn real(layout: Layout) -> Option<NonNull<u8>> {
    match SystemBackend::new().allocate(layout) {
        AllocationResult::Ok(memory) => Some(memory.cast()),
        _ => None,
    }
}

/// A backend, one of several.
struct Liar(World);

// SAFETY: what it lies about is memory that nobody else uses; it hands memory out twice where that is found out only.
unsafe impl AllocatorBackend for Liar {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        assert!(layout.size() > 0, "a request for nothing");
        let mut books = self.0.books();
        let mood = books.backend;
        let answer = books.turn(mood) % 16;
        // Nobody else is to be asked for what no machine has.
        if layout.size() > 64 << 20 {
            return AllocationResult::Failed;
        }
        let lie = match answer {
            9 | 10 => return AllocationResult::Failed,
            11 => return AllocationResult::Fallback,
            12 => 1,
            13 => 2,
            14 if cfg!(debug_assertions) => {
                if let Some((&address, _)) = books.live.last_key_value() {
                    let ptr = NonNull::new(std::ptr::with_exposed_provenance_mut(address + 8)).unwrap();
                    return AllocationResult::Ok(NonNull::slice_from_raw_parts(ptr, layout.size()));
                }
                return AllocationResult::from_raw(std::ptr::null_mut(), layout.size());
            }
            15 => {
                drop(books);
                resume_unwind(Box::new(Planned));
            }
            _ => 0,
        };
        let longer = Layout::from_size_align(layout.size() + layout.align(), layout.align()).unwrap();
        let Some(ptr) = real(if lie == 1 { longer } else { layout }) else { return AllocationResult::Failed };
        match lie {
            0 => {
                books.live.insert(ptr.as_ptr().expose_provenance(), layout);
                AllocationResult::Ok(NonNull::slice_from_raw_parts(ptr, layout.size()))
            }
            1 => {
                books.lies.push((ptr, longer));
                // SAFETY: inside the longer block.
                AllocationResult::Ok(NonNull::slice_from_raw_parts(unsafe { ptr.add(1) }, layout.size()))
            }
            _ => {
                books.lies.push((ptr, layout));
                AllocationResult::Ok(NonNull::slice_from_raw_parts(ptr, layout.size() - 1))
            }
        }
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        let known = self.0.books().live.remove(&ptr.addr().get());
        assert_eq!(known, Some(layout), "a block comes back with its layout, once, and no lie does");
        // SAFETY: it was out with this layout.
        unsafe { SystemBackend::new().deallocate(ptr, layout) };
    }
}

/// A governor whose answers make no sense.
struct Moody(World);

impl Moody {
    fn verdict(&self, bytes: usize) -> Verdict {
        let mut books = self.0.books();
        let mood = books.governor;
        let turn = books.turn(mood);
        drop(books);
        match turn % 16 {
            8 => Verdict::Deny,
            9 => Verdict::AllowUpTo(0),
            10 => Verdict::AllowUpTo(bytes.saturating_sub(1)),
            11 => Verdict::AllowUpTo(usize::MAX),
            12 => Verdict::AllowUpTo(usize::from(turn)),
            13 => Verdict::AllowUpTo(bytes / 2 + 3),
            14 => resume_unwind(Box::new(Planned)),
            15 => Verdict::AllowUpTo(isize::MAX as usize),
            _ => Verdict::Allow,
        }
    }
}

fn name(resource: Resource) -> &'static str {
    match resource {
        Resource::Chunk => "chunk",
        Resource::Slab => "slab",
        Resource::Sealed => "sealed",
        _ => "large",
    }
}

impl Governor for Moody {
    fn request(&self, request: &Request) -> Verdict {
        assert!(request.minimum <= request.bytes);
        self.verdict(request.bytes)
    }

    fn settle(&self, outcome: &Outcome) {
        *self.0.books().held.entry(name(outcome.resource)).or_default() += outcome.obtained;
    }

    fn release(&self, release: &Release) {
        let (resource, bytes) = (release.resource, release.bytes);
        let mut books = self.0.books();
        let held = books.held.entry(name(resource)).or_default();
        assert!(*held >= bytes, "more {} memory is given back than was obtained", name(resource));
        *held -= bytes;
    }

    fn open_tag(&self, _: &TagScope) -> Verdict {
        self.verdict(4096)
    }

    fn extend_tag(&self, _: &TagScope, needed: usize) -> Verdict {
        self.verdict(needed)
    }
}

/// Words that settings might be set to.
fn word(code: u16) -> usize {
    let shift = code >> 8 & 63;
    match code & 7 {
        0..=3 => 1 << (10 + shift % 8),
        4 => 1usize << shift,
        5 => (1usize << shift) - 1,
        6 => usize::MAX >> shift,
        _ => usize::from(code),
    }
}

/// A live object that holds bytes.
enum Held {
    Word(PoolBox<[u64; 3]>),
    Large(PoolBox<[u64; 700]>),
    Block(NonNull<u8>, Layout),
}

struct Model {
    ground: Ground,
    /// Address, size and mark of what lies in the frame.
    frame: Vec<(NonNull<u8>, usize, u8)>,
    published: Vec<(FrameHandle<[u8]>, usize, u8)>,
    held: Vec<(Held, u8)>,
}

/// Bytes at either end that are written and read.
const EDGE: usize = 64;

fn fill(ptr: NonNull<u8>, size: usize, mark: u8) {
    let edge = size.min(EDGE);
    // SAFETY: the callers' memory is fresh and so long.
    unsafe {
        ptr.write_bytes(mark, edge);
        ptr.add(size - edge).write_bytes(mark, edge);
    }
}

fn verify(ptr: NonNull<u8>, size: usize, mark: u8) {
    let edge = size.min(EDGE);
    for from in [0, size - edge] {
        // SAFETY: live, so long, and filled at either end.
        let bytes = unsafe { std::slice::from_raw_parts(ptr.as_ptr().add(from), edge) };
        assert!(bytes.iter().all(|&byte| byte == mark), "bytes have changed");
    }
}

/// The result of something that may unwind as planned, and in no other way.
fn planned<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Planned>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

impl Model {
    fn verify(&self, alloc: &SmartAlloc) {
        self.frame.iter().for_each(|&(ptr, size, mark)| verify(ptr, size, mark));
        for &(handle, len, mark) in &self.published {
            let bytes = alloc.get(handle).expect("of this frame");
            assert!(bytes.len() == len && bytes.iter().all(|&byte| byte == mark));
        }
        for (held, mark) in &self.held {
            match held {
                Held::Word(words) => assert_eq!(**words, [u64::from(*mark); 3]),
                Held::Large(words) => assert!(words.iter().all(|&word| word == u64::from(*mark))),
                Held::Block(ptr, layout) => verify(*ptr, layout.size(), *mark),
            }
        }
    }

    fn leave_frame(&mut self) {
        for (ptr, size, _) in self.frame.drain(..) {
            self.ground.remove(ptr.addr().get(), size);
        }
        self.published.clear();
    }

    fn add(&mut self, ptr: NonNull<u8>, layout: Layout, mark: u8) {
        assert!(ptr.addr().get().is_multiple_of(layout.align()));
        fill(ptr, layout.size(), mark);
        self.ground.add(ptr.addr().get(), layout.size());
        self.frame.push((ptr, layout.size(), mark));
    }

    /// A step that needs the allocator shared only.
    fn shared(&mut self, alloc: &SmartAlloc, steps: &mut std::slice::Iter<'_, Step>, step: Step, mark: u8) {
        match step {
            Step::Frame { layout } => {
                let before = alloc.frame().stats();
                match planned(|| alloc.frame().try_alloc_layout(layout)) {
                    Some(Ok(ptr)) => self.add(ptr, layout, mark),
                    _ => assert_eq!(alloc.frame().stats().bytes_allocated, before.bytes_allocated),
                }
            }
            Step::Publish { len } => {
                let len = len % 800;
                if let Some(Ok(handle)) = planned(|| alloc.try_publish_slice_fill_with(len, |_| mark)) {
                    let bytes = alloc.get(handle).expect("just published");
                    self.ground.add(bytes.as_ptr().addr(), len);
                    self.frame.push((NonNull::from(bytes).cast(), len, mark));
                    self.published.push((handle, len, mark));
                }
            }
            Step::Vec { len } => {
                let mut vec = alloc.frame_vec();
                for i in 0..len {
                    match planned(|| vec.try_push(i)) {
                        Some(Ok(())) => {}
                        Some(Err((_, back))) => {
                            assert_eq!(back, i);
                            break;
                        }
                        None => break,
                    }
                }
                assert!(vec.iter().copied().eq(0..vec.len() as u16));
            }
            Step::Pool { kind } => {
                let mark_word = u64::from(mark);
                let made = if kind.is_multiple_of(4) {
                    planned(|| alloc.try_pool_box([mark_word; 700])).and_then(Result::ok).map(Held::Large)
                } else {
                    planned(|| alloc.try_pool_box([mark_word; 3])).and_then(Result::ok).map(Held::Word)
                };
                if let Some(held) = made {
                    let (start, size) = place(&held);
                    self.ground.add(start, size);
                    self.held.push((held, mark));
                }
            }
            Step::Block { layout } => {
                if let Some(Ok(memory)) = planned(|| alloc.pool().fallible().allocate(layout)) {
                    assert!(memory.len() >= layout.size());
                    let ptr = memory.cast::<u8>();
                    assert!(ptr.addr().get().is_multiple_of(layout.align()));
                    fill(ptr, layout.size(), mark);
                    self.ground.add(ptr.addr().get(), layout.size());
                    self.held.push((Held::Block(ptr, layout), mark));
                }
            }
            Step::Free { at } => {
                if !self.held.is_empty() {
                    let (held, _) = self.held.swap_remove(index(at, self.held.len()));
                    self.free(alloc, held);
                }
            }
            Step::Scratch { layout } => {
                let scratch = alloc.scratch();
                if let Some(Ok(ptr)) = planned(|| scratch.try_alloc_layout(layout)) {
                    fill(ptr, layout.size(), mark);
                    self.ground.add(ptr.addr().get(), layout.size());
                    self.verify(alloc);
                    self.ground.remove(ptr.addr().get(), layout.size());
                }
            }
            Step::Tag { count } => {
                // A governor that unwinds here leaves the scope closed.
                planned(|| {
                    alloc.with_tag("tag", |alloc| {
                        for inner in 0..count {
                            let Some(&step) = steps.next() else { break };
                            self.shared(alloc, steps, step, mark ^ inner as u8);
                        }
                    });
                });
            }
            Step::End | Step::Seal | Step::Trim | Step::Mood { .. } => {}
        }
    }

    fn free(&mut self, alloc: &SmartAlloc, held: Held) {
        let (start, size) = place(&held);
        self.ground.remove(start, size);
        match held {
            // SAFETY: of this pool, live with this layout, and gone from the model.
            Held::Block(ptr, layout) => unsafe { alloc.pool().deallocate(ptr, layout) },
            boxed => drop(boxed),
        }
    }
}

fn place(held: &Held) -> (usize, usize) {
    match held {
        Held::Word(words) => (words.as_ptr().addr(), size_of_val(&**words)),
        Held::Large(words) => (words.as_ptr().addr(), size_of_val(&**words)),
        Held::Block(ptr, layout) => (ptr.addr().get(), layout.size()),
    }
}

pub(crate) fn run(program: &Program<Step>) {
    let Record { kind, a, b, c } = program.setup;
    let world = World::default();
    let (min, max) = (word(a), if b & 1 == 0 { word(a).saturating_mul(1 << (b >> 1 & 3)) } else { word(c) });
    let in_flight = if b & 0x40 == 0 { usize::from(b >> 3 & 3) + 1 } else { word(c.rotate_left(5)) };
    // What is prefaulted is touched: as much as a program of these has, or more than there can be.
    let prefault = match kind >> 5 {
        0..=3 => 0,
        4 | 5 => usize::from(c) * 8,
        6 => isize::MAX as usize + 1 + usize::from(c),
        _ => usize::from(c % 64) << 14,
    };
    let mut config = AllocConfig::default()
        .with_frame_chunk(min, max)
        .with_frames_in_flight(in_flight)
        .with_prefault(prefault)
        .with_trim(if c & 1 == 0 { TrimPolicy::AfterFrames(u32::from(c >> 13)) } else { TrimPolicy::Never });
    // At least one: of the program's allocator nothing is to be asked that no machine has.
    for _ in 0..=kind % 3 {
        config = config.with_backend(Box::new(Liar(world.clone())));
    }
    let governed = kind & 8 != 0;
    if governed {
        config = config.with_governor(Moody(world.clone()));
    }
    if kind & 16 != 0 {
        let mut books = world.books();
        (books.backend, books.governor) = (c, a);
    }
    let is_chunk = |bytes: usize| bytes.is_power_of_two() && (1024..=1 << 40).contains(&bytes);
    let valid = is_chunk(min)
        && is_chunk(max)
        && min <= max
        && (1..=64).contains(&in_flight)
        && isize::try_from(prefault).is_ok();
    // Chunks of gigabytes are valid, and no backend has them.
    let made = planned(|| SmartAlloc::try_new(config));
    let Some(Ok(mut alloc)) = made else {
        if let Some(Err(error)) = made {
            let of_config = matches!(error.kind(), AllocErrorKind::Config { .. });
            assert_eq!(of_config, !valid, "{error}");
            assert!(of_config || prefault > 0, "{error}");
        }
        check_end(&world, governed);
        return;
    };
    assert!(valid, "settings that are out of their bounds were taken");

    let mut model = Model { ground: Ground::default(), frame: Vec::new(), published: Vec::new(), held: Vec::new() };
    let mut steps = program.steps.iter();
    let mut mark = 0u8;
    while let Some(&step) = steps.next() {
        mark = mark.wrapping_add(37);
        match step {
            Step::End => {
                model.verify(&alloc);
                model.leave_frame();
                alloc.end_frame();
            }
            Step::Seal => {
                model.verify(&alloc);
                let frame = alloc.stats().frame;
                let Some(Ok(sealed)) = planned(|| alloc.try_seal_frame()) else {
                    // Refused by the governor: nothing was changed.
                    assert_eq!(alloc.stats().frame, frame);
                    model.verify(&alloc);
                    continue;
                };
                for &(handle, len, mark) in &model.published {
                    assert!(
                        sealed.get(handle).is_ok_and(|bytes| bytes.len() == len && bytes.iter().all(|&b| b == mark))
                    );
                    assert!(alloc.get(handle).is_err());
                }
                model.leave_frame();
            }
            Step::Trim => _ = alloc.trim(),
            Step::Mood { backend, governor } => {
                let mut books = world.books();
                (books.backend, books.governor) = (backend, governor);
            }
            _ => model.shared(&alloc, &mut steps, step, mark),
        }
        if mark.is_multiple_of(8) {
            model.verify(&alloc);
        }
        if governed {
            let books = world.books();
            let held: usize = books.held.iter().filter(|(name, _)| **name != "sealed").map(|(_, bytes)| bytes).sum();
            drop(books);
            assert_eq!(held, alloc.stats().committed, "what the governor was told is what is held");
        }
    }
    // In a good mood there is memory again, whatever was.
    (world.books().backend, world.books().governor) = (0, 0);
    if max <= 1 << 20 {
        let layout = Layout::new::<[u64; 10]>();
        let ptr = alloc.frame().try_alloc_layout(layout).expect("there is memory");
        model.add(ptr, layout, mark);
        model.verify(&alloc);
    }
    for (held, _) in std::mem::take(&mut model.held) {
        model.free(&alloc, held);
    }
    model.leave_frame();
    assert!(model.ground.is_empty());
    drop(alloc);
    check_end(&world, governed);
}

fn check_end(world: &World, governed: bool) {
    let books = world.books();
    assert!(books.live.is_empty(), "all memory goes back: {:?}", books.live);
    if governed {
        assert!(books.held.values().all(|&held| held == 0), "the governor's books are even: {:?}", books.held);
    }
}
