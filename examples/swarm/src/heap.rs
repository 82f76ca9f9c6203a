//! Heap calls of the game's own systems, without those that Bevy makes for their tasks.

use std::sync::atomic::{AtomicU64, Ordering};

use meter::counted;

static OURS: AtomicU64 = AtomicU64::new(0);

/// Runs a part of a system, and counts its heap calls as the game's own.
pub fn ours<R>(work: impl FnOnce() -> R) -> R {
    let (result, used) = counted(work);
    // Mostly there are none, and an addition takes the line from whoever has it.
    if used.calls != 0 {
        OURS.fetch_add(used.calls, Ordering::Relaxed);
    }
    result
}

/// Counts the game's own calls in many small pieces of a task, and notes them once, when it goes.
#[derive(Default)]
pub struct Pieces(u64);

impl Pieces {
    pub fn ours<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let (result, used) = counted(work);
        self.0 += used.calls;
        result
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if self.0 != 0 {
            OURS.fetch_add(self.0, Ordering::Relaxed);
        }
    }
}

/// The calls since this was last asked.
pub fn take_ours() -> u64 {
    OURS.swap(0, Ordering::Relaxed)
}
