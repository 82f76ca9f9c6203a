//! Larson and Krishnan's server: threads replace random objects of random sizes, and hand what they hold on to another thread.
//!
//! Paul Larson and Murali Krishnan, "Memory allocation for long-running server applications", 1998. The original starts a new
//! thread each time; here the two that there are swap, so that no contender pays for starting threads.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::contenders;
use super::heaps::{Block, Heap, Random};
use super::names::{MIMALLOC, POOL, SNMALLOC};
use super::workers::{WORKERS, Workers};
use crate::row::{Bar, Figure, Group, Pass, Row};

/// Objects each thread holds.
const HELD: usize = 1_000;
/// Objects replaced before the threads swap what they hold.
const REPLACED: usize = 2_000;
/// Swaps a pass.
const ROUNDS: usize = 8;

/// What a thread holds; it is freed in the end.
struct Held<H: Heap> {
    heap: Arc<H>,
    blocks: Vec<Option<Block>>,
}

impl<H: Heap> Held<H> {
    fn new(heap: &Arc<H>, random: &mut Random) -> Self {
        Self { heap: Arc::clone(heap), blocks: (0..HELD).map(|_| Some(Block::new(&**heap, random.size()))).collect() }
    }

    /// Replaces random ones; how many of those replaced were as they had been written.
    fn replace(&mut self, random: &mut Random) -> u64 {
        let mut sound = 0;
        for _ in 0..REPLACED {
            let place = &mut self.blocks[random.below(HELD)];
            sound += place.take().map_or(0, |block| block.free(&*self.heap));
            *place = Some(Block::new(&*self.heap, random.size()));
        }
        sound
    }
}

impl<H: Heap> Drop for Held<H> {
    fn drop(&mut self) {
        for block in self.blocks.drain(..).flatten() {
            block.free(&*self.heap);
        }
    }
}

fn start<H: Heap>() -> Pass {
    let heap = Arc::new(H::new());
    let (to_second, from_first) = sync_channel(1);
    let (to_first, from_second) = sync_channel(1);
    let mut ends = [Some((to_second, from_second)), Some((to_first, from_first))];
    let job = |worker: usize| {
        let (to, from) = ends[worker].take().expect("one each");
        let mut random = Random::new(worker as u64);
        let mut held = Some(Held::new(&heap, &mut random));
        move |()| {
            let mut sound = 0;
            for _ in 0..ROUNDS {
                let mut mine = held.take().expect("put back below");
                sound += mine.replace(&mut random);
                to.send(mine).expect("the other one is there");
                held = Some(from.recv().expect("the other one is there"));
            }
            sound
        }
    };
    let jobs: [_; WORKERS] = std::array::from_fn(job);
    let workers = Workers::new(jobs);
    Box::new(move || workers.run(|| ()))
}

pub(super) fn row() -> Row {
    Row {
        id: "pool-larson",
        group: Group::PoolThreads,
        work: "Larson's server: 2 threads, 1,000 objects each of 8 to 4,096 bytes, replaced at random, swapped every 2,000",
        unit: "object",
        operations: (WORKERS * REPLACED * ROUNDS) as u64,
        contenders: contenders!(start),
        bars: vec![Bar { ours: POOL, rivals: &[MIMALLOC, SNMALLOC], figure: Figure::Time, at_most: 0.9 }],
    }
}
