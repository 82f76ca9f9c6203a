//! What one thread pays where threads share something.

use std::hint::black_box;
use std::time::Instant;

use framealloc::{PoolBox, SmartAlloc};

use super::{CHUNK, Costs, OBJECTS, Object, PART, stocked};
use crate::measure::time::median;

/// Each cost is the median of so many rounds.
pub(super) fn costs(rounds: usize) -> Costs {
    let alloc = SmartAlloc::default();
    let mut held: Vec<PoolBox<Object>> = Vec::with_capacity(OBJECTS);
    // The first two times make the slabs.
    let all: Vec<_> = (0..rounds + 2).map(|_| exchanges(&alloc, &mut held)).skip(2).collect();
    let exchange_ns = median(&all.iter().map(|(_, time)| *time).collect::<Vec<_>>()).max(0.0);
    let exchanges = all[0].0;
    let objects = (0..rounds).map(|_| {
        let start = Instant::now();
        held.extend((0..OBJECTS as u64).map(|i| alloc.pool_box([i; 8])));
        black_box(&mut held).clear();
        start.elapsed().as_nanos() as f64
    });
    let objects = median(&objects.collect::<Vec<_>>()) - exchanges as f64 * exchange_ns;
    let chunks: Vec<_> = (0..rounds).map(|_| chunk()).collect();
    let draw_ns = median(&chunks.iter().map(|(draw, _)| *draw).collect::<Vec<_>>()).max(0.0);
    let fill_ns = median(&chunks.iter().map(|(_, fill)| *fill).collect::<Vec<_>>());
    Costs { object_ns: objects / OBJECTS as f64, exchange_ns, exchanges, draw_ns, fill_ns }
}

/// How many times objects that are made and freed change hands with the depot, which is seen by what lies there afterwards, and
/// how much longer those take than the others.
fn exchanges(alloc: &SmartAlloc, held: &mut Vec<PoolBox<Object>>) -> (usize, f64) {
    let mut before = alloc.pool().stats();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let mut look = |start: Instant| {
        let time = start.elapsed().as_nanos() as f64;
        let now = alloc.pool().stats();
        let times = if std::mem::replace(&mut before, now) == now { &mut without } else { &mut with };
        times.push(time);
    };
    for i in 0..OBJECTS as u64 {
        let start = Instant::now();
        held.push(alloc.pool_box([i; 8]));
        look(start);
    }
    for object in held.drain(..) {
        let start = Instant::now();
        drop(object);
        look(start);
    }
    (with.len(), median(&with) - median(&without))
}

/// Nanoseconds to draw a chunk, and to fill it.
fn chunk() -> (f64, f64) {
    const MANY: usize = 64;
    const WORDS: u64 = (CHUNK / size_of::<u64>()) as u64;
    let mut alloc = stocked(MANY);
    let mut frame = |parts: bool| {
        let frame = alloc.frame();
        let start = Instant::now();
        if parts {
            (0..MANY).for_each(|_| _ = black_box(frame.alloc_layout(PART)));
        } else {
            (0..WORDS).for_each(|word| _ = black_box(frame.alloc(word)));
        }
        let spent = start.elapsed().as_nanos() as f64;
        alloc.end_frame();
        spent
    };
    let (drawn, kept, _warm) = (frame(true), frame(true), frame(false));
    ((drawn - kept) / MANY as f64, frame(false))
}
