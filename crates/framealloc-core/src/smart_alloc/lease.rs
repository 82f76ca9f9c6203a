//! Leases: counted access to an allocator for tasks that must be `'static`.

use alloc::sync::Arc;
use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::Deref;

use super::SmartAlloc;
use crate::sync::Ordering;

/// Access to a [`SmartAlloc`] without a lifetime, for job systems whose tasks are `'static`. Dereferences to it.
///
/// While a lease is out, no frame can end: [`try_end_frame`](SmartAlloc::try_end_frame) says how many there are. What a task
/// allocates borrows its lease, so that nothing of a frame outlives it. A lease that is forgotten keeps the frame open for
/// good.
///
/// ```
/// use framealloc_core::SmartAlloc;
/// let mut alloc = SmartAlloc::default();
/// alloc.begin_frame();
/// let lease = alloc.lease();
/// let task = std::thread::spawn(move || lease.frame().alloc_slice_fill_with(100, |i| i).iter().sum::<usize>());
/// assert_eq!(task.join().unwrap(), 4950);
/// alloc.end_frame();
/// let held = alloc.lease();
/// assert!(alloc.try_end_frame().unwrap_err().to_string().contains("1 of them"));
/// # drop(held);
/// ```
pub struct Lease {
    /// Dropped by hand: after the count, so that an allocator whose last lease this is does not see it any more.
    alloc: ManuallyDrop<SmartAlloc>,
}

impl SmartAlloc {
    /// Access for a `'static` task: see [`Lease`].
    #[must_use]
    pub fn lease(&self) -> Lease {
        // The stamp stays that of the current frame: none ends while the lease is out.
        // Relaxed: the count can only be raised by someone whom a frame's end excludes, by a borrow or by another lease.
        self.core.leases.fetch_add(1, Ordering::Relaxed);
        Lease { alloc: ManuallyDrop::new(SmartAlloc { id: self.id, stamp: self.stamp, core: Arc::clone(&self.core) }) }
    }
}

impl Deref for Lease {
    type Target = SmartAlloc;

    #[inline(always)]
    fn deref(&self) -> &SmartAlloc {
        &self.alloc
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.lease()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Release: pairs with the Acquire of the frame's end: what was done under the lease happens before.
        self.alloc.core.leases.fetch_sub(1, Ordering::Release);
        // SAFETY: dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.alloc) };
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&*self.alloc).finish()
    }
}
