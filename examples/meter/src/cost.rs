//! What a piece of work costs the thread that does it: heap calls, and time on a processor.
//!
//! Wall time tells how long a frame waits; on a machine that others use too it is mostly a matter of who else wants the
//! processor. Processor time tells what was done, on whichever thread: a frame's lists are built by the workers, handed
//! over by the main thread and freed by the render thread, and each has its part in what they cost.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::heap::{HeapUse, counted};

/// What work cost a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Calls of the heap.
    pub heap: HeapUse,
    /// Nanoseconds on a processor, the kernel's work for the thread included; 0 where there is no such clock.
    pub cpu_ns: u64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.heap += other.heap;
        self.cpu_ns += other.cpu_ns;
    }
}

/// Runs `work` and tells what it cost this thread.
pub fn metered<R>(work: impl FnOnce() -> R) -> (R, Cost) {
    let before = thread_time_ns();
    let (result, heap) = counted(work);
    (result, Cost { heap, cpu_ns: thread_time_ns() - before })
}

#[cfg(unix)]
fn thread_time_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(not(unix))]
fn thread_time_ns() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::metered;

    #[test]
    #[cfg(unix)]
    fn work_costs_processor_time_and_sleep_does_not() {
        let pause = Duration::from_millis(30);
        let ((), slept) = metered(|| std::thread::sleep(pause));
        let start = Instant::now();
        let ((), worked) = metered(|| while start.elapsed() < pause {});
        assert!(slept.cpu_ns < worked.cpu_ns / 2, "{slept:?} {worked:?}");
    }
}
