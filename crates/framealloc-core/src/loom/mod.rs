//! Models of what threads do to each other: loom runs each in every order of its steps that the memory model allows.
//!
//! Promises that what runs is this crate's own code (see `sync::modelled` for what is real), and that a panic anywhere in a run,
//! also one that the crate catches, fails the model. Run by `proof/jobs/loom`.

mod depot;
mod frames;
mod governor;
mod publish;
mod registry;
mod remote_free;
mod sealed;
mod store;
mod teardown;

use core::alloc::Layout;
use core::cell::Cell;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use std::boxed::Box;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once};
use std::vec::Vec;

use loom::thread::JoinHandle;

use crate::backend::{AllocationResult, AllocatorBackend, Source};
use crate::governor::{Governor, Ungoverned};
use crate::pool::{Pool, PoolBox};
use crate::smart_alloc::{AllocConfig, SmartAlloc};
use crate::sync::modelled::{end_of_thread, start_of_run, touch};

std::thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Runs `f` in every order. How many switches are forced on threads that could go on is bounded by `LOOM_MAX_PREEMPTIONS`.
fn model(f: impl Fn() + Send + Sync + 'static) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            print(info);
        }));
    });
    PANICS.set(0);
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 100_000;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        start_of_run();
        f();
        end_of_thread();
        assert_eq!(PANICS.get(), 0, "a panic was caught on the way");
    });
    let runs = runs.load(Ordering::Relaxed);
    std::println!("{}: {runs} orders", std::thread::current().name().unwrap_or("a model"));
    assert!(runs > 1, "there was nothing to choose");
}

/// A thread that does `f` and then dies, all before it can be joined.
fn spawn<R: 'static>(f: impl FnOnce() -> R + 'static) -> JoinHandle<R> {
    spawn_with_late(f, || ())
}

/// A thread that does `f`, dies, and does `late` in a destructor that runs after the crate's own.
fn spawn_with_late<R: 'static>(f: impl FnOnce() -> R + 'static, late: impl FnOnce() + 'static) -> JoinHandle<R> {
    loom::thread::spawn(move || {
        let result = f();
        end_of_thread();
        late();
        result
    })
}

fn join<R, const N: usize>(threads: [JoinHandle<R>; N]) -> [R; N] {
    threads.map(|thread| thread.join().unwrap())
}

/// Ends the frame once no lease is out.
fn end_frame(alloc: &mut SmartAlloc) {
    while alloc.try_end_frame().is_err() {
        loom::thread::yield_now();
    }
}

/// What a backend gave, for one run. Memory that came back is filled with a pattern and not given again, so that whoever still
/// uses it finds neither what was there nor somebody else's.
#[derive(Default)]
struct Ledger {
    blocks: Mutex<BTreeMap<usize, (Layout, bool)>>,
    live_bytes: AtomicUsize,
    most_bytes: AtomicUsize,
    /// Requests to be failed.
    failures: AtomicUsize,
    /// Backends of this ledger, and those that were dropped.
    made: AtomicUsize,
    dropped: AtomicUsize,
}

/// The backend of a ledger.
struct Quarry(Arc<Ledger>);

impl Ledger {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    fn blocks(&self) -> MutexGuard<'_, BTreeMap<usize, (Layout, bool)>> {
        self.blocks.lock().unwrap()
    }

    fn backend(self: &Arc<Self>) -> Box<dyn AllocatorBackend> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Box::new(Quarry(Arc::clone(self)))
    }

    fn source(self: &Arc<Self>, governor: Arc<dyn Governor>) -> Arc<Source> {
        Arc::new(Source::new(Vec::from([self.backend()]), governor))
    }

    fn pool(self: &Arc<Self>) -> Pool {
        Pool::new(self.source(Arc::new(Ungoverned)))
    }

    fn alloc(self: &Arc<Self>) -> SmartAlloc {
        SmartAlloc::new(AllocConfig::default().with_backend(self.backend()).with_frame_chunk(1024, 1024))
    }

    /// Everything came back, once, and nobody holds the backend any more.
    fn assert_all_back(&self) {
        assert!(self.blocks().values().all(|&(_, live)| !live), "memory did not come back");
        let (made, dropped) = (self.made.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed));
        assert_eq!(dropped, made, "what holds the backend is released once");
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        for (&address, &(layout, _)) in &*self.blocks() {
            // SAFETY: allocated by the quarry with this layout, and not given to anybody after this run.
            unsafe { std::alloc::dealloc(ptr::with_exposed_provenance_mut(address), layout) };
        }
    }
}

// SAFETY: the memory is the global allocator's, given once, and stays until the ledger is dropped.
unsafe impl AllocatorBackend for Quarry {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        let ledger = &self.0;
        let failed = ledger.failures.load(Ordering::Relaxed);
        if failed > 0 {
            ledger.failures.store(failed - 1, Ordering::Relaxed);
            return AllocationResult::Failed;
        }
        // SAFETY: backends are never asked for nothing.
        let memory = unsafe { std::alloc::alloc(layout) };
        assert!(ledger.blocks().insert(memory.expose_provenance(), (layout, true)).is_none());
        let live = ledger.live_bytes.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        ledger.most_bytes.fetch_max(live, Ordering::Relaxed);
        AllocationResult::from_raw(memory, layout.size())
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        let block = self.0.blocks().insert(ptr.addr().get(), (layout, false));
        assert_eq!(block, Some((layout, true)), "a block comes back once, with its layout");
        self.0.live_bytes.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the block is the backend's again.
        unsafe { ptr.write_bytes(0xDB, layout.size()) };
    }
}

impl Drop for Quarry {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is out: no two at one address.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<Vec<usize>>>);

/// A pool's object that a tally knows of: of the largest class, so that slabs have few.
struct Held {
    /// Dropped by hand: after the tally has forgotten it.
    object: Option<PoolBox<MaybeUninit<[u64; 512]>>>,
    tally: Tally,
}

impl Tally {
    fn take(&self, pool: &Pool) -> Held {
        let object = pool.alloc_box_with(MaybeUninit::uninit);
        let held = Held { object: Some(object), tally: self.clone() };
        self.enter(held.address());
        held
    }

    fn enter(&self, address: usize) {
        let mut out = self.0.lock().unwrap();
        assert!(!out.contains(&address), "what is out was handed out again");
        out.push(address);
    }

    fn leave(&self, address: usize) {
        self.0.lock().unwrap().retain(|&out| out != address);
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

impl Held {
    fn address(&self) -> usize {
        self.object.as_deref().map_or(0, |object| ptr::from_ref(object).addr())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.tally.leave(self.address());
        drop(self.object.take());
    }
}

/// A value that loom watches: its readers come after its writer, and before its destructor.
struct Watched {
    value: loom::cell::UnsafeCell<u32>,
    drops: Arc<AtomicUsize>,
}

// SAFETY: the value is reached through loom's cell, which finds what would be a race.
unsafe impl Send for Watched {}
// SAFETY: as above.
unsafe impl Sync for Watched {}

impl Watched {
    fn new(value: u32, drops: &Arc<AtomicUsize>) -> Self {
        Self { value: loom::cell::UnsafeCell::new(value), drops: Arc::clone(drops) }
    }

    fn read(&self) -> u32 {
        // SAFETY: loom has seen that nobody writes.
        self.value.with(|value| unsafe { *value })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Its memory is still its own.
        touch(ptr::from_ref(self).cast(), size_of::<Self>());
        // SAFETY: loom has seen that nobody else has it.
        self.value.with_mut(|value| unsafe { *value = u32::MAX });
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}
