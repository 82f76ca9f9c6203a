//! Doubles for tests: a backend that follows a script, a governor that keeps books, and a process of one's own.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::NonNull;
use parking_lot::Mutex;

use super::{AllocationResult, AllocatorBackend, SystemBackend};
use crate::governor::{Governor, Outcome, Release, Request, Resource, Verdict};

/// What a [`Scripted`] backend does when it is asked for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Memory as asked.
    Memory,
    Failed,
    Fallback,
    /// Real memory, one byte beyond its alignment.
    Misaligned,
    /// Real memory, one byte too short.
    Short,
    /// The block it handed out last, again.
    Overlapping,
    /// An address at the very top of the address space.
    Top,
    Panic,
}

/// A backend that answers by script, and panics when a block is not freed as it was allocated.
pub(crate) struct Scripted {
    script: BTreeMap<usize, Answer>,
    otherwise: Answer,
    panics_on_free: bool,
    ledger: Ledger,
    /// Behind the lies: never to be given back.
    lies: Vec<(NonNull<u8>, Layout)>,
}

// SAFETY: the lies are memory of the global allocator, which is of no thread.
unsafe impl Send for Scripted {}

/// What became of a [`Scripted`] backend, which itself is in a box somewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    asked: Vec<Layout>,
    live: Vec<(usize, Layout)>,
    freed: usize,
}

impl Ledger {
    /// The layout of every call of `allocate`.
    pub(crate) fn asked(&self) -> Vec<Layout> {
        self.0.lock().asked.clone()
    }

    /// Blocks that are out, and their bytes.
    pub(crate) fn live(&self) -> (usize, usize) {
        let entries = self.0.lock();
        (entries.live.len(), entries.live.iter().map(|(_, layout)| layout.size()).sum())
    }

    /// Blocks that came back.
    pub(crate) fn freed(&self) -> usize {
        self.0.lock().freed
    }
}

impl Scripted {
    /// A backend that gives memory, except where told otherwise.
    pub(crate) fn new() -> Self {
        Self::always(Answer::Memory)
    }

    /// A backend that always answers so, except where told otherwise.
    pub(crate) fn always(otherwise: Answer) -> Self {
        Self { script: BTreeMap::new(), otherwise, panics_on_free: false, ledger: Ledger::default(), lies: Vec::new() }
    }

    /// Answers the call `call`, counted from 0, with `answer`.
    pub(crate) fn at(mut self, call: usize, answer: Answer) -> Self {
        self.script.insert(call, answer);
        self
    }

    /// Panics whenever memory is given back (after taking it).
    pub(crate) fn panicking_on_free(mut self) -> Self {
        self.panics_on_free = true;
        self
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    fn real(layout: Layout) -> NonNull<u8> {
        match SystemBackend::new().allocate(layout) {
            AllocationResult::Ok(memory) => memory.cast(),
            other => panic!("the system is out of memory: {other:?}"),
        }
    }
}

// SAFETY: it lies on purpose, with memory that nobody else uses, to see the lies refused; an overlapping answer is
// only scripted by tests that do not touch the memory.
unsafe impl AllocatorBackend for Scripted {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        assert!(layout.size() > 0, "a request for nothing");
        let call = {
            let mut entries = self.ledger.0.lock();
            entries.asked.push(layout);
            entries.asked.len() - 1
        };
        let (ptr, len) = match self.script.get(&call).copied().unwrap_or(self.otherwise) {
            Answer::Memory => {
                let ptr = Self::real(layout);
                self.ledger.0.lock().live.push((ptr.addr().get(), layout));
                (ptr, layout.size())
            }
            Answer::Failed => return AllocationResult::Failed,
            Answer::Fallback => return AllocationResult::Fallback,
            Answer::Misaligned => {
                assert!(layout.align() > 1, "no address is misaligned for {layout:?}");
                let larger = Layout::from_size_align(layout.size() + 1, layout.align()).expect("a small block");
                let ptr = Self::real(larger);
                self.lies.push((ptr, larger));
                // SAFETY: the block is one byte longer than what is handed out.
                (unsafe { ptr.add(1) }, layout.size())
            }
            Answer::Short => {
                let ptr = Self::real(layout);
                self.lies.push((ptr, layout));
                (ptr, layout.size() - 1)
            }
            Answer::Overlapping => {
                let entries = self.ledger.0.lock();
                let (address, _) = *entries.live.last().expect("a block to overlap with");
                (NonNull::without_provenance(address.try_into().expect("not null")), layout.size())
            }
            Answer::Top => {
                let address = (usize::MAX - layout.size()) & !(layout.align() - 1);
                (NonNull::without_provenance(address.try_into().expect("not null")), layout.size())
            }
            Answer::Panic => panic!("the scripted backend panics"),
        };
        AllocationResult::Ok(NonNull::slice_from_raw_parts(ptr, len))
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        let block = (ptr.addr().get(), layout);
        let mut entries = self.ledger.0.lock();
        let index = entries.live.iter().position(|&live| live == block);
        let index =
            index.unwrap_or_else(|| panic!("{block:x?} was freed, but the live blocks are {:x?}", entries.live));
        entries.live.swap_remove(index);
        entries.freed += 1;
        drop(entries);
        // SAFETY: the block was found among those that came from `real` with this layout.
        unsafe { SystemBackend::new().deallocate(ptr, layout) };
        assert!(!self.panics_on_free, "the scripted backend panics on free");
    }

    fn name(&self) -> &'static str {
        "scripted"
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        for (ptr, layout) in self.lies.drain(..) {
            // SAFETY: came from `real` with this layout; the lie was refused, so that nobody uses it.
            unsafe { SystemBackend::new().deallocate(ptr, layout) };
        }
    }
}

/// A call of a [`Clerk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Request(Request),
    Settle(Outcome),
    Release(Resource, usize),
}

type Hook = Arc<dyn Fn(Event) + Send + Sync>;

/// A governor that writes down what it is told, answers as it was told to, and can do anything meanwhile.
#[derive(Default)]
pub(crate) struct Clerk {
    events: Mutex<Vec<Event>>,
    verdicts: Mutex<BTreeMap<usize, Verdict>>,
    hook: Mutex<Option<Hook>>,
}

impl Clerk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Answers the request number `request`, counted from 0, so; all others are allowed.
    pub(crate) fn answer(&self, request: usize, verdict: Verdict) {
        self.verdicts.lock().insert(request, verdict);
    }

    /// Runs `hook` in every call, after writing it down: to re-enter, or to panic.
    pub(crate) fn hook(&self, hook: impl Fn(Event) + Send + Sync + 'static) {
        *self.hook.lock() = Some(Arc::new(hook));
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().clone()
    }

    /// Bytes it was told are held; panics if more was released than obtained.
    pub(crate) fn held(&self) -> usize {
        self.events().into_iter().fold(0usize, |held, event| match event {
            Event::Request(_) => held,
            Event::Settle(outcome) => held + outcome.obtained,
            Event::Release(_, bytes) => held.checked_sub(bytes).expect("more was released than obtained"),
        })
    }

    fn note(&self, event: Event) {
        self.events.lock().push(event);
        let hook = self.hook.lock().clone();
        if let Some(hook) = hook {
            hook(event);
        }
    }
}

impl Governor for Clerk {
    fn request(&self, request: &Request) -> Verdict {
        let number = self.events.lock().iter().filter(|event| matches!(event, Event::Request(_))).count();
        self.note(Event::Request(*request));
        self.verdicts.lock().get(&number).copied().unwrap_or(Verdict::Allow)
    }

    fn settle(&self, outcome: &Outcome) {
        self.note(Event::Settle(*outcome));
    }

    fn release(&self, release: &Release) {
        self.note(Event::Release(release.resource, release.bytes));
    }
}

/// Runs `body` in a process in which no other test runs: for what is measured of a whole process.
///
/// `module` and `name` are those of the test that calls.
#[cfg(target_os = "linux")]
pub(crate) fn alone(module: &str, name: &str, body: impl FnOnce()) {
    const MARK: &str = "FRAMEALLOC_TEST_ALONE";
    let (_, module) = module.split_once("::").expect("the test is in a module of the crate");
    let test = alloc::format!("{module}::{name}");
    if std::env::var(MARK).is_ok_and(|running| running == test) {
        return body();
    }
    let output = std::process::Command::new(std::env::current_exe().expect("a test binary"))
        .args([&test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, &test)
        .output()
        .expect("the test binary starts");
    let text = alloc::string::String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{test} alone: {}\n{text}\n{}",
        output.status,
        alloc::string::String::from_utf8_lossy(&output.stderr)
    );
}

/// Bytes of this process in memory.
#[cfg(target_os = "linux")]
pub(crate) fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs");
    let pages: usize = statm.split(' ').nth(1).and_then(|field| field.parse().ok()).expect("resident pages");
    pages * rustix::param::page_size()
}
