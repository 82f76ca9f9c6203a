//! A parcel: a batch of free addresses that changes hands between a thread and the depot as a whole.
//!
//! It is packed and unpacked outside of the depot's lock, which is held to move one pointer. Parcels are made when they are
//! needed and no empty one is at hand, so that there are as many as there were full ones at once, and one for each thread.

use core::iter;
use core::mem::{self, MaybeUninit};
use core::ptr::{self, NonNull};
use std::boxed::Box;

use super::class::{self, LIMIT, LINE};
use crate::prefetch;

/// Objects that a parcel holds at most: the largest batch.
const ROOM: usize = LIMIT / 2;

const _: () = {
    let mut class = 0;
    while class < class::CLASSES {
        assert!(class::batch(class) <= ROOM, "what does not fit would be lost");
        class += 1;
    }
};

/// Up to [`ROOM`] free objects of one class.
pub(super) struct Parcel {
    next: Option<Box<Self>>,
    len: usize,
    /// Those below `len` are initialised.
    objects: [MaybeUninit<NonNull<u8>>; ROOM],
}

impl Parcel {
    /// An empty parcel, if there is memory for it. Runs the program's allocator, whoever wrote it.
    pub(super) fn try_new() -> Option<Box<Self>> {
        #[cfg(test)]
        if !HAS_MEMORY.get() {
            return None;
        }
        let layout = core::alloc::Layout::new::<Self>();
        // SAFETY: a parcel takes memory.
        let place = unsafe { std::alloc::alloc(layout) }.cast::<Self>();
        if place.is_null() {
            return None;
        }
        #[cfg(test)]
        {
            PARCELS.set(PARCELS.get() + 1);
            MADE.set(MADE.get() + 1);
        }
        // SAFETY: the place is valid for a parcel, and all fields are written but the objects, which need no value. The box
        // owns memory of the global allocator with a parcel's layout.
        unsafe {
            (&raw mut (*place).next).write(None);
            (&raw mut (*place).len).write(0);
            Some(Box::from_raw(place))
        }
    }

    /// Puts objects into an empty parcel, as many as it holds at most.
    pub(super) fn pack(&mut self, objects: impl Iterator<Item = NonNull<u8>>) {
        let mut len = 0;
        for (slot, object) in self.objects.iter_mut().zip(objects) {
            slot.write(object);
            len += 1;
        }
        self.len = len;
    }

    /// Takes all objects out, in the order they were put in.
    pub(super) fn unpack(&mut self) -> impl ExactSizeIterator<Item = NonNull<u8>> {
        let len = mem::take(&mut self.len);
        // SAFETY: those below `len` are initialised.
        self.objects[..len].iter().map(|object| unsafe { object.assume_init() })
    }

    /// The objects in it.
    fn objects(&self) -> impl Iterator<Item = NonNull<u8>> {
        // SAFETY: those below `len` are initialised.
        self.objects[..self.len].iter().map(|object| unsafe { object.assume_init() })
    }

    /// Asks for its lines, which another thread had last, to be written.
    pub(super) fn prefetch(&self) {
        let start = ptr::from_ref(self).cast::<u8>();
        for line in (0..size_of::<Self>()).step_by(LINE) {
            prefetch::to_write(start.wrapping_add(line));
        }
    }

    /// Number of objects.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
std::thread_local! {
    /// Whether this thread is given parcels.
    pub(super) static HAS_MEMORY: core::cell::Cell<bool> = const { core::cell::Cell::new(true) };
    /// Parcels made by this thread, less those that it dropped.
    pub(super) static PARCELS: core::cell::Cell<isize> = const { core::cell::Cell::new(0) };
    /// Parcels made by this thread.
    pub(super) static MADE: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}

#[cfg(test)]
impl Drop for Parcel {
    fn drop(&mut self) {
        PARCELS.set(PARCELS.get() - 1);
    }
}

/// Parcels, the last one on top.
#[derive(Default)]
pub(super) struct Parcels {
    top: Option<Box<Parcel>>,
    objects: usize,
}

impl Parcels {
    pub(super) const fn new() -> Self {
        Self { top: None, objects: 0 }
    }

    pub(super) fn push(&mut self, mut parcel: Box<Parcel>) {
        self.objects += parcel.len;
        parcel.next = self.top.take();
        self.top = Some(parcel);
    }

    pub(super) fn pop(&mut self) -> Option<Box<Parcel>> {
        let mut parcel = self.top.take()?;
        self.top = parcel.next.take();
        self.objects -= parcel.len;
        Some(parcel)
    }

    /// The objects in all of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = NonNull<u8>> {
        iter::successors(self.top.as_deref(), |parcel| parcel.next.as_deref()).flat_map(Parcel::objects)
    }

    /// Objects in all of them.
    pub(super) fn objects(&self) -> usize {
        self.objects
    }
}

impl Drop for Parcels {
    fn drop(&mut self) {
        // One after the other: a chain of boxes would be dropped recursively.
        canary!("parcels_leak", while self.pop().is_some() {}, mem::forget(self.top.take()));
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn objects(count: usize) -> impl Iterator<Item = NonNull<u8>> {
        (1..=count).map(|at| NonNull::without_provenance(at.try_into().unwrap()))
    }

    #[test]
    fn what_is_packed_comes_out_in_the_same_order() {
        let mut parcel = Parcel::try_new().unwrap();
        for count in [0, 1, ROOM - 1, ROOM] {
            parcel.pack(objects(count));
            assert_eq!(parcel.len(), count);
            assert!(parcel.unpack().eq(objects(count)));
            assert_eq!((parcel.len(), parcel.unpack().len()), (0, 0));
        }
    }

    #[test]
    fn parcels_are_a_stack_that_knows_its_objects() {
        let mut parcels = Parcels::new();
        for count in 1..4 {
            let mut parcel = Parcel::try_new().unwrap();
            parcel.pack(objects(count));
            parcels.push(parcel);
        }
        assert_eq!((parcels.objects(), parcels.iter().count()), (6, 6));
        assert!(parcels.iter().eq(objects(3).chain(objects(2)).chain(objects(1))), "the last one on top");
        let lens: Vec<_> = core::iter::from_fn(|| parcels.pop()).map(|parcel| parcel.len()).collect();
        assert_eq!((lens, parcels.objects()), (std::vec![3, 2, 1], 0));
    }

    #[test]
    fn long_chain_is_dropped_without_recursion() {
        let drop_many = || {
            let mut parcels = Parcels::new();
            (0..10_000).for_each(|_| parcels.push(Parcel::try_new().unwrap()));
        };
        std::thread::Builder::new().stack_size(64 << 10).spawn(drop_many).unwrap().join().unwrap();
    }
}
