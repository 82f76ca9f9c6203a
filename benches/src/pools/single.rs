//! One thread: how fast an object comes and goes, in the orders that programs free in.

use std::hint::black_box;
use std::mem::MaybeUninit;

use super::contenders;
use super::heaps::{Heap, Object, Random, object, read, write};
use super::names::{MIMALLOC, PLACE, POOL};
use crate::row::{Bar, Contender, Figure, Group, Pass, Row};

/// Objects of a pass, which live at once except in ping-pong. Fewer of the largest, whose lines all fall into few sets of any
/// cache.
const fn live(words: usize) -> usize {
    if words < 512 { 10_000 } else { 2_000 }
}

fn ping_pong<H: Heap, const WORDS: usize>() -> Pass {
    let heap = H::new();
    Box::new(move || {
        let mut sum = 0;
        for i in 0..live(WORDS) as u64 {
            sum += read(black_box(&*object::<H, WORDS>(&heap, i)));
        }
        sum
    })
}

/// Ping-pong without a heap: the same object again and again.
fn one_place<const WORDS: usize>() -> Pass {
    let mut place: Box<Object<WORDS>> = Box::new([const { MaybeUninit::uninit() }; WORDS]);
    Box::new(move || {
        let mut sum = 0;
        for i in 0..live(WORDS) as u64 {
            write(&mut place, i);
            sum += read(black_box(&*place));
        }
        sum
    })
}

fn lifo<H: Heap, const WORDS: usize>() -> Pass {
    let heap = H::new();
    let mut live = Vec::with_capacity(live(WORDS));
    Box::new(move || {
        let mut sum = 0;
        for i in 0..live.capacity() as u64 {
            live.push(object::<H, WORDS>(&heap, i));
        }
        while let Some(object) = live.pop() {
            sum += read(&object);
        }
        sum
    })
}

fn fifo<H: Heap, const WORDS: usize>() -> Pass {
    let heap = H::new();
    let mut live = Vec::with_capacity(live(WORDS));
    Box::new(move || {
        let mut sum = 0;
        for i in 0..live.capacity() as u64 {
            live.push(object::<H, WORDS>(&heap, i));
        }
        for object in live.drain(..) {
            sum += read(&object);
        }
        sum
    })
}

fn random<H: Heap, const WORDS: usize>() -> Pass {
    let heap = H::new();
    let order = Random::new(1).order(live(WORDS));
    let mut live: Vec<Option<H::Owned<_>>> = order.iter().map(|_| None).collect();
    Box::new(move || {
        let mut sum = 0;
        for (i, place) in live.iter_mut().enumerate() {
            *place = Some(object::<H, WORDS>(&heap, i as u64));
        }
        for &i in &order {
            let object = live[i as usize].take().expect("filled above");
            sum += read(&object);
        }
        sum
    })
}

macro_rules! row {
    ($id:literal, $work:literal, $start:ident, $bytes:literal, $at_most:expr) => {
        Row {
            id: concat!("pool-", $bytes, "-", $id),
            group: Group::Pools,
            work: concat!("Objects of ", $bytes, " bytes: ", $work),
            unit: "object",
            operations: live($bytes / 8) as u64,
            contenders: contenders!($start, $bytes / 8),
            bars: vec![Bar { ours: POOL, rivals: &[MIMALLOC], figure: Figure::Time, at_most: $at_most }],
        }
    };
}

macro_rules! rows {
    ($bytes:literal, $ping_pong:expr) => {
        [
            {
                let mut row = row!("ping-pong", "each freed before the next is made", ping_pong, $bytes, $ping_pong);
                row.contenders.push(Contender { name: PLACE, start: one_place::<{ $bytes / 8 }> });
                row
            },
            row!("lifo", "all made, then freed from the last to the first", lifo, $bytes, 0.75),
            row!("fifo", "all made, then freed from the first to the last", fifo, $bytes, 0.75),
            row!("random", "all made, then freed in a shuffled order", random, $bytes, 1.0),
        ]
    };
}

pub(super) fn rows() -> Vec<Row> {
    [rows!(8, 0.55), rows!(64, 0.55), rows!(512, 0.55), rows!(4096, 0.8)].into_iter().flatten().collect()
}
