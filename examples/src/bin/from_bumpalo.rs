//! Coming from bumpalo: one frame's work, written for both, method by method. The results are the same.
//! What differs: destructors always run or it does not compile, refusals unwind, and one allocator serves all threads.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::thread;

use bumpalo::Bump;
use framealloc::prelude::*;

const FRAMES: u64 = 10;

/// What a frame's work comes to.
#[derive(Debug, PartialEq)]
struct Outcome {
    forces: f32,
    hits: usize,
    label: String,
    dropped: u32,
}

/// A value with a destructor.
struct Guard<'a>(&'a Cell<u32>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn with_bumpalo(bump: &Bump, frame: u64) -> Outcome {
    let dropped = Cell::new(0);

    let matrix = bump.alloc_with(|| [frame as f32; 16]);
    let weights = bump.alloc_slice_copy(&[0.5, 0.25, 0.25]);
    let forces = bump.alloc_slice_fill_with(100, |i| matrix[i % 16] * weights[i % 3]);
    let ids = bump.alloc_slice_fill_iter((0..10u32).map(|i| u64::from(i) * frame));

    let mut hits = bumpalo::collections::Vec::<u64>::new_in(bump);
    hits.extend(ids.iter().filter(|&&id| id % 3 == 0));
    hits.sort_unstable();

    let mut label = bumpalo::collections::String::new_in(bump);
    label.push_str("frame ");
    label.push_str(&bumpalo::format!(in bump, "{frame}: {} hits", hits.len()));

    let guard = bumpalo::boxed::Box::new_in(Guard(&dropped), bump);
    drop(guard);
    // Compiles, and never drops its value: a leak if it owned something.
    bump.alloc(Guard(&dropped));

    Outcome { forces: forces.iter().sum(), hits: hits.len(), label: label.as_str().into(), dropped: dropped.get() }
}

fn with_framealloc(alloc: &SmartAlloc, frame: u64) -> Outcome {
    let dropped = Cell::new(0);
    let f = alloc.frame(); // this thread's `&Bump`

    let matrix = f.alloc_with(|| [frame as f32; 16]);
    let weights = f.alloc_slice_copy(&[0.5, 0.25, 0.25]);
    let forces = f.alloc_slice_fill_with(100, |i| matrix[i % 16] * weights[i % 3]);
    let ids = f.alloc_slice_fill_iter((0..10u32).map(|i| u64::from(i) * frame));

    let mut hits = f.vec::<u64>();
    hits.extend(ids.iter().filter(|&&id| id % 3 == 0));
    hits.sort_unstable();

    let mut label = f.string();
    label.push_str("frame ");
    label.push_str(&frame_format!(f, "{frame}: {} hits", hits.len()));

    let guard = f.alloc_box(Guard(&dropped));
    drop(guard);
    // `f.alloc(Guard(&dropped))` does not compile, and its message names `alloc_box`.

    Outcome { forces: forces.iter().sum(), hits: hits.len(), label: label.as_str().into(), dropped: dropped.get() }
}

fn main() {
    // One thread: `reset` becomes `end_frame`. Both need `&mut`, for the same reason.
    let mut bump = Bump::new();
    let mut alloc = SmartAlloc::default();
    let mut hits = 0;
    for frame in 0..FRAMES {
        let old = with_bumpalo(&bump, frame);
        let new = with_framealloc(&alloc, frame);
        assert_eq!(old, new);
        assert_eq!(new.dropped, 1);
        hits += new.hits;
        bump.reset();
        alloc.end_frame();
    }
    println!("{FRAMES} frames, {hits} hits: the same results from both");

    // Threads: a `Bump` for each of them, and somebody who resets them all; or the one `SmartAlloc`, by reference.
    let mut bumps: [Bump; 3] = Default::default();
    let olds: Vec<Outcome> = thread::scope(|scope| {
        let threads: Vec<_> =
            (1..).zip(&mut bumps).map(|(i, bump)| scope.spawn(move || with_bumpalo(bump, i))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    bumps.iter_mut().for_each(Bump::reset);

    let news: Vec<Outcome> = thread::scope(|scope| {
        let alloc = &alloc;
        let threads: Vec<_> = (1..4).map(|i| scope.spawn(move || with_framealloc(alloc, i))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let stats = alloc.end_frame();

    assert_eq!(olds, news);
    assert_eq!(stats.threads, 3);
    println!(
        "3 threads: three `Bump`s, or one `SmartAlloc`; one `end_frame` reclaimed {} bytes of all",
        stats.bytes_allocated
    );
}
