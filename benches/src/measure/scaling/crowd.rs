//! As many threads as asked for, on the cores there are: what can be counted does not depend on these.

use std::hint::black_box;
use std::sync::{Barrier, Mutex, PoisonError, RwLock};
use std::time::Instant;

use framealloc::PoolBox;

use super::{CHUNK, CHUNKS, Crowd, OBJECTS, Object, PART, stocked};
use crate::measure::time::median;

/// Frames in which each thread fills its chunks and makes objects that the next thread frees.
pub(super) fn crowd(threads: usize, frames: usize) -> Crowd {
    let alloc = RwLock::new(stocked(threads * CHUNKS));
    let shares: Vec<Mutex<Vec<PoolBox<Object>>>> = (0..threads).map(|_| Mutex::default()).collect();
    let share = |thread: usize| shares[thread % threads].lock().unwrap_or_else(PoisonError::into_inner);
    let barrier = Barrier::new(threads + 1);
    let work = |thread: usize| {
        for _ in 0..frames {
            barrier.wait();
            {
                let alloc = alloc.read().unwrap_or_else(PoisonError::into_inner);
                (0..CHUNKS).for_each(|_| _ = black_box(alloc.frame().alloc_layout(PART)));
                share(thread).extend((0..OBJECTS as u64).map(|i| alloc.pool_box([i; 8])));
            }
            barrier.wait();
            share(thread + 1).clear();
            barrier.wait();
        }
    };
    let (work, state) = (&work, || alloc.read().unwrap_or_else(PoisonError::into_inner).stats());
    let mut crowd = Crowd { threads, draws: (0, 0), slabs: 0, kept: 0.0, object_ns: 0.0 };
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        (0..threads).for_each(|thread| _ = scope.spawn(move || work(thread)));
        for frame in 0..frames {
            let stored = state().stored;
            barrier.wait();
            let start = Instant::now();
            barrier.wait();
            barrier.wait();
            times.push(start.elapsed().as_nanos() as f64 / (threads * OBJECTS) as f64);
            let ended = alloc.write().unwrap_or_else(PoisonError::into_inner).end_frame();
            assert_eq!((ended.threads, ended.chunks), (threads, threads * CHUNKS), "each thread has used its chunks");
            let drawn = (stored - state().stored) / CHUNK;
            *(if frame == 0 { &mut crowd.draws.0 } else { &mut crowd.draws.1 }) += drawn;
        }
        let pools = state().pools;
        crowd.slabs = pools.slabs;
        crowd.kept = pools.outstanding_bytes as f64 / (size_of::<Object>() * threads) as f64;
    });
    Crowd { object_ns: median(&times), ..crowd }
}
