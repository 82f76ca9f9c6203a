//! Where large blocks of pools are live: a sorted list of addresses behind a lock.
//!
//! Large blocks come from a backend, behind a lock and a governor; one more does not matter there.

use core::ptr::NonNull;
use std::vec::Vec;

use parking_lot::Mutex;

static BLOCKS: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Adds a block; false if there is no memory for that. The program's allocator runs, while the lock is not held.
pub(in super::super) fn add(block: NonNull<u8>) -> bool {
    let mut spare = Vec::new();
    loop {
        let mut blocks = BLOCKS.lock();
        if blocks.len() == blocks.capacity() {
            if spare.capacity() > blocks.len() {
                spare.extend_from_slice(&blocks);
                core::mem::swap(&mut *blocks, &mut spare);
            } else {
                let wanted = 2 * blocks.len() + 64;
                drop(blocks);
                spare = Vec::new();
                if spare.try_reserve_exact(wanted).is_err() {
                    return false;
                }
                continue;
            }
        }
        // Not there: the backend gave it, so that it was nobody's.
        let at = blocks.partition_point(|&other| other < block.addr().get());
        blocks.insert(at, block.addr().get());
        drop(blocks);
        return true;
    }
}

pub(super) fn contains(block: NonNull<u8>) -> bool {
    BLOCKS.lock().binary_search(&block.addr().get()).is_ok()
}

/// Removes a block; false if it is not there: then somebody else has removed it.
pub(in super::super) fn remove(block: NonNull<u8>) -> bool {
    let mut blocks = BLOCKS.lock();
    blocks.binary_search(&block.addr().get()).map(|at| blocks.remove(at)).is_ok()
}
