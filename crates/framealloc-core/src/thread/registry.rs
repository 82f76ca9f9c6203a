//! The slots of one instance: one for each thread that uses it, handed on when a thread has died.
//!
//! Promises that a slot never serves two threads at once. A slot is owned by a token, which is never used again; a dying
//! thread marks its slot as orphaned and touches nothing else of it; only at an exclusive point of the instance does an
//! orphaned slot become free for another thread.

use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::ptr::{self, NonNull};

use crossbeam_utils::CachePadded;

use super::{Resident, Token, find, is_late, register, token};
use crate::sync::{AtomicPtr, AtomicU64, Ordering};
use crate::unwind::{attempt, resume};

/// Nobody's: may be claimed.
const FREE: u64 = 0;
/// The lowest bit of an owner word: the thread is past its guard, and the slot is not handed on before an exclusive point.
const ORPHANED: u64 = 1;
/// The instance is gone, and so is the slot's content.
const RETIRED: u64 = u64::MAX;

/// The slots of an instance.
pub(crate) struct Registry<S: 'static> {
    instance: u64,
    /// A list that only grows: its links never change once they are reachable, so that walking it needs no lock.
    head: AtomicPtr<Slot<S>>,
    /// Called by a dying thread, from its guard, with its slot's content: clears what is cached in thread-local storage.
    on_exit: fn(instance: u64),
}

pub(crate) struct Slot<S> {
    /// `FREE`, a thread's token word, that with `ORPHANED`, or `RETIRED`.
    owner: AtomicU64,
    instance: u64,
    next: *mut Slot<S>,
    on_exit: fn(u64),
    /// Initialised until the slot is retired. On cache lines of its own: other threads read the owner words.
    content: CachePadded<UnsafeCell<MaybeUninit<S>>>,
}

// SAFETY: the content is touched by the slot's owner only, or by whoever holds the instance exclusively, with the
// happens-before that ends the owner's borrow of the instance or, for the next owner, of the acquiring claim. It may be
// dropped on another thread than it was made on, hence `S: Send`.
unsafe impl<S: Send> Send for Slot<S> {}
// SAFETY: as for `Send`: sharing a slot gives access to its owner word only.
unsafe impl<S: Send> Sync for Slot<S> {}
// SAFETY: a registry owns its slots.
unsafe impl<S: Send> Send for Registry<S> {}
// SAFETY: claiming goes through the slots' owner words.
unsafe impl<S: Send> Sync for Registry<S> {}

impl<S: Send + 'static> Resident for Slot<S> {
    fn thread_exit(&self, token: Token) {
        (self.on_exit)(self.instance);
        // Not `FREE`: memory of the current frame may still be in use elsewhere. A slot that is retired stays so.
        // Release: pairs with the acquiring load of the exclusive point, though the end of the thread's borrow already does.
        let orphaned = canary!("slot_free_at_death", token.word() | ORPHANED, FREE);
        let _ = self.owner.compare_exchange(token.word(), orphaned, Ordering::Release, Ordering::Relaxed);
    }

    fn is_abandoned(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == RETIRED
    }
}

impl<S: Send + 'static> Registry<S> {
    pub(crate) fn new(instance: u64, on_exit: fn(u64)) -> Self {
        Self { instance, head: AtomicPtr::new(ptr::null_mut()), on_exit }
    }

    fn slots(&self) -> impl Iterator<Item = SlotRef<'_, S>> {
        // Acquire: pairs with the Release that put the slot at the head, so that its content and link are visible.
        let mut at = self.head.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            let slot = SlotRef { slot: NonNull::new(at)?, registry: PhantomData };
            at = slot.next;
            Some(slot)
        })
    }

    /// The content of this thread's slot, which is claimed or made by `make` if it has none yet. The flag says whether the
    /// result may be cached in thread-local storage: not by a thread that is past its guard.
    #[cold]
    pub(crate) fn claim(&self, make: impl FnOnce() -> S) -> (&S, bool) {
        let late = is_late();
        if let Some(address) = find(self.instance) {
            // SAFETY: the thread registered its slot's content under that address, which is valid while the instance is; no
            // other thread has the slot, since its owner word is this thread's token.
            return (unsafe { &*address.cast::<S>() }, true);
        }
        let word = token().word() | if late { ORPHANED } else { 0 };
        let own = |slot: &SlotRef<'_, S>| slot.owner.load(Ordering::Relaxed) == word;
        let slot = match late.then(|| self.slots().find(own)).flatten().or_else(|| self.claim_free(word)) {
            Some(slot) => slot,
            None => self.push(word, make()),
        };
        let content = slot.content();
        if !late && !register(self.instance, ptr::from_ref(content).cast(), slot.resident()) {
            // The guard ran between: from now on this thread is late.
            slot.owner.store(word | ORPHANED, Ordering::Relaxed);
            return (content, false);
        }
        (content, !late)
    }

    fn claim_free(&self, word: u64) -> Option<SlotRef<'_, S>> {
        // Acquire: pairs with the Release of `boundary`, so that what the last owner and the exclusive point left is visible.
        self.slots().find(|slot| {
            slot.owner.load(Ordering::Relaxed) == FREE
                && canary!(
                    "slot_claimed_twice",
                    slot.owner.compare_exchange(FREE, word, Ordering::Acquire, Ordering::Relaxed).is_ok(),
                    {
                        slot.owner.store(word, Ordering::Relaxed);
                        true
                    }
                )
        })
    }

    fn push(&self, word: u64, content: S) -> SlotRef<'_, S> {
        let slot = Arc::into_raw(Arc::new(Slot {
            owner: AtomicU64::new(word),
            instance: self.instance,
            next: ptr::null_mut(),
            on_exit: self.on_exit,
            content: CachePadded::new(UnsafeCell::new(MaybeUninit::new(content))),
        }))
        .cast_mut();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: the slot is not on the list yet: nobody else sees it.
            unsafe { (*slot).next = head };
            // Release: pairs with the Acquire of `slots`.
            let published = canary!("slot_list_relaxed", Ordering::Release, Ordering::Relaxed);
            match self.head.compare_exchange(head, slot, published, Ordering::Relaxed) {
                // SAFETY: `into_raw` never returns null.
                Ok(_) => return SlotRef { slot: unsafe { NonNull::new_unchecked(slot) }, registry: PhantomData },
                Err(newer) => head = newer,
            }
        }
    }

    /// The exclusive point: visits the content of every slot; those of threads that have died become free.
    ///
    /// # Safety
    ///
    /// The caller holds the instance exclusively: no thread uses a slot meanwhile, and every earlier use happened before.
    #[inline]
    pub(crate) unsafe fn boundary(&self, mut visit: impl FnMut(&S)) {
        for slot in self.slots() {
            visit(slot.content());
            let owner = slot.owner.load(Ordering::Acquire);
            debug_assert_ne!(owner, RETIRED, "slots are retired with their registry");
            if owner & ORPHANED != 0 {
                core::hint::cold_path();
                // Release: pairs with the Acquire of `claim_free`.
                slot.owner.store(FREE, Ordering::Release);
            }
        }
    }

    /// Number of slots, free ones included.
    pub(crate) fn len(&self) -> usize {
        self.slots().count()
    }
}

/// A slot on the list of a registry, with the provenance of its whole allocation, counts included.
struct SlotRef<'r, S: 'static> {
    slot: NonNull<Slot<S>>,
    registry: PhantomData<&'r Registry<S>>,
}

impl<S> Deref for SlotRef<'_, S> {
    type Target = Slot<S>;

    fn deref(&self) -> &Slot<S> {
        // SAFETY: a slot on the list lives as long as the registry.
        unsafe { self.slot.as_ref() }
    }
}

impl<'r, S> SlotRef<'r, S> {
    fn content(&self) -> &'r S {
        // SAFETY: alive as long as the registry, and initialised until that is dropped; only shared references to it are ever
        // made before.
        unsafe { (*self.slot.as_ref().content.get()).assume_init_ref() }
    }

    /// A count of its own.
    fn resident(&self) -> Arc<dyn Resident>
    where
        S: Send,
    {
        let slot = self.slot.as_ptr();
        // SAFETY: made by `Arc::into_raw` in `push`, and the registry keeps its count.
        unsafe {
            Arc::increment_strong_count(slot);
            Arc::from_raw(slot)
        }
    }
}

impl<S: 'static> Drop for Registry<S> {
    /// Drops the contents. If the governor or a backend panics the rest are dropped all the same.
    fn drop(&mut self) {
        let mut panicked = None;
        let mut at = self.head.load(Ordering::Acquire);
        while !at.is_null() {
            // SAFETY: made by `Arc::into_raw`, and its count given up here, once. Threads that keep the slot as a resident
            // hold counts of their own, and look at the owner word only.
            let slot = unsafe { Arc::from_raw(at) };
            at = slot.next;
            slot.owner.store(RETIRED, Ordering::Release);
            // SAFETY: nobody uses the instance any more; a retired slot's content is not touched again.
            attempt(&mut panicked, || unsafe { (*slot.content.get()).assume_init_drop() });
        }
        resume(panicked);
    }
}
