//! What several test programs share: a ledger of values, and a backend that follows a script.
#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod warm;

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use framealloc_core::{AllocationResult, AllocatorBackend, SystemBackend};

/// Counts values that were made and dropped, and finds those that were dropped twice.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<usize>>>, Arc<AtomicUsize>);

/// A value of a [`Ledger`]; panics in `clone` and in its destructor if told so.
pub(crate) struct Entered {
    ledger: Ledger,
    number: usize,
    /// Not at the start of the value: a misplaced read shows.
    pub(crate) value: u64,
    panics: bool,
}

impl Ledger {
    /// A value that counts.
    pub(crate) fn enter(&self, value: u64) -> Entered {
        let mut drops = self.0.lock().unwrap();
        drops.push(0);
        Entered { ledger: self.clone(), number: drops.len() - 1, value, panics: false }
    }

    /// A value whose destructor panics.
    pub(crate) fn enter_panicking(&self, value: u64) -> Entered {
        let mut entered = self.enter(value);
        entered.panics = true;
        entered
    }

    /// The `n`-th call of `clone` from now, counted from 0, panics.
    pub(crate) fn panic_at_clone(&self, n: usize) {
        self.1.store(n + 1, Ordering::Relaxed);
    }

    pub(crate) fn made(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn dropped(&self) -> usize {
        self.0.lock().unwrap().iter().sum()
    }

    /// Every value was dropped, and exactly once.
    #[track_caller]
    pub(crate) fn assert_settled(&self) {
        let drops = self.0.lock().unwrap();
        for (number, &times) in drops.iter().enumerate() {
            assert_eq!(times, 1, "value {number} of {} was dropped {times} times", drops.len());
        }
    }
}

impl Clone for Entered {
    fn clone(&self) -> Self {
        let left = self.ledger.1.load(Ordering::Relaxed);
        if left > 0 {
            self.ledger.1.store(left - 1, Ordering::Relaxed);
            assert!(left != 1, "the clone panics");
        }
        self.ledger.enter(self.value)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.ledger.0.lock().unwrap()[self.number] += 1;
        assert!(!self.panics, "the destructor panics");
    }
}

/// Runs `f`; the text of its panic, if it panics with one.
#[track_caller]
pub(crate) fn panic_text<R>(f: impl FnOnce() -> R) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(|| {
        f();
    }))
    .err()?;
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string)).or(Some(String::new()))
}

/// What a [`Scripted`] backend does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Memory,
    Failed,
    Fallback,
    Misaligned,
    Short,
    Overlapping,
    Panic,
}

#[derive(Default)]
struct Books {
    calls: usize,
    script: BTreeMap<usize, Answer>,
    otherwise: Option<Answer>,
    live: BTreeMap<usize, Layout>,
    freed: usize,
    lies: Vec<(usize, Layout)>,
}

/// A backend that answers by script, and checks that every block comes back once, with its layout.
#[derive(Clone, Default)]
pub(crate) struct Scripted(Arc<Mutex<Books>>);

impl Scripted {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Answers call number `call`, from 0 since the last [`Self::restart`], so.
    pub(crate) fn at(&self, call: usize, answer: Answer) {
        self.0.lock().unwrap().script.insert(call, answer);
    }

    /// Answers every call for which there is no script so.
    pub(crate) fn always(&self, answer: Answer) {
        self.0.lock().unwrap().otherwise = Some(answer);
    }

    /// Counts calls from 0 again, without a script.
    pub(crate) fn restart(&self) {
        let mut books = self.0.lock().unwrap();
        books.calls = 0;
        books.script.clear();
        books.otherwise = None;
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }

    pub(crate) fn freed(&self) -> usize {
        self.0.lock().unwrap().freed
    }

    /// Blocks that are out, and their bytes.
    pub(crate) fn live(&self) -> (usize, usize) {
        let books = self.0.lock().unwrap();
        (books.live.len(), books.live.values().map(Layout::size).sum())
    }

    /// Whether these bytes lie in one block that is out.
    pub(crate) fn has(&self, start: usize, bytes: usize) -> bool {
        let books = self.0.lock().unwrap();
        books.live.range(..=start).next_back().is_some_and(|(at, layout)| start + bytes <= at + layout.size())
    }

    pub(crate) fn boxed(&self) -> Box<dyn AllocatorBackend> {
        Box::new(self.clone())
    }
}

fn real(layout: Layout) -> NonNull<u8> {
    match SystemBackend::new().allocate(layout) {
        AllocationResult::Ok(memory) => memory.cast(),
        other => panic!("the system has no memory: {other:?}"),
    }
}

// SAFETY: what it lies about is memory that nobody else uses; overlapping answers are scripted where they are refused only.
unsafe impl AllocatorBackend for Scripted {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        assert!(layout.size() > 0, "a request for nothing");
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let call = books.calls;
        books.calls += 1;
        let (ptr, bytes) = match books.script.get(&call).copied().or(books.otherwise).unwrap_or(Answer::Memory) {
            Answer::Memory => {
                let ptr = real(layout);
                books.live.insert(ptr.addr().get(), layout);
                (ptr, layout.size())
            }
            Answer::Failed => return AllocationResult::Failed,
            Answer::Fallback => return AllocationResult::Fallback,
            Answer::Misaligned => {
                let longer = Layout::from_size_align(layout.size() + layout.align(), layout.align()).unwrap();
                let ptr = real(longer);
                books.lies.push((ptr.as_ptr().expose_provenance(), longer));
                // SAFETY: inside the longer block.
                (unsafe { ptr.add(1) }, layout.size())
            }
            Answer::Short => {
                let ptr = real(layout);
                books.lies.push((ptr.as_ptr().expose_provenance(), layout));
                (ptr, layout.size() - 1)
            }
            Answer::Overlapping => {
                let (&address, _) = books.live.last_key_value().expect("a block to overlap with");
                (NonNull::new(std::ptr::with_exposed_provenance_mut(address)).unwrap(), layout.size())
            }
            Answer::Panic => {
                drop(books);
                panic!("the backend panics")
            }
        };
        AllocationResult::Ok(NonNull::slice_from_raw_parts(ptr, bytes))
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(books.live.remove(&ptr.addr().get()), Some(layout), "a block comes back with its layout, once");
        books.freed += 1;
        // SAFETY: it was live with this layout.
        unsafe { SystemBackend::new().deallocate(ptr, layout) };
    }

    fn name(&self) -> &'static str {
        "scripted"
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        for (address, layout) in self.lies.drain(..) {
            let ptr = NonNull::new(std::ptr::with_exposed_provenance_mut(address)).unwrap();
            // SAFETY: made by `real`; the lie was refused, so that nobody uses it.
            unsafe { SystemBackend::new().deallocate(ptr, layout) };
        }
    }
}
