//! Loops that allocate and free, for their instructions to be counted: `cost LOOP ROUNDS`.
//!
//! Start and end of a run are the same for any number of rounds, so that the difference of two runs is that of their rounds.

use std::hint::black_box;
use std::process::ExitCode;

use framealloc::prelude::*;

/// Values of a frame, and objects of a fill.
const COUNT: usize = 1000;

/// A frame of values.
fn frame(alloc: &mut SmartAlloc) {
    alloc.begin_frame();
    let frame = alloc.frame();
    for value in 0..COUNT as u64 {
        black_box(frame.alloc(value));
    }
    alloc.end_frame();
}

/// One object, taken and freed.
fn ping_pong(pool: &Pool) {
    for value in 0..COUNT as u64 {
        black_box(pool.alloc_box([value; 8]));
    }
}

/// Many objects, taken, then freed.
fn drain(pool: &Pool, objects: &mut Vec<PoolBox<[u64; 8]>>) {
    objects.extend((0..COUNT as u64).map(|value| pool.alloc_box([value; 8])));
    black_box(objects).clear();
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let (Some(name), Some(rounds)) = (arguments.get(1), arguments.get(2).and_then(|rounds| rounds.parse().ok())) else {
        eprintln!("cost frame|ping-pong|drain ROUNDS");
        return ExitCode::from(2);
    };
    let mut alloc = SmartAlloc::default();
    let pool = alloc.pool().clone();
    let mut objects = Vec::with_capacity(COUNT);
    let mut round: Box<dyn FnMut()> = match name.as_str() {
        "frame" => Box::new(|| frame(&mut alloc)),
        "ping-pong" => Box::new(|| ping_pong(&pool)),
        "drain" => Box::new(|| drain(&pool, &mut objects)),
        _ => {
            eprintln!("there is no loop '{name}'");
            return ExitCode::from(2);
        }
    };
    for _ in 0..rounds {
        round();
    }
    ExitCode::SUCCESS
}
