//! The chain of backends behind one lock, the governor in front of it, and the count of what is held.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{AllocationResult, AllocatorBackend, Block, Live, SystemBackend, check};
use crate::error::{AllocError, AllocErrorKind};
use crate::governor::{Governor, HeldBlock, Outcome, Release, Request, Resource, Scarce, Shortage, Stage, Verdict};
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, thread_local};
use crate::unwind::{attempt, quietly, resume};

/// Set in [`Block::owner`] if the governor was not asked, because it was the governor that needed the memory: then it
/// is not told of the release either, so that its books balance.
const UNGOVERNED: u32 = 1 << 31;

/// Set in [`Block::owner`] if the governor's verdict was [`Verdict::Heap`].
const HEAP: u32 = 1 << 30;

/// Set in [`Block::owner`] if the governor was not told of the block, because it was taken for a notice: then it is not told that it
/// goes back either.
const UNSEEN: u32 = 1 << 29;

const RESOURCES: [Resource; 4] = [Resource::Chunk, Resource::Slab, Resource::Large, Resource::Sealed];

/// Bytes of a chunk that is taken beyond a limit, at least.
const PAGE: usize = 4096;

/// Where one allocator's memory comes from. Shared by its arenas and pools, and by what outlives them.
pub(crate) struct Source {
    chain: Mutex<Chain>,
    governor: Arc<dyn Governor>,
    /// Whether the governor was told of the allocator, and is told of its end.
    attached: bool,
    committed: AtomicUsize,
    taken: AtomicU64,
    given_back: AtomicU64,
    /// Bytes given back by the governor itself, which could not be told of them just then. By [`Resource`], and whether they
    /// were of the heap.
    untold: [[AtomicUsize; 2]; RESOURCES.len()],
    #[cfg(feature = "trace")]
    tracer: Option<Arc<crate::trace::Tracer>>,
}

struct Chain {
    backends: Vec<Box<dyn AllocatorBackend>>,
    live: Live,
}

/// What a governor is called for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Question,
    Eviction,
    Notice,
}

impl Call {
    /// Whether it is made while `outer` is under way. A question inside of an eviction is one like any other; an eviction never
    /// stands inside of either; a notice stands inside of both.
    fn is_made_in(self, outer: Self) -> bool {
        match self {
            Self::Question => outer == Self::Eviction,
            Self::Eviction => false,
            Self::Notice => outer != Self::Notice,
        }
    }
}

/// A call of a governor under way on this thread, and the one around it.
struct Asking {
    governor: *const (),
    call: Call,
    outer: *const Asking,
}

thread_local! {
    static ASKING: Cell<*const Asking> = const { Cell::new(core::ptr::null()) };
}

/// Calls a governor, unless it is this governor that is calling: its own requests are its own business. Those to an
/// allocator of another governor are that one's.
pub(crate) fn ask<R>(governor: &Arc<dyn Governor>, nested: R, question: impl FnOnce(&dyn Governor) -> R) -> R {
    call(governor, Call::Question, nested, question)
}

/// Calls a governor to do what it likes, in which it is asked as everywhere else; but no refusal in there is put to it a second time.
pub(crate) fn let_act(governor: &Arc<dyn Governor>, action: impl FnOnce(&dyn Governor)) {
    call(governor, Call::Eviction, (), action);
}

/// A stage of work, of whose end the governor is told when this is dropped.
#[must_use]
pub(crate) struct Staged<'a> {
    governor: &'a Arc<dyn Governor>,
    stage: Stage,
    told: bool,
}

impl<'a> Staged<'a> {
    #[cold]
    pub(crate) fn enter(governor: &'a Arc<dyn Governor>, stage: Stage) -> Self {
        let mut told = false;
        // Whoever takes memory or gives it back is in the middle of a job.
        quietly(|| {
            told = call(governor, Call::Notice, false, |governor| {
                governor.enter(stage);
                true
            });
        });
        Self { governor, stage, told }
    }
}

impl Drop for Staged<'_> {
    #[cold]
    fn drop(&mut self) {
        if self.told {
            quietly(|| call(self.governor, Call::Notice, (), |governor| governor.leave(self.stage)));
        }
    }
}

/// What a governor, which was put a question and refused `bytes`, has the last word on.
pub(crate) struct Refusals<'a> {
    governor: &'a Arc<dyn Governor>,
    evicted: bool,
}

impl<'a> Refusals<'a> {
    pub(crate) fn new(governor: &'a Arc<dyn Governor>) -> Self {
        Self { governor, evicted: false }
    }

    /// Has the governor free memory, once, unless it is called already on this thread. Whether to put the question again.
    #[cold]
    pub(crate) fn ask_again(&mut self, shortage: &Shortage) -> bool {
        !core::mem::replace(&mut self.evicted, true)
            && call(self.governor, Call::Eviction, false, |governor| governor.evict(shortage))
    }

    /// The governor's last word.
    #[cold]
    pub(crate) fn last_word(&self, shortage: &Shortage) -> Verdict {
        ask(self.governor, Verdict::Deny, |governor| governor.refused(shortage))
    }
}

fn call<R>(governor: &Arc<dyn Governor>, call: Call, nested: R, question: impl FnOnce(&dyn Governor) -> R) -> R {
    struct Reset(*const Asking);
    impl Drop for Reset {
        fn drop(&mut self) {
            ASKING.set(self.0);
        }
    }
    let asking = Asking { governor: Arc::as_ptr(governor).cast(), call, outer: ASKING.get() };
    let mut at = asking.outer;
    // SAFETY: the list is of this thread, and each of its entries lives in a call of this function that has not returned.
    while let Some(outer) = unsafe { at.as_ref() } {
        if outer.governor == asking.governor && !call.is_made_in(outer.call) {
            return nested;
        }
        at = outer.outer;
    }
    let _reset = Reset(asking.outer);
    ASKING.set(&raw const asking);
    question(&**governor)
}

/// The answer to a request.
struct Answer {
    resource: Resource,
    /// Whether the governor was asked.
    asked: bool,
    /// Bytes that may be taken, and whether from the program's allocator.
    allowed: usize,
    heap: bool,
}

impl Source {
    /// A chain of `backends` in this order; the program's own allocator stands last.
    pub(crate) fn new(mut backends: Vec<Box<dyn AllocatorBackend>>, governor: Arc<dyn Governor>) -> Self {
        backends.push(Box::new(SystemBackend::new()));
        Self {
            chain: Mutex::new(Chain { backends, live: Live::new() }),
            governor,
            attached: false,
            #[cfg(feature = "trace")]
            tracer: None,
            committed: AtomicUsize::new(0),
            taken: AtomicU64::new(0),
            given_back: AtomicU64::new(0),
            untold: RESOURCES.map(|_| [AtomicUsize::new(0), AtomicUsize::new(0)]),
        }
    }

    /// Tells the governor that it governs this.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub(crate) fn attach(&mut self) -> Result<(), AllocError> {
        self.governor.attach().map_err(|reason| AllocError::new(AllocErrorKind::Governor { reason }))?;
        self.attached = true;
        Ok(())
    }

    /// Traces what is taken from pools.
    #[cfg(feature = "trace")]
    pub(crate) fn trace(&mut self, stacks: bool) {
        self.tracer = Some(Arc::new(crate::trace::Tracer::new(stacks)));
    }

    /// What is known of the blocks of pools, if they are traced.
    #[cfg(feature = "trace")]
    pub(crate) fn tracer(&self) -> Option<&Arc<crate::trace::Tracer>> {
        self.tracer.as_ref()
    }

    pub(crate) fn governor(&self) -> &Arc<dyn Governor> {
        &self.governor
    }

    /// Bytes held from the backends now.
    pub(crate) fn committed(&self) -> usize {
        self.committed.load(Ordering::Relaxed)
    }

    /// How often memory was taken, and given back.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        (self.taken.load(Ordering::Relaxed), self.given_back.load(Ordering::Relaxed))
    }

    /// Memory for `layout`, or for as much of it as the governor allows, `minimum` at least.
    ///
    /// User code runs in here (the governor without a lock, the backend under the chain's): the caller holds no
    /// lock and no borrow of its own state, and reads that state anew afterwards. If either of them unwinds, no memory
    /// is held afterwards and the governor has been told so.
    pub(crate) fn take(&self, resource: Resource, layout: Layout, minimum: usize) -> Result<Block, AllocError> {
        // Never nothing: so a verdict of 0 bytes is always a refusal, and backends never see a size of 0.
        let minimum = minimum.max(1);
        let bytes = layout.size().max(minimum);
        let align = layout.align();
        if Layout::from_size_align(bytes, align).is_err() {
            return Err(AllocError::capacity(bytes, 1));
        }
        let _stage = Staged::enter(&self.governor, Stage::Take(resource));
        let answer = self.put(resource, bytes, minimum)?;
        let (allowed, heap) = (answer.allowed, answer.heap);
        // A multiple of 64 keeps chunk ends aligned; rounding down keeps the governor's word.
        let size = if allowed < bytes { (allowed & !63).max(minimum) } else { bytes };
        let layout = Layout::from_size_align(size, align).expect("no more than `bytes`, of which a layout can be made");
        let settle = |obtained| self.settle(&answer, obtained);
        let mut block = match catch_unwind(AssertUnwindSafe(|| self.chain.lock().allocate(layout, heap))) {
            Ok(Ok(block)) => block,
            Ok(Err(error)) => {
                settle(canary!("failure_is_charged", 0, size));
                return Err(error);
            }
            Err(panic) => {
                // Of two panics, the backend's is the cause.
                quietly(|| settle(0));
                resume_unwind(panic)
            }
        };
        // Relaxed: counters for reports; whoever needs an exact limit keeps it in the governor. They are raised before
        // anybody can have the block to give back, so that they never fall below 0.
        self.committed.fetch_add(size, Ordering::Relaxed);
        self.taken.fetch_add(1, Ordering::Relaxed);
        if !answer.asked {
            block.owner |= UNGOVERNED;
        } else if heap {
            block.owner |= HEAP;
        }
        let mut panicked = None;
        let mut seen = true;
        attempt(&mut panicked, || {
            seen = call(&self.governor, Call::Notice, false, |governor| {
                governor.taken(&held(resource, &block));
                true
            });
        });
        if !seen {
            block.owner |= UNSEEN;
        }
        attempt(&mut panicked, || settle(size));
        if let Some(panic) = panicked {
            // It was told of the block, whatever it made of that: so it is told of the release too.
            // SAFETY: the block was just taken and nobody else has seen it.
            quietly(|| unsafe { self.give_back(resource, block) });
            resume_unwind(panic)
        }
        Ok(block)
    }

    /// Puts a request for `bytes`, or for `minimum` at least, to the governor; a second time if it makes room in between.
    fn put(&self, resource: Resource, bytes: usize, minimum: usize) -> Result<Answer, AllocError> {
        let mut refusals = Refusals::new(&self.governor);
        let shortage = Shortage { scarce: Scarce::Resource(resource), bytes: minimum };
        loop {
            self.tell_untold();
            let request = Request { resource, bytes, minimum, committed: self.committed() };
            let verdict = {
                #[cfg(canary = "governor_under_lock")]
                let _lock = self.chain.lock();
                ask(&self.governor, None, |governor| Some(governor.request(&request)))
            };
            let answer = |allowed, heap| Answer { resource, asked: verdict.is_some(), allowed, heap };
            let allowed = verdict.map_or(bytes, |verdict| verdict.of(bytes));
            if allowed >= minimum && verdict != Some(Verdict::Heap) {
                return Ok(answer(allowed, false));
            }
            if verdict == Some(Verdict::Heap) || !refusals.ask_again(&shortage) {
                let last = verdict.filter(|&verdict| verdict == Verdict::Heap);
                return match last.unwrap_or_else(|| refusals.last_word(&shortage)) {
                    // Little more than is needed beyond a limit: a page, so that not each value has a chunk of its own.
                    Verdict::Heap => Ok(answer(bytes.min(minimum.max(PAGE)), true)),
                    last if last.of(bytes) >= minimum => Ok(answer(last.of(bytes), false)),
                    _ => Err(AllocError::new(AllocErrorKind::Refused { resource, requested: minimum, allowed })),
                };
            }
        }
    }

    fn settle(&self, answer: &Answer, obtained: usize) {
        if answer.asked {
            let outcome = Outcome { resource: answer.resource, allowed: answer.allowed, obtained, heap: answer.heap };
            ask(&self.governor, (), |governor| governor.settle(&outcome));
        }
    }

    /// Asks whether a frame of `bytes` may be sealed: whether that is beyond a limit, if the governor has to be told when it is dropped,
    /// by [`tell`](Self::tell).
    ///
    /// # Errors
    ///
    /// If the governor refuses.
    pub(crate) fn seal(&self, bytes: usize) -> Result<Option<bool>, AllocError> {
        let answer = self.put(Resource::Sealed, bytes, bytes)?;
        let release = Release { resource: Resource::Sealed, bytes, heap: answer.heap };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.settle(&answer, bytes))) {
            quietly(|| self.tell(&release));
            resume_unwind(panic)
        }
        Ok(answer.asked.then_some(answer.heap))
    }

    /// Gives memory back to the backend it came from.
    ///
    /// If the backend or the governor unwinds, the block counts as given back all the same.
    ///
    /// # Safety
    ///
    /// `block` came from this source's [`take`](Self::take), unchanged, and is not used afterwards. The caller holds
    /// no lock and no borrow of its own state: the governor is told.
    pub(crate) unsafe fn give_back(&self, resource: Resource, block: Block) {
        let bytes = block.layout.size();
        let _stage = Staged::enter(&self.governor, Stage::GiveBack(resource));
        let mut panicked = None;
        if block.owner & UNSEEN == 0 {
            attempt(&mut panicked, || {
                call(&self.governor, Call::Notice, (), |governor| governor.giving_back(&held(resource, &block)));
            });
        }
        attempt(&mut panicked, || {
            let mut chain = self.chain.lock();
            chain.live.remove(block.ptr);
            crate::annotate::passed_on(block.ptr.as_ptr(), bytes);
            let backend = &mut chain.backends[(block.owner & !(UNGOVERNED | HEAP | UNSEEN)) as usize];
            // SAFETY: by this function's contract the block came from this backend with this layout and is unused.
            unsafe { backend.deallocate(block.ptr, block.layout) };
        });
        self.committed.fetch_sub(bytes, Ordering::Relaxed);
        self.given_back.fetch_add(1, Ordering::Relaxed);
        if block.owner & UNGOVERNED == 0 {
            attempt(&mut panicked, || self.tell(&Release { resource, bytes, heap: block.owner & HEAP != 0 }));
        }
        resume(panicked);
    }

    /// Tells the governor of what went back; later, if it is being called.
    pub(crate) fn tell(&self, release: &Release) {
        let told = ask(&self.governor, false, |governor| {
            canary!("release_untold", governor.release(release), ());
            true
        });
        if !told {
            // Relaxed: the sum is all that matters, and each byte of it is swapped out once.
            self.untold[release.resource as usize][usize::from(release.heap)]
                .fetch_add(release.bytes, Ordering::Relaxed);
        }
        self.tell_untold();
    }

    /// Tells the governor of what it gave back while it was being called.
    pub(crate) fn tell_untold(&self) {
        for (untold, resource) in self.untold.iter().zip(RESOURCES) {
            for (untold, heap) in untold.iter().zip([false, true]) {
                if untold.load(Ordering::Relaxed) != 0 {
                    ask(&self.governor, (), |governor| match untold.swap(0, Ordering::Relaxed) {
                        0 => {}
                        bytes => governor.release(&Release { resource, bytes, heap }),
                    });
                }
            }
        }
    }
}

fn held(resource: Resource, block: &Block) -> HeldBlock {
    HeldBlock { resource, address: block.ptr.addr().get(), bytes: block.layout.size() }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.tell_untold();
        if self.attached {
            ask(&self.governor, (), |governor| governor.detach());
        }
    }
}

impl Chain {
    /// Memory of the first backend that has it, or of the program's allocator, the last.
    fn allocate(&mut self, layout: Layout, heap: bool) -> Result<Block, AllocError> {
        let none = AllocErrorKind::OutOfMemory { size: layout.size(), align: layout.align() };
        let first = if heap { self.backends.len() - 1 } else { 0 };
        for (owner, backend) in (0u32..).zip(self.backends.iter_mut()).skip(first) {
            match backend.allocate(layout) {
                AllocationResult::Ok(memory) => {
                    let ptr = check(memory, layout)?;
                    self.live.add(ptr, layout.size())?;
                    return Ok(Block { ptr, layout, owner });
                }
                AllocationResult::Fallback => {}
                AllocationResult::Failed => break,
            }
        }
        Err(AllocError::new(none))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
