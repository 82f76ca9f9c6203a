//! Where blocks came from: what the tracing mode knows of an allocator's pooled objects, and of the scopes of tags that are open.
//!
//! Promises that a block is in the list from before its user has it until its user gives it up, on whichever threads. What the program's
//! allocator does meanwhile, if it is one of these itself, is not traced.

use core::alloc::Layout;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::panic::Location;
use core::ptr::NonNull;
use core::time::Duration;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use std::vec::Vec;

use parking_lot::Mutex;

use crate::governor::Tag;
use crate::sync::process::AtomicU64;
use crate::sync::{Ordering, thread_local};

/// An object or block of a pool that is live: see [`Census`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveBlock {
    /// Its first byte.
    pub address: usize,
    /// What was asked for.
    pub layout: Layout,
    /// The line that asked for it: of the program, as far as this crate's methods were called. What a collection of another crate
    /// asks for is that crate's.
    pub site: &'static Location<'static>,
    /// The scopes of tags that it was asked for in, on its thread, the outermost first.
    pub tags: Vec<Tag>,
    /// The frame in which that was, by its number.
    pub frame: u64,
    /// Frames that have ended since.
    pub frames: u64,
    /// Time since.
    pub age: Duration,
    /// Who called, if the environment asks for backtraces, by `RUST_LIB_BACKTRACE=1` or `RUST_BACKTRACE=1`.
    pub stack: Option<Arc<Backtrace>>,
}

/// The live objects of a pool, at any time, also when the allocator is gone: made by [`Pool::census`](crate::Pool::census) of one whose
/// blocks are [traced](crate::AllocConfig::with_tracing).
///
/// ```
/// use framealloc_core::{AllocConfig, SmartAlloc};
/// let alloc = SmartAlloc::new(AllocConfig::default().with_tracing());
/// let census = alloc.pool().census().unwrap();
/// let kept = alloc.with_tag("ai", |a| a.pool_box([0u32; 4]));
/// drop(alloc);
/// let live = census.live();
/// assert_eq!((live.len(), live[0].layout.size(), live[0].tags[0].name()), (1, 16, "ai"));
/// assert!(live[0].site.file().ends_with(".rs"));
/// drop(kept);
/// assert!(census.live().is_empty());
/// ```
#[derive(Clone)]
pub struct Census {
    tracer: Arc<Tracer>,
}

impl Census {
    pub(crate) fn new(tracer: Arc<Tracer>) -> Self {
        Self { tracer }
    }

    /// What is live, by address.
    #[must_use]
    pub fn live(&self) -> Vec<LiveBlock> {
        self.tracer.live()
    }
}

impl fmt::Debug for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Census").field("live", &self.tracer.blocks.lock().len()).finish_non_exhaustive()
    }
}

/// Where a block came from.
pub(crate) struct Origin {
    pub(crate) site: &'static Location<'static>,
    pub(crate) tags: Vec<Tag>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it came from {}", self.site)?;
        for (at, tag) in self.tags.iter().enumerate() {
            f.write_str(if at == 0 { ", under " } else { "/" })?;
            fmt::Display::fmt(tag, f)?;
        }
        Ok(())
    }
}

struct Record {
    layout: Layout,
    origin: Origin,
    frame: u64,
    since: Instant,
    stack: Option<Arc<Backtrace>>,
}

/// The blocks of one allocator.
pub(crate) struct Tracer {
    blocks: Mutex<BTreeMap<usize, Record>>,
    /// Number of the current frame.
    frame: AtomicU64,
}

thread_local! {
    // Constant and without a destructor, so that late destructors of other thread-locals may read it.
    static BUSY: Cell<bool> = const { Cell::new(false) };
    /// Open scopes of tags of allocators that are traced, by their tracers.
    static TAGS: RefCell<Vec<(*const Tracer, Tag)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f`, unless it is running on this thread already: it calls the program's allocator, which may come back.
fn alone<R>(f: impl FnOnce() -> R) -> Option<R> {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            BUSY.set(false);
        }
    }
    if BUSY.replace(true) {
        return None;
    }
    let _reset = Reset;
    Some(f())
}

impl Tracer {
    pub(crate) fn new() -> Self {
        Self { blocks: Mutex::default(), frame: AtomicU64::new(1) }
    }

    pub(crate) fn set_frame(&self, frame: u64) {
        // Relaxed: a number for reports.
        self.frame.store(frame, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, memory: NonNull<u8>, layout: Layout, site: &'static Location<'static>) {
        alone(|| {
            let stack = Backtrace::capture();
            let record = Record {
                layout,
                origin: Origin { site, tags: self.open_tags() },
                frame: self.frame.load(Ordering::Relaxed),
                since: Instant::now(),
                stack: (stack.status() == BacktraceStatus::Captured).then(|| Arc::new(stack)),
            };
            let before = self.blocks.lock().insert(memory.addr().get(), record);
            drop(before);
        });
    }

    pub(crate) fn remove(&self, memory: NonNull<u8>) {
        alone(|| {
            let record = self.blocks.lock().remove(&memory.addr().get());
            drop(record);
        });
    }

    /// A block keeps its place with another size.
    pub(crate) fn resize(&self, memory: NonNull<u8>, layout: Layout) {
        alone(|| {
            if let Some(record) = self.blocks.lock().get_mut(&memory.addr().get()) {
                record.layout = layout;
            }
        });
    }

    pub(crate) fn origin(&self, memory: NonNull<u8>) -> Option<Origin> {
        let of = |record: &Record| Origin { site: record.origin.site, tags: record.origin.tags.clone() };
        alone(|| self.blocks.lock().get(&memory.addr().get()).map(of)).flatten()
    }

    fn live(&self) -> Vec<LiveBlock> {
        let (now, frame) = (Instant::now(), self.frame.load(Ordering::Relaxed));
        let block = |(&address, record): (&usize, &Record)| LiveBlock {
            address,
            layout: record.layout,
            site: record.origin.site,
            tags: record.origin.tags.clone(),
            frame: record.frame,
            frames: frame.saturating_sub(record.frame),
            age: now.saturating_duration_since(record.since),
            stack: record.stack.clone(),
        };
        alone(|| self.blocks.lock().iter().map(block).collect()).unwrap_or_default()
    }

    /// The open scopes of this thread's tags, the outermost first; none in its last destructors.
    pub(crate) fn open_tags(&self) -> Vec<Tag> {
        let own = |tags: &RefCell<Vec<(*const Self, Tag)>>| {
            tags.borrow().iter().filter(|(of, _)| core::ptr::eq(*of, self)).map(|&(_, tag)| tag).collect()
        };
        TAGS.try_with(own).unwrap_or_default()
    }

    /// Notes a scope of a tag; how many are open around it, for [`close_tag`](Self::close_tag).
    pub(crate) fn open_tag(&self, tag: Tag) -> usize {
        let noted = alone(|| {
            TAGS.try_with(|tags| {
                let mut tags = tags.borrow_mut();
                tags.push((core::ptr::from_ref(self), tag));
                tags.len() - 1
            })
        });
        noted.and_then(Result::ok).unwrap_or(usize::MAX)
    }

    pub(crate) fn close_tag(depth: usize) {
        let _ = TAGS.try_with(|tags| tags.borrow_mut().truncate(depth));
    }
}
