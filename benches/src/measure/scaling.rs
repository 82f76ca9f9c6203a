//! What more threads than this machine has cores would do to the places that threads share.
//!
//! The costs are measured here, by one thread; the operations are counted; how threads wait for each other is simulated. What a
//! simulation cannot know is how long the lines of a lock and of what it guards travel between cores: [`FAR`] is a guess.

mod cost;
mod crowd;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use framealloc::{AllocConfig, SmartAlloc};
use serde::{Deserialize, Serialize};

use super::time::Effort;

/// Threads that are simulated.
pub const THREADS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Objects of 64 bytes that each thread makes and frees in a frame.
pub const OBJECTS: usize = 10_000;
/// Chunks of 64 KiB that each thread draws in a frame.
pub const CHUNKS: usize = 4;
/// Other work of a thread in a frame, where it has any, in milliseconds.
pub const OTHER: f64 = 2.0;
/// How many times longer a lock may be held when everything behind it comes from another core's cache.
pub const FAR: f64 = 4.0;

type Object = [u64; 8];
/// Makes the allocator take one chunk for each part.
const CHUNK: usize = 64 << 10;
const PART: std::alloc::Layout = match std::alloc::Layout::from_size_align(CHUNK * 3 / 4, 8) {
    Ok(layout) => layout,
    Err(_) => panic!("a valid layout"),
};

/// All about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scaling {
    /// What one thread pays.
    pub costs: Costs,
    /// What threads would wait.
    pub loads: Vec<Load>,
    /// What was counted with that many threads of this machine.
    pub crowds: Vec<Crowd>,
}

/// Nanoseconds on one thread, and operations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Costs {
    /// An object made, written and freed, without its share of exchanges.
    pub object_ns: f64,
    /// An exchange with the depot, as if the lock were held for all of it.
    pub exchange_ns: f64,
    /// Exchanges while [`OBJECTS`] are made and freed.
    pub exchanges: usize,
    /// A chunk drawn from the store: what it costs more than one that the arena has, as if the lock were held for it.
    pub draw_ns: f64,
    /// A chunk filled with words.
    pub fill_ns: f64,
}

/// One kind of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// What each thread does.
    pub work: String,
    /// Nanoseconds that the lock is held.
    pub held_ns: f64,
    /// For each of [`THREADS`]: the part of the time that the lock is held, and the time as a multiple of one thread's alone.
    pub outcomes: Vec<(f64, f64)>,
}

/// What was counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Crowd {
    /// Threads of the operating system.
    pub threads: usize,
    /// Chunks drawn from the store in the first frame, and in all others.
    pub draws: (usize, usize),
    /// Slabs taken for the objects, 64 KiB each.
    pub slabs: usize,
    /// Objects that a thread's magazine keeps when all are freed, on average.
    pub kept: f64,
    /// Nanoseconds of the wall for an object, made by one thread and freed by the next, waking the threads included.
    pub object_ns: f64,
}

/// Measures, simulates and counts, in a process of its own.
///
/// # Errors
///
/// If the process fails.
pub fn outcome(effort: Effort) -> Result<Scaling, String> {
    super::last_line(super::this().args(["--child", "scaling", "--rounds", &effort.rounds.to_string()]))
}

/// Measures, simulates and counts, in this process.
#[must_use]
pub fn child(effort: Effort) -> Scaling {
    let costs = cost::costs(effort.rounds);
    let exchanges = costs.exchanges as f64;
    let objects = OBJECTS as f64 * costs.object_ns / exchanges;
    let loads = [
        ("10,000 objects of 64 bytes made and freed, and nothing else", costs.exchanges, objects, costs.exchange_ns),
        ("the same beside 2 ms of other work", costs.exchanges, objects + OTHER * 1e6 / exchanges, costs.exchange_ns),
        ("4 chunks of 64 KiB drawn and filled", CHUNKS, costs.fill_ns, costs.draw_ns),
    ];
    let load = |(work, locks, own, held), times| {
        let held = held * times;
        let outcomes = THREADS.map(|threads| simulate(threads, locks, own, held)).to_vec();
        Load { work: format!("{work}{}", if times > 1.0 { ", lines far away" } else { "" }), held_ns: held, outcomes }
    };
    let loads = loads.into_iter().flat_map(|known| [load(known, 1.0), load(known, FAR)]).collect();
    Scaling { loads, crowds: [1, 2, 16, 64].map(|threads| crowd::crowd(threads, effort.rounds)).to_vec(), costs }
}

/// Threads that work on their own and then hold a lock, in turn; the first to come is the first served. Their own work takes
/// half as long to half as long again as `own`, by chance that is the same in each run.
fn simulate(threads: usize, locks: usize, own: f64, held: f64) -> (f64, f64) {
    let (own, held) = ((own * 1e3) as u64, (held * 1e3) as u64);
    let mut state = 1u64;
    let mut work = || {
        // Knuth's MMIX: its upper bits are as good as random.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        own / 2 + ((u128::from(own) * u128::from(state >> 32)) >> 32) as u64
    };
    let mut alone = vec![0; threads];
    let mut left = vec![locks; threads];
    let mut coming: BinaryHeap<_> = (0..threads).map(|thread| Reverse((0, false, thread))).collect();
    let mut free = 0;
    while let Some(Reverse((now, at_lock, thread))) = coming.pop() {
        if at_lock {
            free = free.max(now) + held;
            coming.push(Reverse((free, false, thread)));
        } else if left[thread] > 0 {
            left[thread] -= 1;
            let time = work();
            alone[thread] += time + held;
            coming.push(Reverse((now + time, true, thread)));
        }
    }
    // The last to leave the lock ends the frame.
    let longest = alone.into_iter().max().unwrap_or(1);
    ((threads * locks) as f64 * held as f64 / free as f64, free as f64 / longest as f64)
}

/// An allocator with so many chunks on the shelf.
fn stocked(chunks: usize) -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_frame_chunk(CHUNK, CHUNK).with_prefault(chunks * CHUNK))
}
