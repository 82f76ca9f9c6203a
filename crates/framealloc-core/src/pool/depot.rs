//! The depot: what is free and in no thread's cache, for each class parcels and a stack of addresses, behind the core's lock.
//!
//! Threads exchange whole parcels. The stack is for what comes one by one, and where there is no memory for a parcel. Promises
//! that an object always has a place: room on the stack is made when its slab is taken, so that freeing cannot fail. Runs no code but its own; slabs to give back are handed out as [`Doomed`].

use core::iter;
use core::mem;
use core::ptr::NonNull;
use std::boxed::Box;
use std::vec::Vec;

use super::cache::Magazine;
use super::class::{self, CLASSES};
use super::parcel::{Parcel, Parcels};
use super::slab::{self, Doomed, SLAB, Slab};
use crate::stats::{ClassStats, POOL_SIZES, PoolStats, PoolSurvey};

/// A stack of free objects. Addresses are kept beside the objects, not links inside them: handing out an object that
/// another core freed does not wait for its memory.
pub(super) type Stack = Vec<NonNull<u8>>;

pub(super) struct Depot {
    shelves: [Shelf; CLASSES],
    /// For whoever puts or takes a parcel next.
    empty: Parcels,
    /// All slabs, until the pool is closed.
    slabs: Option<Slab>,
    count: usize,
    closed: bool,
}

// SAFETY: the depot owns its free objects and shares the headers' guarded fields with nobody who has not its lock.
unsafe impl Send for Depot {}

struct Shelf {
    parcels: Parcels,
    /// What is in no parcel.
    free: Stack,
    /// Slabs with objects that were never handed out.
    open: Option<Slab>,
    /// Objects all slabs have room for; `free` has capacity for so many, those in parcels included.
    slots: usize,
    /// Objects handed out at least once.
    carved: usize,
}

impl Depot {
    pub(super) const fn new() -> Self {
        Self {
            shelves: [const { Shelf { parcels: Parcels::new(), free: Vec::new(), open: None, slots: 0, carved: 0 } };
                CLASSES],
            empty: Parcels::new(),
            slabs: None,
            count: 0,
            closed: false,
        }
    }

    /// One object, for those who have no cache.
    pub(super) fn one(&mut self, class: usize) -> Option<NonNull<u8>> {
        let shelf = &mut self.shelves[class];
        if shelf.free.is_empty() {
            shelf.unpack_one(&mut self.empty);
        }
        if let Some(object) = shelf.free.pop() {
            return Some(object);
        }
        let (slab, at, _) = shelf.carve(class, 1)?;
        // SAFETY: `carve` returned this index of the slab.
        Some(unsafe { slab::object(slab, class, at) })
    }

    /// A full parcel, the one that came last, for an empty one if the caller has one.
    pub(super) fn take_parcel(
        &mut self,
        class: usize,
        spare: Option<Box<Parcel>>,
    ) -> Result<Box<Parcel>, Option<Box<Parcel>>> {
        let Some(parcel) = self.shelves[class].parcels.pop() else { return Err(spare) };
        if let Some(spare) = spare {
            self.empty.push(spare);
        }
        Ok(parcel)
    }

    /// Takes a full parcel, for an empty one if there is one; gives it back if the pool is closed, since slabs are counted then.
    ///
    /// # Safety
    ///
    /// The objects are of this depot's slabs and class, and used by nobody.
    pub(super) unsafe fn put_parcel(
        &mut self,
        class: usize,
        parcel: Box<Parcel>,
    ) -> Result<Option<Box<Parcel>>, Box<Parcel>> {
        if self.closed {
            return Err(parcel);
        }
        let shelf = &mut self.shelves[class];
        shelf.parcels.push(parcel);
        debug_assert!(shelf.at_hand() <= shelf.slots, "an object was freed twice");
        Ok(self.empty.pop())
    }

    /// Takes the empty parcels out: they are dropped without the lock.
    pub(super) fn empty_parcels(&mut self) -> Parcels {
        mem::take(&mut self.empty)
    }

    /// Fills an empty magazine with a batch from the stack, or with new objects; what was freed last is handed out first, and new objects in the order
    /// of their addresses.
    pub(super) fn stock(&mut self, class: usize, magazine: &Magazine) {
        let shelf = &mut self.shelves[class];
        let batch = class::batch(class);
        if shelf.free.is_empty() {
            if let Some((slab, start, count)) = shelf.carve(class, batch) {
                // SAFETY: `carve` returned these indices of the slab.
                magazine.fill((start..start + count).rev().map(|at| unsafe { slab::object(slab, class, at) }));
            }
        } else {
            let rest = shelf.free.len().saturating_sub(batch);
            magazine.fill(shelf.free.drain(rest..));
        }
    }

    /// Takes free objects of `class`; if the pool is closed, slabs that are wholly free thereby are doomed.
    ///
    /// # Safety
    ///
    /// The objects are of this depot's slabs and class, and used by nobody.
    pub(super) unsafe fn put(&mut self, class: usize, objects: impl Iterator<Item = NonNull<u8>>, doomed: &mut Doomed) {
        if !self.closed {
            let shelf = &mut self.shelves[class];
            shelf.free.extend(objects);
            debug_assert!(shelf.at_hand() <= shelf.slots, "an object was freed twice");
            return;
        }
        for object in objects {
            // SAFETY: the object keeps its slab alive, and this is the depot whose lock guards the fields. When all
            // its objects are here nobody else knows the slab: a closed depot has it in no list.
            unsafe {
                let slab = slab::of(object);
                let header = slab.as_ptr();
                (*header).free += 1;
                if (*header).free == (*header).carved {
                    canary!("closed_slabs_leak", doomed.push(slab), ());
                }
            }
        }
    }

    /// Adds a slab; if the stack has no room for its objects, says how many it needs room for, and takes `spare`
    /// with at least so much when asked again.
    ///
    /// # Safety
    ///
    /// The slab was just built for this depot and `class`.
    pub(super) unsafe fn add(&mut self, class: usize, slab: Slab, spare: &mut Stack) -> Result<(), usize> {
        let header = slab.as_ptr();
        let shelf = &mut self.shelves[class];
        // SAFETY: nobody else knows the slab.
        let slots = shelf.slots + unsafe { (*header).slots };
        if shelf.free.capacity() < slots && !shelf.replace(slots, spare) {
            return Err(slots);
        }
        shelf.slots = slots;
        self.count += 1;
        // SAFETY: nobody else knows the slab.
        unsafe {
            (*header).next = self.slabs.replace(slab);
            (*header).next_open = shelf.open.replace(slab);
        }
        Ok(())
    }

    /// Counts the free objects of each slab: those in here, and `more`.
    ///
    /// # Safety
    ///
    /// Those are of this depot's slabs and used by nobody. The pool is open.
    unsafe fn count_free(&mut self, more: impl Iterator<Item = NonNull<u8>>) {
        let here = self.shelves.iter().flat_map(|shelf| shelf.free.iter().copied().chain(shelf.parcels.iter()));
        // SAFETY: every slab in the list and every slab of a free object is alive, and the lock that guards these fields is
        // held, as `self` is borrowed.
        unsafe {
            let mut at = self.slabs;
            while let Some(slab) = at {
                (*slab.as_ptr()).free = 0;
                at = (*slab.as_ptr()).next;
            }
            for object in here.chain(more) {
                (*slab::of(object).as_ptr()).free += 1;
            }
        }
    }

    /// Looks at each slab; `cached` are free, too.
    ///
    /// # Safety
    ///
    /// As for [`count_free`](Self::count_free).
    pub(super) unsafe fn survey(&mut self, cached: impl Iterator<Item = NonNull<u8>>) -> PoolSurvey {
        let mut survey = PoolSurvey::default();
        for class in 0..CLASSES {
            survey.sizes[class::size_index(class)].size = class::size(class);
        }
        // SAFETY: by the caller's promise, and as in `count_free`.
        unsafe {
            self.count_free(cached);
            let mut at = self.slabs;
            while let Some(slab) = at {
                let header = slab.as_ptr();
                let of = &mut survey.sizes[class::size_index(slab::class(slab))];
                of.add((*header).carved - (*header).free, (*header).slots);
                at = (*header).next;
            }
        }
        survey
    }

    /// Takes the wholly free slabs out.
    pub(super) fn sweep(&mut self) -> Doomed {
        let mut doomed = Doomed::default();
        for shelf in &mut self.shelves {
            while shelf.unpack_one(&mut self.empty) {}
        }
        // SAFETY: every slab in the list and every slab of a free object is alive, and the lock that guards these
        // fields is held, as `self` is borrowed. A slab that is doomed has all its objects on the stack, from which
        // they are removed, and is left out of both lists.
        unsafe {
            self.count_free(iter::empty());
            for shelf in &mut self.shelves {
                shelf.open = None;
                shelf.free.retain(|&object| !is_free(slab::of(object)));
            }
            let mut at = self.slabs.take();
            while let Some(slab) = at {
                let header = slab.as_ptr();
                at = (*header).next;
                let shelf = &mut self.shelves[slab::class(slab)];
                if is_free(slab) {
                    shelf.slots -= (*header).slots;
                    shelf.carved -= (*header).carved;
                    self.count -= 1;
                    doomed.push(slab);
                    continue;
                }
                (*header).next = self.slabs.replace(slab);
                if (*header).carved < (*header).slots {
                    (*header).next_open = shelf.open.replace(slab);
                }
            }
        }
        doomed
    }

    /// Closes the pool: from now on slabs are only counted, and each is released with its last object. The stacks
    /// are returned to be dropped without the lock.
    pub(super) fn close(&mut self) -> (Doomed, [Stack; CLASSES]) {
        let doomed = self.sweep();
        self.closed = true;
        let mut at = self.slabs.take();
        while let Some(slab) = at {
            // SAFETY: the slab is alive, since it was in the list, and the lock is held.
            unsafe {
                slab::close(slab);
                at = (*slab.as_ptr()).next;
            }
        }
        let stacks = self.shelves.each_mut().map(|shelf| {
            shelf.open = None;
            mem::take(&mut shelf.free)
        });
        (doomed, stacks)
    }

    /// If the stack of `class` is much larger than its slabs can fill, the number of objects it needs room for.
    pub(super) fn surplus(&self, class: usize) -> Option<usize> {
        let shelf = &self.shelves[class];
        (shelf.free.capacity() > shelf.slots.saturating_mul(2)).then_some(shelf.slots)
    }

    /// Replaces the stack of `class` by `spare` if that has room for what the slabs can fill.
    pub(super) fn replace(&mut self, class: usize, spare: &mut Stack) {
        let shelf = &mut self.shelves[class];
        shelf.replace(shelf.slots, spare);
    }

    /// Objects that the stack of `class` has room for.
    #[cfg(test)]
    pub(super) fn room(&self, class: usize) -> usize {
        self.shelves[class].free.capacity()
    }

    pub(super) fn stats(&self) -> PoolStats {
        let mut stats = PoolStats { slabs: self.count, slab_bytes: self.count * SLAB, ..PoolStats::default() };
        for (class, shelf) in self.shelves.iter().enumerate() {
            stats.depot_bytes += shelf.at_hand() * class::size(class);
            stats.outstanding_bytes += (shelf.carved - shelf.at_hand()) * class::size(class);
        }
        stats
    }
}

impl Depot {
    /// Each size of objects.
    pub(super) fn sizes(&self) -> [ClassStats; POOL_SIZES] {
        let mut sizes = [ClassStats::default(); POOL_SIZES];
        for (class, shelf) in self.shelves.iter().enumerate() {
            let of = &mut sizes[class::size_index(class)];
            of.size = class::size(class);
            of.slots += shelf.slots;
            of.outstanding += shelf.carved - shelf.at_hand();
            of.free += shelf.at_hand();
        }
        sizes
    }
}

impl Shelf {
    /// Objects here that were handed out before.
    fn at_hand(&self) -> usize {
        self.free.len() + self.parcels.objects()
    }

    /// Moves a parcel's objects to the stack, if there is one.
    fn unpack_one(&mut self, empty: &mut Parcels) -> bool {
        let Some(mut parcel) = self.parcels.pop() else { return false };
        self.free.extend(parcel.unpack());
        empty.push(parcel);
        true
    }

    /// Up to `most` objects that were never handed out: their slab, the index of the first, and their number.
    fn carve(&mut self, class: usize, most: usize) -> Option<(Slab, usize, usize)> {
        let slab = self.open?;
        let header = slab.as_ptr();
        // SAFETY: a slab in the list is alive, and the lock that guards these fields is held with the depot.
        unsafe {
            debug_assert_eq!(slab::class(slab), class);
            let start = (*header).carved;
            let count = most.min((*header).slots - start);
            (*header).carved = start + count;
            if start + count == (*header).slots {
                self.open = (*header).next_open;
            }
            self.carved += count;
            Some((slab, start, count))
        }
    }

    /// Moves the stack into `spare` if that holds `slots`; the old one is left in `spare`.
    fn replace(&mut self, slots: usize, spare: &mut Stack) -> bool {
        let fits = spare.capacity() >= slots;
        if fits {
            spare.append(&mut self.free);
            mem::swap(&mut self.free, spare);
        }
        fits
    }
}

/// Whether all objects of a slab are in the depot, after a sweep has counted them.
///
/// # Safety
///
/// The slab is alive and the depot's lock is held.
unsafe fn is_free(slab: Slab) -> bool {
    // SAFETY: by the caller's promise.
    unsafe { (*slab.as_ptr()).free == (*slab.as_ptr()).carved }
}
