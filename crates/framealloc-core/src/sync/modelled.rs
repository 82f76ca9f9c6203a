//! Atomics, locks and thread-local storage of a model: loom runs what uses them in every order that a few threads allow.
//!
//! Real in a model is all code of this crate. Modelled are the atomics and locks of `sync`, thread-local storage, threads'
//! ends, and memory: whoever is handed memory, frees it or reads a chunk's header must come after whoever had it before,
//! which loom is told by [`touch`].
//!
//! Not modelled, but plain and real, are:
//!
//! - reference counts. Loom has no `Weak` and its `Arc` cannot become one of a trait object, so they are std's. A schedule
//!   does not switch threads inside of a clone or a drop, and loom takes no order from them: what this crate relies on must
//!   be ordered by something else, else a model fails;
//! - statics (`process`): the sequences of tokens, instances and stamps, of which only the uniqueness matters;
//! - a value's bytes: a model whose threads share values puts loom's cells into them;
//! - the loads of `bump` and of a magazine's bound, which are atomic for the sake of the instruction and read a thread's own cells.

use core::any::Any;
use core::cell::{Cell, RefCell};
use core::mem::{self, ManuallyDrop};
use core::ptr;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// Loom's lock with the surface of `parking_lot`'s.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("a panic has ended the model")
    }
}

/// The thread-local storage of a model's threads.
///
/// All of them run on one thread of the operating system. Loom's own thread-local storage is gone as a whole when the first
/// destructor runs; here, as in reality, what has no destructor stays readable, and what has one is dropped by
/// [`end_of_thread`], before the thread can be joined.
pub(crate) struct LocalKey<T: 'static> {
    make: fn() -> T,
}

struct Local {
    /// `None` once it was dropped. What a failed run leaves here is leaked: there is no model any more to drop it in.
    value: Option<ManuallyDrop<Rc<dyn Any>>>,
    has_destructor: bool,
}

loom::thread_local! {
    /// By the keys' addresses.
    static LOCALS: RefCell<BTreeMap<usize, Local>> = RefCell::new(BTreeMap::new());
}

/// The value was dropped.
#[derive(Debug)]
pub(crate) struct AccessError;

impl<T: 'static> LocalKey<T> {
    pub(crate) const fn new(make: fn() -> T) -> Self {
        Self { make }
    }

    pub(crate) fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let address = ptr::from_ref(self).addr();
        let value = LOCALS.with(|locals| {
            let mut locals = locals.borrow_mut();
            let local = locals.entry(address).or_insert_with(|| Local {
                value: Some(ManuallyDrop::new(Rc::new((self.make)()))),
                has_destructor: mem::needs_drop::<T>(),
            });
            local.value.as_deref().cloned()
        });
        let value = value.ok_or(AccessError)?;
        Ok(f(value.downcast_ref().expect("a key has values of one type")))
    }

    pub(crate) fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.try_with(f).expect("the value was dropped at the end of its thread")
    }
}

impl<T: Copy + 'static> LocalKey<Cell<T>> {
    pub(crate) fn get(&'static self) -> T {
        self.with(Cell::get)
    }

    pub(crate) fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }
}

macro_rules! local {
    ($($(#[$meta:meta])* static $name:ident: $type:ty = const { $value:expr };)+) => {
        $($(#[$meta])* static $name: $crate::sync::modelled::LocalKey<$type> =
            $crate::sync::modelled::LocalKey::new(|| $value);)+
    };
}
pub(crate) use local as thread_local;

/// Drops this thread's values that have destructors. What runs on the thread afterwards does so in late destructors.
pub(crate) fn end_of_thread() {
    loop {
        let value = LOCALS.with(|locals| {
            let mut locals = locals.borrow_mut();
            locals.values_mut().filter(|local| local.has_destructor).find_map(|local| local.value.take())
        });
        // Dropped where nothing is borrowed.
        let Some(value) = value else { return };
        drop(ManuallyDrop::into_inner(value));
    }
}

std::thread_local! {
    /// By their addresses, the places at which memory was handed out or freed.
    static PLACES: RefCell<BTreeMap<usize, loom::cell::UnsafeCell<()>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The thread has `bytes` bytes of memory from `start` to itself: loom ends the model if anybody who had any of them before
/// could have them at the same time.
pub(crate) fn touch(start: *const u8, bytes: usize) {
    let start = start.addr();
    PLACES.with_borrow_mut(|places| {
        places.entry(start).or_insert_with(|| loom::cell::UnsafeCell::new(()));
        for place in places.range(start..start + bytes.max(1)).map(|(_, place)| place) {
            place.with_mut(|_| ());
        }
    });
}

/// Forgets the memory of the last run.
pub(crate) fn start_of_run() {
    PLACES.with_borrow_mut(BTreeMap::clear);
}
