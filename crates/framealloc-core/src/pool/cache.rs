//! A thread's cache of one pool: a magazine of free objects for each class, and the last-used cache of the thread.
//!
//! Promises that only the owning thread ever touches a cache, that it is bounded, and that its objects return to the
//! depot when the thread dies. What is free beyond its bounds is the depot's.

use core::alloc::Layout;
use core::cell::Cell;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::boxed::Box;
use std::sync::{Arc, Weak};

use super::Door;
use super::class::{self, CLASSES, LIMIT};
use super::parcel::Parcel;
use super::shared::PoolCore;
use super::slab::Doomed;
use crate::prefetch;
use crate::sync::thread_local;
use crate::thread::{self, Resident, Token};

thread_local! {
    // The cache this thread used last, and its pool's id; constant and without a destructor, so that late
    // destructors may read it. An id of 0 is no pool's.
    static LAST: Cell<(u64, *const Cache)> = const { Cell::new((0, ptr::null())) };
}

/// Objects whose lines are asked for together, as many as a core waits for at a time or a few less.
const GROUP: usize = 8;

/// Bytes from which an object is worth a prefetch of its own; smaller ones share lines with their neighbours.
const ALONE: usize = 32;

/// Up to [`class::limit`] free objects of one class.
pub(super) struct Magazine {
    len: Cell<usize>,
    /// Objects at the bottom whose lines were not asked for yet. What is freed here lies above, and is warm anyway.
    cold: Cell<usize>,
    /// Those below `len` are initialised. Memory for the others is not touched before it is needed.
    slots: [Cell<MaybeUninit<NonNull<u8>>>; LIMIT],
}

/// The magazines of one thread for one pool. The thread's list of residents owns it, by a [`Lodger`].
pub(super) struct Cache {
    magazines: [Magazine; CLASSES],
    /// An empty parcel, for the next exchange with the depot.
    spare: Cell<Option<Box<Parcel>>>,
    id: u64,
    core: Weak<PoolCore>,
    door: Weak<Door>,
}

// SAFETY: a cache is reached through `LAST` and `thread::find` only, which are the owning thread's, and dropped by
// that thread's list of residents. The trait's methods, which others could call, are called by the owner as well.
unsafe impl Send for Cache {}
// SAFETY: as above.
unsafe impl Sync for Cache {}

/// An object of `class` from this thread's cache of pool `id`, if that was used last and has a warm one.
#[inline(always)]
pub(super) fn take(id: u64, class: usize) -> Option<NonNull<u8>> {
    let (last, cache) = LAST.get();
    if last != id {
        return None;
    }
    // SAFETY: a cache that `LAST` names is alive: its drop, and the thread's end, clear `LAST`. No pool's id is 0.
    unsafe { &(*cache).magazines[class] }.pop_warm()
}

/// As [`take`], warm or not.
#[inline(always)]
pub(super) fn take_any(id: u64, class: usize) -> Option<NonNull<u8>> {
    let (last, cache) = LAST.get();
    if last != id {
        return None;
    }
    // SAFETY: as in `take`.
    unsafe { &(*cache).magazines[class] }.pop(class)
}

/// Puts a free object of `class` into this thread's cache of pool `id`, if that was used last and has room.
///
/// # Safety
///
/// The object is of this pool's slabs and of this class, and used by nobody.
#[inline(always)]
pub(super) unsafe fn put(id: u64, class: usize, object: NonNull<u8>) -> bool {
    let (last, cache) = LAST.get();
    if last != id {
        return false;
    }
    // SAFETY: as in `take`; the id of a closed slab is never in `LAST`.
    unsafe { &(*cache).magazines[class] }.push(class, object)
}

/// This thread's cache of `core`'s pool, if it has one.
pub(super) fn existing(core: &PoolCore) -> Option<*const Cache> {
    let (last, cache) = LAST.get();
    if last == core.id() { Some(cache) } else { thread::find(core.id()).map(<*const ()>::cast) }
}

/// This thread's cache of `core`'s pool, made if need be, and the last used from now on; `None` if the thread is past
/// its guard or there is no memory for one. User code may have run.
pub(super) fn current(core: &Arc<PoolCore>) -> Option<*const Cache> {
    if thread::is_late() {
        return None;
    }
    let cache = existing(core).or_else(|| register(core))?;
    LAST.set((core.id(), cache));
    Some(cache)
}

#[cold]
fn register(core: &Arc<PoolCore>) -> Option<*const Cache> {
    // What is freed after the pool was closed is the depot's.
    if core.door().strong_count() == 0 {
        return None;
    }
    let cache = Cache::try_new(core)?;
    thread::register(core.id(), cache.as_ptr().cast(), Arc::new(Lodger(cache)));
    // Registering may drop the caches of closed pools, and with that run a governor, which may even have closed
    // this one: what counts is what the list says now.
    existing(core)
}

impl Cache {
    /// An empty cache in a box of its own, if there is memory for it. Built in place: most of it is slots, which get their values
    /// when they are used.
    fn try_new(core: &Arc<PoolCore>) -> Option<NonNull<Self>> {
        // SAFETY: a cache takes memory.
        let cache = NonNull::new(unsafe { std::alloc::alloc(Layout::new::<Self>()) }.cast::<Self>())?;
        let place = cache.as_ptr();
        // SAFETY: the place is valid for a cache, and all fields are written but the slots, which need no value.
        unsafe {
            (&raw mut (*place).spare).write(Cell::new(None));
            (&raw mut (*place).id).write(core.id());
            (&raw mut (*place).core).write(Arc::downgrade(core));
            (&raw mut (*place).door).write(core.door().clone());
            for class in 0..CLASSES {
                let magazine = &raw mut (*place).magazines[class];
                (&raw mut (*magazine).len).write(Cell::new(0));
                canary!("cold_unwritten", (&raw mut (*magazine).cold).write(Cell::new(0)), ());
            }
        }
        Some(cache)
    }

    /// The magazine of `class`.
    pub(super) fn magazine(&self, class: usize) -> &Magazine {
        &self.magazines[class]
    }

    /// The empty parcel, if there is one: nobody else has it until it is [put back](Self::keep_spare).
    pub(super) fn take_spare(&self) -> Option<Box<Parcel>> {
        self.spare.take()
    }

    /// Keeps an empty parcel for the next exchange.
    pub(super) fn keep_spare(&self, parcel: Option<Box<Parcel>>) {
        debug_assert!(parcel.as_ref().is_none_or(|parcel| parcel.len() == 0), "objects would be lost");
        self.spare.set(parcel);
    }

    /// All magazines, with their classes.
    pub(super) fn magazines(&self) -> impl Iterator<Item = (usize, &Magazine)> {
        self.magazines.iter().enumerate()
    }

    /// Returns everything to the depot. What the caller gets may run user code when it is dropped, which must be
    /// when nothing of the cache is borrowed: the user code may have the cache dropped.
    #[must_use]
    pub(super) fn drain(&self) -> Option<(Doomed, Option<Box<Parcel>>, Arc<PoolCore>)> {
        // A cache with objects in it has slabs, which keep their core.
        let core = self.core.upgrade()?;
        Some((core.empty(self), self.take_spare(), core))
    }
}

/// Owns a thread's cache.
struct Lodger(NonNull<Cache>);

// SAFETY: as a box of a cache, which is both.
unsafe impl Send for Lodger {}
// SAFETY: as above.
unsafe impl Sync for Lodger {}

impl Resident for Lodger {
    fn thread_exit(&self, _: Token) {
        // Dropping the thread's reference, which follows, does all there is to do.
    }

    fn is_abandoned(&self) -> bool {
        // SAFETY: alive until this is dropped.
        unsafe { self.0.as_ref() }.door.strong_count() == 0
    }
}

impl Drop for Lodger {
    fn drop(&mut self) {
        // SAFETY: made by `Cache::try_new` from the program's allocator with a box's layout, and dropped here, once.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if LAST.get().0 == self.id {
            LAST.set((0, ptr::null()));
        }
        canary!("dead_cache_lost", drop(self.drain()), ());
    }
}

impl Magazine {
    /// The last object, unless it is cold: one comparison finds both that the magazine is empty and that it is time to
    /// ask for lines. The bound is loaded by an instruction of its own, an atomic load being no part of a comparison, and
    /// the slot before the length is stored: the length goes from one call's store to the next one's load, as the cursor
    /// does in `RawArena::value`.
    #[inline(always)]
    fn pop_warm(&self) -> Option<NonNull<u8>> {
        let len = self.len.get();
        // SAFETY: the magazine's own cell, which no other thread touches.
        let cold = unsafe { AtomicUsize::from_ptr(self.cold.as_ptr()) }.load(Ordering::Relaxed);
        if len <= cold {
            return None;
        }
        // SAFETY: `len` is at most `LIMIT`, and the slots below are initialised: `push` and `fill` alone raise it.
        let object = unsafe { self.slots.get_unchecked(len - 1).get().assume_init() };
        self.len.set(len - 1);
        Some(object)
    }

    /// The last object. Those of the group below it were asked for when the group above began; now the next is.
    #[inline(always)]
    pub(super) fn pop(&self, class: usize) -> Option<NonNull<u8>> {
        let len = self.len.get();
        let last = len.checked_sub(1)?;
        let cold = if class::size(class) < ALONE { 0 } else { len.saturating_sub(GROUP) };
        self.cold.set(cold);
        self.prefetch(cold);
        // SAFETY: the slots below `len` are initialised.
        let object = unsafe { self.slots[last].get().assume_init() };
        self.len.set(last);
        Some(object)
    }

    /// False if the magazine is full.
    #[inline(always)]
    pub(super) fn push(&self, class: usize, object: NonNull<u8>) -> bool {
        let len = self.len.get();
        // The limit does not change, but a magazine never holds more than it.
        if len >= class::limit(class) {
            return false;
        }
        // SAFETY: `len` is less than the limit, which is at most `LIMIT`.
        unsafe { self.slots.get_unchecked(len) }.set(MaybeUninit::new(object));
        self.len.set(len + 1);
        true
    }

    /// The objects in it.
    pub(super) fn objects(&self) -> impl Iterator<Item = NonNull<u8>> {
        // SAFETY: the slots below `len` are initialised.
        self.slots[..self.len.get()].iter().map(|slot| unsafe { slot.get().assume_init() })
    }

    /// Asks for the lines of what a filled magazine hands out first.
    pub(super) fn prefetch_first(&self, class: usize) {
        if class::size(class) >= ALONE {
            self.prefetch(self.len.get());
        }
    }

    /// Asks for the lines of the group below `end`, to be written: they lie in another core's cache if that freed them,
    /// and stores would wait for a few at a time. All lines of a batch at once would wait for each other; a group at a
    /// time is there when it is needed. `end` is at most `len`.
    #[inline(always)]
    fn prefetch(&self, end: usize) {
        for slot in &self.slots[end.saturating_sub(GROUP)..end] {
            // SAFETY: `end` is at most `len`, below which slots are initialised.
            let object = unsafe { slot.get().assume_init() };
            prefetch::to_write(object.as_ptr());
        }
    }

    /// Fills an empty magazine; the last object is handed out first.
    pub(super) fn fill(&self, objects: impl Iterator<Item = NonNull<u8>>) {
        debug_assert_eq!(self.len.get(), 0, "a magazine is filled when it is empty");
        let mut len = 0;
        for (slot, object) in self.slots.iter().zip(objects) {
            slot.set(MaybeUninit::new(object));
            len += 1;
        }
        self.len.set(len);
    }

    /// Takes out all objects above `keep`: those freed last, which spares moving the others. The iterator reads the
    /// slots as it goes: it is used up before the magazine is used again.
    pub(super) fn unload(&self, keep: usize) -> impl Iterator<Item = NonNull<u8>> {
        let len = self.len.replace(keep.min(self.len.get()));
        // SAFETY: the slots below the length that was are initialised, and stay so.
        self.slots[self.len.get()..len].iter().map(|slot| unsafe { slot.get().assume_init() })
    }
}
