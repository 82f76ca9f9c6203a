//! Pools: boxes and blocks of every class and above, made and freed on any of three threads, also on dying ones, trimmed, and
//! closed while boxes live. Contents stay, nothing overlaps, and in the end all memory is back.

use std::alloc::Layout;
use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use allocator_api2::alloc::Allocator;
use framealloc_core::{AllocConfig, HeapBox, Pool, PoolBox, SmartAlloc};

use super::blocks::Ground;
use super::vault::Vault;
use super::{Program, Record, align, index, size};

/// A step of a program of pools. `thread` is 0 for the program's own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Box {
        kind: u16,
        thread: u8,
    },
    Heap {
        kind: u16,
        thread: u8,
    },
    Block {
        layout: Layout,
        thread: u8,
    },
    Resize {
        at: u16,
        layout: Layout,
        thread: u8,
    },
    Free {
        at: u16,
        thread: u8,
    },
    /// Many boxes of one kind: caches overflow, and slabs fill.
    Burst {
        kind: u16,
        count: u16,
        thread: u8,
    },
    FreeMany {
        at: u16,
        count: u16,
        thread: u8,
    },
    /// All threads at once.
    Together {
        kind: u16,
        count: u16,
    },
    Trim {
        thread: u8,
    },
    /// The thread ends, with what is in its cache.
    Retire {
        thread: u8,
    },
    /// A program's only allocator and pool handle go; boxes stay.
    Close,
}

impl From<Record> for Step {
    fn from(record: Record) -> Self {
        let Record { kind, a, b, c } = record;
        // Mostly on the program's own thread: changing threads takes long.
        let thread = if c.is_multiple_of(12) { (c / 12 % 3) as u8 } else { 0 };
        let layout = Layout::from_size_align(size(a), align(b)).unwrap();
        match kind {
            0..=69 => Self::Box { kind: a, thread },
            70..=79 => Self::Heap { kind: a, thread },
            80..=119 => Self::Block { layout, thread },
            120..=144 => Self::Resize { at: c, layout, thread },
            145..=204 => Self::Free { at: a, thread },
            // Of the large ones not so many.
            205..=219 => Self::Burst { kind: a, count: 1 + c / 32 % if a % 25 < 16 { 600 } else { 40 }, thread },
            220..=239 => Self::FreeMany { at: a, count: 1 + c / 32 % 600, thread },
            240..=243 => Self::Together { kind: a, count: c % if a % 25 < 14 { 200 } else { 20 } },
            244..=248 => Self::Trim { thread },
            249..=252 => Self::Retire { thread },
            _ => Self::Close,
        }
    }
}

/// Bytes at either end of a long object that are written and read.
const EDGE: usize = 64;

fn byte(mark: u8, at: usize) -> u8 {
    mark ^ (at as u8).wrapping_mul(29) ^ (at >> 8) as u8
}

fn ends(size: usize) -> impl Iterator<Item = usize> {
    (0..size.min(EDGE)).chain(size.saturating_sub(EDGE).max(EDGE)..size)
}

/// A live object of the pool.
trait Held: Send {
    /// Its address, its bytes, and its alignment.
    fn place(&self) -> (usize, usize, usize);
    fn verify(&self);
    /// Gives a block of the allocator out again, to be resized.
    fn block(&mut self) -> Option<&mut Block> {
        None
    }
}

#[derive(Clone, Copy)]
struct Filled<const N: usize, A> {
    /// Of no size: what it is for is its alignment.
    align: [A; 0],
    bytes: [u8; N],
    mark: u8,
}

impl<const N: usize, A> Filled<N, A> {
    fn new(mark: u8) -> Self {
        Self { align: [], bytes: std::array::from_fn(|at| byte(mark, at)), mark }
    }

    fn verify(&self) {
        assert!(std::ptr::from_ref(self).is_aligned());
        assert!(ends(N).all(|at| self.bytes[at] == byte(self.mark, at)), "an object's bytes have changed");
    }
}

macro_rules! held {
    ($($box:ident)*) => { $(
        impl<const N: usize, A: Send> Held for $box<Filled<N, A>> {
            fn place(&self) -> (usize, usize, usize) {
                (std::ptr::from_ref(&**self).addr(), size_of::<Filled<N, A>>(), align_of::<Filled<N, A>>())
            }

            fn verify(&self) {
                Filled::verify(self);
            }
        }
    )* };
}

held!(PoolBox HeapBox);

impl Held for PoolBox<()> {
    fn place(&self) -> (usize, usize, usize) {
        (std::ptr::from_ref(&**self).addr(), 0, 1)
    }

    fn verify(&self) {}
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line;
#[derive(Clone, Copy)]
#[repr(align(4096))]
struct Page;
#[derive(Clone, Copy)]
#[repr(align(65536))]
struct Slab;

macro_rules! make {
    ($pool:expr, $method:ident, $kind:expr, $mark:expr; $($number:literal: $size:literal $align:ty,)*) => {
        match $kind {
            $($number => Box::new($pool.$method(Filled::<$size, $align>::new($mark))),)*
            _ => Box::new($pool.alloc_box(())),
        }
    };
}

/// One byte more than the number is the size of the value: its mark.
fn boxed(pool: &Pool, kind: u16, mark: u8) -> Box<dyn Held> {
    make! { pool, alloc_box, kind % 25, mark;
        0: 0 u8, 1: 1 u8, 2: 7 u8, 3: 8 u8, 4: 15 u64, 5: 16 u8, 6: 23 u32, 7: 31 u8, 8: 39 u8, 9: 47 u8, 10: 63 u8,
        11: 95 u8, 12: 127 u16, 13: 200 u8, 14: 255 u8, 15: 500 u8, 16: 1000 u8, 17: 1023 u8, 18: 2000 u8, 19: 4095 u8,
        20: 5000 u8, 21: 40 Line, 22: 100 Page, 23: 10 Slab,
    }
}

fn heaped(pool: &Pool, kind: u16, mark: u8) -> Box<dyn Held> {
    make! { pool, heap_box, kind % 8, mark;
        0: 0 u8, 1: 100 u8, 2: 5000 u64, 3: 9000 u8, 4: 40 Line, 5: 10 Page, 6: 1 Slab,
    }
}

/// A block of the pool as an allocator.
struct Block {
    ptr: NonNull<u8>,
    layout: Layout,
    mark: u8,
    pool: Pool,
}

// SAFETY: a pool's block may be used and freed on any thread.
unsafe impl Send for Block {}

impl Block {
    fn new(pool: &Pool, layout: Layout, mark: u8) -> Self {
        let memory = pool.allocate(layout).expect("there is memory");
        assert!(memory.len() >= layout.size());
        let block = Self { ptr: memory.cast(), layout, mark, pool: pool.clone() };
        block.fill();
        block
    }

    fn fill(&self) {
        // SAFETY: inside the block, which is live.
        ends(self.layout.size()).for_each(|at| unsafe { self.ptr.add(at).write(byte(self.mark, at)) });
    }

    fn verify_until(&self, until: usize) {
        for at in ends(self.layout.size()).filter(|&at| at < until) {
            // SAFETY: inside the block, and written.
            assert_eq!(unsafe { self.ptr.add(at).read() }, byte(self.mark, at), "byte {at} of {:?}", self.layout);
        }
    }

    fn resize(&mut self, new: Layout) {
        let old = self.layout;
        self.verify_until(old.size());
        // SAFETY: the block is live with its layout; which of the two it is, the sizes tell.
        let memory = unsafe {
            if new.size() < old.size() {
                self.pool.shrink(self.ptr, old, new)
            } else {
                self.pool.grow(self.ptr, old, new)
            }
        };
        let memory = memory.expect("there is memory");
        assert!(memory.len() >= new.size());
        self.ptr = memory.cast();
        self.verify_until(new.size());
        self.layout = new;
        self.fill();
    }
}

impl Held for Block {
    fn place(&self) -> (usize, usize, usize) {
        (self.ptr.addr().get(), self.layout.size(), self.layout.align())
    }

    fn verify(&self) {
        self.verify_until(self.layout.size());
    }

    fn block(&mut self) -> Option<&mut Block> {
        Some(self)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: live with this layout, and of this pool.
        unsafe { self.pool.deallocate(self.ptr, self.layout) };
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread that does what it is told, until it is told to end.
struct Worker {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

impl Worker {
    fn start() -> Self {
        let (jobs, queue) = channel::<Job>();
        Self { jobs, thread: thread::spawn(move || queue.into_iter().for_each(|job| job())) }
    }

    fn end(self) {
        drop(self.jobs);
        self.thread.join().expect("no job panics");
    }
}

/// The program's own thread and two others, which start when they are needed.
#[derive(Default)]
struct Crew {
    others: [RefCell<Option<Worker>>; 2],
}

impl Crew {
    /// Begins on a thread; the result is to be waited for.
    fn begin<R: Send + 'static>(&self, thread: u8, job: impl FnOnce() -> R + Send + 'static) -> impl FnOnce() -> R {
        let (result, wait) = channel();
        let job = move || result.send(job()).expect("somebody waits");
        match usize::from(thread).checked_sub(1) {
            None => job(),
            Some(at) => {
                let mut other = self.others[at % 2].borrow_mut();
                other.get_or_insert_with(Worker::start).jobs.send(Box::new(job)).expect("the worker lives");
            }
        }
        move || wait.recv().expect("the job is done")
    }

    fn run<R: Send + 'static>(&self, thread: u8, job: impl FnOnce() -> R + Send + 'static) -> R {
        self.begin(thread, job)()
    }

    fn retire(&self, thread: u8) {
        if let Some(at) = usize::from(thread).checked_sub(1)
            && let Some(worker) = self.others[at % 2].take()
        {
            worker.end();
        }
    }
}

#[derive(Default)]
struct Model {
    held: Vec<Box<dyn Held>>,
    ground: Ground,
    vault: Vault,
}

impl Model {
    fn keep(&mut self, held: Box<dyn Held>) {
        let (start, size, align) = held.place();
        assert!(start.is_multiple_of(align), "{size} bytes at {start:#x} are not aligned to {align}");
        assert!(size == 0 || self.vault.holds(start, size), "an object outside of the backend's memory");
        self.ground.add(start, size);
        self.held.push(held);
    }

    fn take(&mut self, at: u16) -> Option<Box<dyn Held>> {
        if self.held.is_empty() {
            return None;
        }
        let held = self.held.swap_remove(index(at, self.held.len()));
        held.verify();
        let (start, size, _) = held.place();
        self.ground.remove(start, size);
        Some(held)
    }

    fn verify(&self) {
        self.held.iter().for_each(|held| held.verify());
    }
}

pub(crate) fn run(program: &Program<Step>) {
    let vault = Vault::new(None);
    // What a thread has in its cache of a pool that another one closed goes back when the thread ends: all of them do.
    thread::scope(|scope| {
        let own = scope.spawn(|| run_in_thread(program, &vault));
        own.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert_eq!(vault.live(), (0, 0), "all memory goes back");
}

fn run_in_thread(program: &Program<Step>, vault: &Vault) {
    let crew = Crew::default();
    let mut model = Model { vault: vault.clone(), ..Model::default() };
    let new = |vault: &Vault| SmartAlloc::new(AllocConfig::default().with_backend(vault.boxed()));
    let mut alloc = new(&model.vault);
    for (number, &step) in program.steps.iter().enumerate() {
        let mark = (number as u8).wrapping_mul(7);
        let pool = alloc.pool().clone();
        match step {
            Step::Box { kind, thread } => model.keep(crew.run(thread, move || boxed(&pool, kind, mark))),
            Step::Heap { kind, thread } => model.keep(crew.run(thread, move || heaped(&pool, kind, mark))),
            Step::Block { layout, thread } => {
                model.keep(crew.run(thread, move || Box::new(Block::new(&pool, layout, mark)) as Box<dyn Held>));
            }
            Step::Resize { at, layout, thread } => {
                if let Some(mut held) = model.take(at) {
                    let resized = crew.run(thread, move || {
                        if let Some(block) = held.block() {
                            block.resize(layout);
                        }
                        held
                    });
                    model.keep(resized);
                }
            }
            Step::Free { at, thread } => {
                if let Some(held) = model.take(at) {
                    crew.run(thread, move || drop(held));
                }
            }
            Step::Burst { kind, count, thread } => {
                let many = move || (0..count).map(|at| boxed(&pool, kind, mark ^ at as u8)).collect::<Vec<_>>();
                crew.run(thread, many).into_iter().for_each(|held| model.keep(held));
            }
            Step::FreeMany { at, count, thread } => {
                let many: Vec<_> = (0..count).map_while(|_| model.take(at)).collect();
                crew.run(thread, move || drop(many));
            }
            Step::Together { kind, count } => {
                // Each frees what another one made, and makes its own.
                let waits: Vec<_> = [1, 2, 0]
                    .map(|thread| {
                        let given: Vec<_> = (0..count / 2).map_while(|_| model.take(count)).collect();
                        let pool = pool.clone();
                        crew.begin(thread, move || {
                            let mut made = Vec::new();
                            let mut given = given.into_iter();
                            for at in 0..count {
                                made.push(boxed(&pool, kind.wrapping_add(at % 3), mark ^ at as u8));
                                drop(given.next());
                                if at % 5 == 4 {
                                    made.swap_remove(usize::from(at) / 2 % made.len()).verify();
                                }
                            }
                            made
                        })
                    })
                    .into_iter()
                    .collect();
                waits.into_iter().flat_map(|wait| wait()).for_each(|held| model.keep(held));
            }
            Step::Trim { thread } => {
                let held = model.vault.live().1;
                let freed = crew.run(thread, move || pool.trim());
                assert_eq!(model.vault.live().1 + freed, held);
                model.verify();
            }
            Step::Retire { thread } => crew.retire(thread),
            Step::Close => {
                drop(pool);
                // The new one has the same books, and never gets the old one's memory while boxes live in it.
                drop(std::mem::replace(&mut alloc, new(&model.vault)));
            }
        }
        if number % 16 == 15 {
            model.verify();
            let stats = alloc.pool().stats();
            assert!(stats.slab_bytes + stats.large_bytes <= model.vault.live().1);
            assert!(stats.outstanding_bytes + stats.depot_bytes <= stats.slab_bytes);
        }
    }
    model.verify();
    // The pool first, or its objects.
    if program.setup.kind & 1 == 0 {
        drop(alloc);
        model.verify();
        while let Some(held) = model.take(program.setup.a) {
            crew.run(if model.held.len() % 64 == 3 { 1 } else { 0 }, move || drop(held));
        }
    } else {
        while let Some(held) = model.take(program.setup.a) {
            drop(held);
        }
        assert_eq!(alloc.pool().stats().large_bytes, 0);
        drop(alloc);
    }
    assert!(model.ground.is_empty());
    crew.retire(1);
    crew.retire(2);
}
