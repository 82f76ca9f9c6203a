//! Hoard's tests for false sharing: whether a heap has two threads write to one line.
//!
//! Emery Berger and others, "Hoard: a scalable memory allocator for multithreaded applications", 2000. An operation is an object made,
//! written a hundred times and freed.

use std::hint::black_box;
use std::sync::Arc;

use super::contenders;
use super::heaps::{Heap, Object, object, read};
use super::workers::{WORKERS, Workers};
use crate::row::{Group, Pass, Row};

/// Objects each thread makes in a pass.
const OBJECTS: u64 = 2_000;
/// Times an object is written.
const WRITES: u64 = 100;

type Small<H> = <H as Heap>::Owned<Object<1>>;

/// Makes objects one after the other, and writes to each again and again.
fn scribble<H: Heap>(heap: &H) -> u64 {
    let mut sum = 0;
    for i in 0..OBJECTS {
        let mut object: Small<H> = object(heap, i);
        for _ in 0..WRITES {
            let word = read(&object) + 1;
            black_box(&mut object)[0].write(word);
        }
        sum += read(&object);
    }
    sum
}

/// Each thread makes its own objects.
fn thrash<H: Heap>() -> Pass {
    let heap = Arc::new(H::new());
    let jobs: [_; WORKERS] = std::array::from_fn(|_| {
        let heap = Arc::clone(&heap);
        move |()| scribble(&*heap)
    });
    let workers = Workers::new(jobs);
    Box::new(move || workers.run(|| ()))
}

/// Each thread starts with an object that one thread made beside the others', and frees it.
fn scratch<H: Heap>() -> Pass {
    let heap = Arc::new(H::new());
    let jobs: [_; WORKERS] = std::array::from_fn(|_| {
        let heap = Arc::clone(&heap);
        move |first: Small<H>| {
            drop(first);
            scribble(&*heap)
        }
    });
    let workers = Workers::new(jobs);
    Box::new(move || {
        let mut first: Vec<Small<H>> = (0..WORKERS as u64).map(|i| object(&*heap, i)).collect();
        workers.run(|| first.pop().expect("one each"))
    })
}

pub(super) fn rows() -> [Row; 2] {
    let row = |id, work, contenders| Row {
        id,
        group: Group::PoolThreads,
        work,
        unit: "object",
        operations: WORKERS as u64 * OBJECTS,
        contenders,
        bars: Vec::new(),
    };
    [
        row(
            "pool-cache-thrash",
            "cache-thrash: 2 threads, each makes, writes 100 times and frees objects of 8 bytes",
            contenders!(thrash),
        ),
        row(
            "pool-cache-scratch",
            "cache-scratch: the same after each thread freed one of two objects that a third made",
            contenders!(scratch),
        ),
    ]
}
