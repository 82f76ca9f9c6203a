//! Where blocks came from: what the tracing mode knows of an allocator's pooled objects, and of the scopes of tags that are open.
//!
//! Promises that a block is in the list from before its user has it until its user gives it up, on whichever threads; and that the
//! program's allocator, which may come back in here, never runs under a lock or a borrow. What it takes while the list grows is not traced, nor is
//! what there is no memory for in the list.

use core::alloc::Layout;
use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::mem;
use core::panic::Location;
use core::ptr::{self, NonNull};
use core::time::Duration;
use std::backtrace::Backtrace;
use std::sync::Arc;
use std::time::Instant;
use std::vec::Vec;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::governor::Tag;
use crate::reentry;
use crate::sync::process::AtomicU64;
use crate::sync::{Ordering, thread_local};

/// Scopes of tags that are told apart: the innermost ones.
const DEPTH: usize = 8;

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
    /// The scopes of tags that it was asked for in, on its thread, the outermost first: the innermost eight.
    pub tags: Vec<Tag>,
    /// The frame in which that was, by its number.
    pub frame: u64,
    /// Frames that have ended since.
    pub frames: u64,
    /// Time since.
    pub age: Duration,
    /// Who called, if that is [noted](crate::AllocConfig::with_traced_stacks).
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
        let live = self.tracer.blocks.lock().len();
        f.debug_struct("Census").field("live", &live).finish_non_exhaustive()
    }
}

/// Open scopes of tags, the outermost first.
#[derive(Clone, Copy)]
pub(crate) struct Tags {
    tags: [Tag; DEPTH],
    len: usize,
}

impl Tags {
    /// Those of a list that begins with the innermost.
    pub(crate) fn of(innermost_first: impl Iterator<Item = Tag>) -> Self {
        let mut tags = Self { tags: [Tag::new(""); DEPTH], len: 0 };
        for tag in innermost_first.take(DEPTH) {
            tags.tags[tags.len] = tag;
            tags.len += 1;
        }
        tags.tags[..tags.len].reverse();
        tags
    }

    fn as_slice(&self) -> &[Tag] {
        &self.tags[..self.len]
    }
}

/// Where a block came from.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) site: &'static Location<'static>,
    pub(crate) tags: Tags,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it came from {}", self.site)?;
        for (at, tag) in self.tags.as_slice().iter().enumerate() {
            f.write_str(if at == 0 { ", under " } else { "/" })?;
            fmt::Display::fmt(tag, f)?;
        }
        Ok(())
    }
}

/// Values by addresses. Growing is the caller's: it is done where nothing is locked or borrowed.
pub(crate) struct ByAddress<V>(HashMap<usize, V>);

impl<V> Default for ByAddress<V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<V> ByAddress<V> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts a value in if there is room; else it comes back, and needs a larger map.
    pub(crate) fn insert(&mut self, address: usize, value: V) -> Result<(), V> {
        if self.0.len() == self.0.capacity() {
            return Err(value);
        }
        self.0.insert(address, value);
        Ok(())
    }

    pub(crate) fn remove(&mut self, address: usize) -> Option<V> {
        self.0.remove(&address)
    }

    /// A map with room for twice as many; `None` if there is no memory.
    pub(crate) fn with_room_beyond(len: usize) -> Option<Self> {
        let mut larger = HashMap::new();
        larger.try_reserve((2 * len).max(16)).ok()?;
        Some(Self(larger))
    }

    /// Moves all into `larger`, which takes this one's place, if it is. What is left is the caller's to drop.
    pub(crate) fn exchange(&mut self, larger: &mut Self) {
        if larger.0.capacity() > self.0.len() && larger.0.capacity() > self.0.capacity() {
            larger.0.extend(self.0.drain());
            mem::swap(self, larger);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &V)> {
        self.0.iter().map(|(&address, value)| (address, value))
    }

    /// Without giving its memory back: values have no destructor.
    pub(crate) fn clear(&mut self)
    where
        V: Copy,
    {
        self.0.clear();
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
    blocks: Mutex<ByAddress<Record>>,
    /// Number of the current frame.
    frame: AtomicU64,
    stacks: bool,
}

/// The list of a thread's open scopes, by their tracers.
struct Scopes(UnsafeCell<Vec<(*const Tracer, Tag)>>);

thread_local! {
    // Constant and without a destructor, so that late destructors of other thread-locals may read it.
    static BUSY: Cell<bool> = const { Cell::new(false) };
    static SCOPES: Scopes = const { Scopes(UnsafeCell::new(Vec::new())) };
}

/// Runs `f`, which calls the program's allocator, unless it is running on this thread already.
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
    pub(crate) fn new(stacks: bool) -> Self {
        Self { blocks: Mutex::default(), frame: AtomicU64::new(1), stacks }
    }

    pub(crate) fn set_frame(&self, frame: u64) {
        // Relaxed: a number for reports.
        self.frame.store(frame, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, memory: NonNull<u8>, layout: Layout, site: &'static Location<'static>) {
        let stack = if self.stacks { alone(|| Arc::new(Backtrace::force_capture())) } else { None };
        let mut record = Record {
            layout,
            origin: Origin { site, tags: self.open_tags() },
            frame: self.frame.load(Ordering::Relaxed),
            since: Instant::now(),
            stack,
        };
        loop {
            let len = {
                let mut blocks = self.blocks.lock();
                match blocks.insert(memory.addr().get(), record) {
                    Ok(()) => return,
                    Err(back) => record = back,
                }
                blocks.len()
            };
            let Some(mut larger) = alone(|| ByAddress::with_room_beyond(len)).flatten() else { return };
            self.blocks.lock().exchange(&mut larger);
            alone(|| drop(larger));
        }
    }

    pub(crate) fn remove(&self, memory: NonNull<u8>) {
        let record = self.blocks.lock().remove(memory.addr().get());
        // What it has of the heap goes back without the lock.
        drop(record);
    }

    /// A block keeps its place with another size.
    pub(crate) fn resize(&self, memory: NonNull<u8>, layout: Layout) {
        if let Some(record) = self.blocks.lock().0.get_mut(&memory.addr().get()) {
            record.layout = layout;
        }
    }

    pub(crate) fn origin(&self, memory: NonNull<u8>) -> Option<Origin> {
        // Whoever asks ends the program, also if somebody else cannot go on.
        self.blocks.try_lock()?.0.get(&memory.addr().get()).map(|record| record.origin)
    }

    fn live(&self) -> Vec<LiveBlock> {
        let mut copies: Vec<(usize, Record)> = Vec::new();
        loop {
            let blocks = self.blocks.lock();
            let len = blocks.len();
            if len <= copies.capacity() {
                // Nothing is allocated: a stack is counted.
                copies.extend(blocks.iter().map(|(address, of)| (address, Record { stack: of.stack.clone(), ..*of })));
                break;
            }
            drop(blocks);
            copies = Vec::with_capacity(len + len / 8 + 8);
        }
        copies.sort_unstable_by_key(|&(address, _)| address);
        let (now, frame) = (Instant::now(), self.frame.load(Ordering::Relaxed));
        let block = |(address, record): (usize, Record)| LiveBlock {
            address,
            layout: record.layout,
            site: record.origin.site,
            tags: record.origin.tags.as_slice().to_vec(),
            frame: record.frame,
            frames: frame.saturating_sub(record.frame),
            age: now.saturating_duration_since(record.since),
            stack: record.stack,
        };
        copies.into_iter().map(block).collect()
    }

    /// The open scopes of this thread's tags; none in its last destructors.
    fn open_tags(&self) -> Tags {
        let own = |scopes: &Scopes| {
            // SAFETY: this thread's list; borrowed for this statement, in which nothing is allocated.
            let scopes = unsafe { &*scopes.0.get() };
            Tags::of(scopes.iter().rev().filter(|(of, _)| ptr::eq(*of, self)).map(|&(_, tag)| tag))
        };
        SCOPES.try_with(own).unwrap_or_else(|_| Tags::of(core::iter::empty()))
    }

    /// Notes a scope of a tag; how many are open around it, for [`close_tag`](Self::close_tag).
    pub(crate) fn open_tag(&self, tag: Tag) -> usize {
        let open = |scopes: &Scopes| {
            // SAFETY: this thread's list, of which no borrow is alive: none of these functions keeps one.
            unsafe {
                let depth = (*scopes.0.get()).len();
                reentry::push(&scopes.0, (ptr::from_ref(self), tag));
                depth
            }
        };
        SCOPES.try_with(open).unwrap_or(usize::MAX)
    }

    pub(crate) fn close_tag(depth: usize) {
        // SAFETY: as above; the elements are plain.
        let _ = SCOPES.try_with(|scopes| unsafe { &mut *scopes.0.get() }.truncate(depth));
    }
}
