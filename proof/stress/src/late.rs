//! Threads that die while they still use an allocator: destructors of thread-locals, before and after the allocator's own.

use std::cell::RefCell;
use std::thread::{self, JoinHandle};

use framealloc_core::Lease;

use crate::parcel::{Counted, Parcel};
use crate::random::Random;

type Will = Box<dyn FnOnce()>;

/// Runs what was left in it when its thread dies.
struct Last(RefCell<Vec<Will>>);

impl Drop for Last {
    fn drop(&mut self) {
        for will in self.0.take() {
            will();
        }
    }
}

thread_local! {
    static BEFORE: Last = const { Last(RefCell::new(Vec::new())) };
    static AFTER: Last = const { Last(RefCell::new(Vec::new())) };
}

/// Starts a thread that uses the allocator, and uses it again in a late destructor. When it can be joined, its lease is back.
pub fn start(lease: Lease, mut random: Random) -> JoinHandle<()> {
    let user_first = random.once_in(2);
    let only_late = random.once_in(4);
    thread::spawn(move || {
        if user_first {
            // Registered before the allocator's own guard, so that it runs after that.
            BEFORE.with(|_| ());
        }
        let mark = random.next();
        let early: Vec<Parcel> = if only_late {
            Vec::new()
        } else {
            lease.frame().alloc_slice_fill(random.below(100), mark);
            (0..random.below(60)).map(|_| Parcel::pack(&lease, &mut random)).collect()
        };
        let will = move || {
            let words = lease.frame().alloc_slice_fill(50, mark);
            let handle = lease.publish_slice_fill_with(20, |_| mark);
            let late: Vec<Parcel> = (0..20).map(|_| Parcel::pack(&lease, &mut random)).collect();
            let scratch = lease.scratch();
            let boxed = scratch.alloc_box(Counted::new(mark));
            early.iter().chain(&late).for_each(Parcel::check);
            drop(early);
            assert!(words.iter().all(|&word| word == mark), "late frame memory changed");
            assert!(lease.get(handle).expect("a handle of this frame").iter().all(|&word| word == mark));
            boxed.check(mark);
        };
        let last = if user_first { &BEFORE } else { &AFTER };
        last.with(|last| last.0.borrow_mut().push(Box::new(will)));
    })
}
