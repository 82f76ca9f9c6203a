//! mimalloc-bench's `mstress`: objects of random sizes and lives, some of them exchanged between the threads.

use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::contenders;
use super::heaps::{Block, Heap, Random};
use super::names::{MIMALLOC, POOL, SNMALLOC};
use super::workers::{WORKERS, Workers};
use crate::row::{Bar, Figure, Group, Pass, Row};

/// Objects a thread makes for the while.
const PASSING: usize = 4_000;
/// Objects a thread makes to keep until all else is done.
const RETAINED: usize = PASSING / 2;
/// How often a thread does so in a pass: waking the threads shall not count.
const TIMES: usize = 32;
/// Places through which the threads exchange objects.
const TRANSFERS: usize = 250;

/// Exchanges an object for whatever lies in a place.
fn exchange(place: &AtomicPtr<u64>, block: Option<Block>) -> Option<Block> {
    let pointer = block.map_or(ptr::null_mut(), Block::into_raw);
    // Acquire and release: what the other thread wrote into the block comes with it.
    let other = NonNull::new(place.swap(pointer, Ordering::AcqRel))?;
    // SAFETY: places hold null or a block's pointer, and the swap took it out.
    Some(unsafe { Block::from_raw(other) })
}

/// Its chances are the original's: half retained while there are any to retain, two in three free one, one in four exchanges one.
fn stress<H: Heap>(
    heap: &H,
    random: &mut Random,
    transfer: &[AtomicPtr<u64>],
    data: &mut Vec<Option<Block>>,
    retained: &mut Vec<Block>,
) -> u64 {
    let (mut passing, mut retain, mut sound) = (PASSING, RETAINED, 0);
    while passing > 0 || retain > 0 {
        if retain == 0 || (passing > 0 && random.below(100) < 50) {
            passing -= 1;
            data.push(Some(Block::new(heap, random.size())));
        } else {
            retain -= 1;
            retained.push(Block::new(heap, random.size()));
        }
        if !data.is_empty() && random.below(100) < 66 {
            let at = random.below(data.len());
            sound += data[at].take().map_or(0, |block| block.free(heap));
        }
        if !data.is_empty() && random.below(100) < 25 {
            let at = random.below(data.len());
            data[at] = exchange(&transfer[random.below(TRANSFERS)], data[at].take());
        }
    }
    let rest = retained.drain(..).chain(data.drain(..).flatten());
    sound + rest.map(|block| block.free(heap)).sum::<u64>()
}

fn start<H: Heap>() -> Pass {
    let heap = Arc::new(H::new());
    let transfer: Arc<[AtomicPtr<u64>]> = (0..TRANSFERS).map(|_| AtomicPtr::default()).collect();
    let job = |worker: usize| {
        let (heap, transfer) = (Arc::clone(&heap), Arc::clone(&transfer));
        let (mut data, mut retained) = (Vec::new(), Vec::new());
        move |()| {
            let mut random = Random::new(worker as u64);
            (0..TIMES).map(|_| stress(&*heap, &mut random, &transfer, &mut data, &mut retained)).sum()
        }
    };
    let jobs: [_; WORKERS] = std::array::from_fn(job);
    let workers = Workers::new(jobs);
    Box::new(move || {
        let sound = workers.run(|| ());
        sound + transfer.iter().filter_map(|place| exchange(place, None)).map(|block| block.free(&*heap)).sum::<u64>()
    })
}

pub(super) fn row() -> Row {
    Row {
        id: "pool-mstress",
        group: Group::PoolThreads,
        work: "mstress: 2 threads, 6,000 objects each of 8 to 4,096 bytes, freed at random, some by the other thread",
        unit: "object",
        operations: (WORKERS * (PASSING + RETAINED) * TIMES) as u64,
        contenders: contenders!(start),
        bars: vec![Bar { ours: POOL, rivals: &[MIMALLOC, SNMALLOC], figure: Figure::Time, at_most: 0.9 }],
    }
}
