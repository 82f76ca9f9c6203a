//! Who is who: threads, instances, and what a thread leaves behind when it dies.
//!
//! Promises a token for each thread that is never used again, not even in late thread-local destructors, and that
//! everything a thread registered is told of its death exactly once, by the dying thread itself. What the residents
//! do with that (orphan an arena, drain a cache) is theirs.

mod registry;

use core::cell::{Cell, RefCell};
use core::mem;
use core::num::NonZeroU64;
use std::sync::Arc;
use std::vec::Vec;

pub(crate) use registry::Registry;

use crate::sync::process::AtomicU64;
use crate::sync::{Ordering, thread_local};
use crate::unwind::{attempt, quietly, resume};

/// Something of an instance that belongs to one thread: its arenas, or its pool caches.
pub(crate) trait Resident: Send + Sync + 'static {
    /// The owning thread is dying and calls this from its guard: let go of everything that is cached in thread-local
    /// storage. Late destructors may still run on this thread afterwards.
    fn thread_exit(&self, token: Token);

    /// Whether the instance is gone, so that the thread may forget this resident.
    fn is_abandoned(&self) -> bool;
}

/// Names a thread; never used again after its death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token(NonZeroU64);

impl Token {
    /// The token as a word that is never 0 and leaves the lowest bit clear for an owner's use.
    pub(crate) const fn word(self) -> u64 {
        self.0.get() << 1
    }
}

/// The next number of a sequence that is never reused: instances and threads draw from it.
pub(crate) fn unique() -> NonZeroU64 {
    // 64 bits at a billion a second last for 584 years; no check is needed.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: only the uniqueness of the number matters, nothing is published by it.
    NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).expect("the counter starts at 1")
}

struct Entry {
    instance: u64,
    address: *const (),
    resident: Arc<dyn Resident>,
}

/// The thread's residents; dropping it is the thread's death.
struct Guard {
    residents: RefCell<Vec<Entry>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        LATE.set(true);
        let token = token();
        // Each leaves the list before it is told, and no borrow is held meanwhile.
        while let Some(entry) = { self.residents.borrow_mut().pop() } {
            // A panic (of a governor that is told what goes back) would end the process here, and keep the others from
            // being told.
            quietly(|| {
                entry.resident.thread_exit(token);
                drop(entry);
            });
        }
    }
}

thread_local! {
    // Constant and without a destructor, so that late destructors of other thread-locals may read them.
    static TOKEN: Cell<Option<Token>> = const { Cell::new(None) };
    static LATE: Cell<bool> = const { Cell::new(false) };
    static GUARD: Guard = const { Guard { residents: RefCell::new(Vec::new()) } };
}

/// This thread's token.
pub(crate) fn token() -> Token {
    TOKEN.get().unwrap_or_else(|| {
        let token = Token(unique());
        TOKEN.set(Some(token));
        token
    })
}

/// Whether this thread's guard has run: nothing may be cached in thread-local storage any more.
pub(crate) fn is_late() -> bool {
    LATE.get()
}

/// The address under which this thread registered a resident of `instance`.
pub(crate) fn find(instance: u64) -> Option<*const ()> {
    if is_late() {
        return None;
    }
    GUARD
        .try_with(|guard| {
            let list = guard.residents.borrow();
            list.iter().rev().find(|entry| entry.instance == instance).map(|entry| entry.address)
        })
        .ok()
        .flatten()
}

/// Registers `resident` of `instance` for this thread; false if the thread is past its guard and nothing was done.
///
/// Memory is taken and given back while the list is not borrowed: the program's allocator may come back in here.
pub(crate) fn register(instance: u64, address: *const (), resident: Arc<dyn Resident>) -> bool {
    if is_late() {
        return false;
    }
    let mut entry = Some(Entry { instance, address, resident });
    // What the list grows into, and what takes the residents of instances that are gone.
    let (mut larger, mut forgotten) = (Vec::new(), Vec::new());
    loop {
        let added = GUARD.try_with(|guard| {
            let mut list = guard.residents.borrow_mut();
            // Those are dropped when the list would have to grow, which makes it amortised constant.
            if list.len() == list.capacity() {
                if larger.capacity() <= list.len() || forgotten.capacity() < list.len() {
                    return Err(list.len());
                }
                forgotten.extend(list.extract_if(.., |entry| entry.resident.is_abandoned()));
                if list.len() == list.capacity() {
                    larger.append(&mut list);
                    mem::swap(&mut *list, &mut larger);
                }
            }
            list.extend(entry.take());
            Ok(())
        });
        match added {
            Ok(Ok(())) => break,
            Ok(Err(len)) => {
                larger = Vec::with_capacity((len + 1).next_power_of_two().max(4));
                forgotten = Vec::with_capacity(larger.capacity());
            }
            Err(_) => return false,
        }
    }
    // A governor is told of what goes back: all of them go, whatever it does.
    let mut panicked = None;
    for entry in forgotten {
        attempt(&mut panicked, || drop(entry));
    }
    resume(panicked);
    true
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Owner words mark their lowest bit, and a slot's owner is told by the rest.
    #[test]
    fn words_of_tokens_differ_and_leave_the_lowest_bit_clear() {
        let word = |number| Token(NonZeroU64::new(number).expect("from 1")).word();
        let mut words: Vec<_> = (1..=1000).map(word).collect();
        assert!(words.iter().all(|word| *word != 0 && word % 2 == 0));
        words.dedup();
        assert_eq!(words.len(), 1000);
        assert!(words.is_sorted());
    }
}
