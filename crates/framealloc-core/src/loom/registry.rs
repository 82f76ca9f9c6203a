//! Slots: a dying thread, an exclusive point, and a new thread; a slot never has two owners.
//!
//! The registry alone, without what slots hold. That an exclusive point is exclusive is what `&mut SmartAlloc` proves; here a
//! lock that readers share stands for the borrow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::sync::RwLock;

use super::{join, model, spawn, spawn_with_late};
use crate::thread::{Registry, unique};

/// What a slot holds: used by one thread at a time.
struct Content {
    uses: loom::cell::UnsafeCell<usize>,
    made: Arc<AtomicUsize>,
}

// SAFETY: as a slot's content is: it moves between threads at exclusive points.
unsafe impl Send for Content {}

impl Content {
    /// Loom ends the model if another thread has, or may have, the content at the same time.
    fn use_it(&self) {
        // SAFETY: loom has seen that nobody else has it.
        self.uses.with_mut(|uses| unsafe { *uses += 1 });
        loom::thread::yield_now();
        // SAFETY: as above.
        self.uses.with_mut(|uses| unsafe { *uses += 1 });
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.made.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An instance, lent by a read lock, held exclusively by a write lock.
struct Instance {
    registry: RwLock<Registry<Content>>,
    made: Arc<AtomicUsize>,
}

impl Instance {
    fn new() -> Arc<Self> {
        Arc::new(Self { registry: RwLock::new(Registry::new(unique().get(), |_| ())), made: Arc::default() })
    }

    /// Borrows the instance and uses this thread's slot; its address.
    fn visit(&self) -> usize {
        let registry = self.registry.read().unwrap();
        let make = || {
            self.made.fetch_add(1, Ordering::Relaxed);
            Content { uses: loom::cell::UnsafeCell::new(0), made: Arc::clone(&self.made) }
        };
        let (content, _) = registry.claim(make);
        content.use_it();
        core::ptr::from_ref(content).addr()
    }

    /// The exclusive point, which uses every slot.
    fn boundary(&self) {
        let registry = self.registry.write().unwrap();
        // SAFETY: the lock is held for writing, so that nobody uses a slot.
        unsafe { registry.boundary(Content::use_it) };
    }

    fn slots(&self) -> usize {
        self.registry.read().unwrap().len()
    }
}

/// The instance goes, with all contents.
fn assert_all_dropped(instance: Arc<Instance>) {
    let made = Arc::clone(&instance.made);
    assert!(Arc::into_inner(instance).is_some(), "all threads are gone");
    assert_eq!(made.load(Ordering::Relaxed), 0, "contents are dropped with their registry");
}

#[test]
fn loom_new_threads_get_slots_of_their_own() {
    model(|| {
        let instance = Instance::new();
        let threads = [(); 2].map(|()| {
            let instance = Arc::clone(&instance);
            spawn(move || (instance.visit(), instance.visit()))
        });
        let [a, b] = join(threads);
        assert!(a.0 == a.1 && b.0 == b.1, "a thread keeps its slot");
        assert_ne!(a.0, b.0);
        assert_eq!(instance.slots(), 2, "nothing was free");
        assert_all_dropped(instance);
    });
}

#[test]
fn loom_free_slot_is_claimed_by_one_thread() {
    model(|| {
        let instance = Instance::new();
        let dead = Arc::clone(&instance);
        let left = spawn(move || dead.visit()).join().unwrap();
        instance.boundary();
        let claiming = Arc::clone(&instance);
        let claiming = spawn(move || claiming.visit());
        let (mine, theirs) = (instance.visit(), claiming.join().unwrap());
        assert!(mine != theirs && (mine == left || theirs == left), "one of the two has the free slot");
        assert_eq!(instance.slots(), 2);
        assert_all_dropped(instance);
    });
}

#[test]
fn loom_slot_of_a_dying_thread_is_handed_on_at_an_exclusive_point() {
    model(|| {
        let instance = Instance::new();
        // Its guard runs before, after, or while the others do what they do.
        let dying = Arc::clone(&instance);
        let dying = spawn(move || dying.visit());
        let new = Arc::clone(&instance);
        let new = spawn(move || new.visit());
        instance.boundary();
        join([dying, new]);
        // Both are dead, and an exclusive point later both slots serve again.
        instance.boundary();
        let slots = instance.slots();
        instance.visit();
        assert_eq!(instance.slots(), slots, "a free slot is taken before one is made");
        assert_all_dropped(instance);
    });
}

#[test]
fn loom_late_destructor_shares_its_slot_with_nobody() {
    model(|| {
        let instance = Instance::new();
        let (early, late) = (Arc::clone(&instance), Arc::clone(&instance));
        // The slot is orphaned between the two visits; the second one finds it, unless the exclusive point set it free.
        let dying = spawn_with_late(move || early.visit(), move || _ = late.visit());
        let new = Arc::clone(&instance);
        let new = spawn(move || new.visit());
        instance.boundary();
        join([dying, new]);
        assert_all_dropped(instance);
    });
}

#[test]
fn loom_dying_thread_and_dropped_registry_leave_each_other_alone() {
    model(|| {
        let instance = Instance::new();
        let made = Arc::clone(&instance.made);
        let (dying, back) = (Arc::clone(&instance), Arc::new(loom::sync::atomic::AtomicBool::new(false)));
        let given_back = Arc::clone(&back);
        let dying = spawn(move || {
            dying.visit();
            drop(dying);
            // Its guard runs from here on, while the instance goes.
            given_back.store(true, loom::sync::atomic::Ordering::Release);
        });
        while !back.load(loom::sync::atomic::Ordering::Acquire) {
            loom::thread::yield_now();
        }
        assert_all_dropped(instance);
        dying.join().unwrap();
        assert_eq!(made.load(Ordering::Relaxed), 0, "a content is dropped once");
    });
}
