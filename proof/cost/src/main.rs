//! Loops that allocate and free, for their instructions to be counted: `cost LOOP ROUNDS`, or with a budget behind the allocator
//! `cost LOOP ROUNDS budget`; with the feature `live` also `live`, a budget whose frames are shown to nobody, and `watched`, to somebody;
//! with the feature `sample` also `sampled:BYTES`, a budget that takes a sample every so many bytes, and with `backtrace` also
//! `traced:BYTES`, one that notes who called; with the feature `trace` also `tracing`, an allocator that traces each block,
//! and `tracing-stacks`.
//!
//! Start and end of a run are the same for any number of rounds, so that the difference of two runs is that of their rounds.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

#[cfg(feature = "sample")]
use framealloc::Sampling;
use framealloc::prelude::*;

/// Values of a frame, and objects of a fill.
const COUNT: usize = 1000;

/// Threads and tags of a frame's end.
const THREADS: usize = 8;
const TAGS: [&str; 32] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "a/0", "b/0", "c/0", "d/0", "e/0", "f/0", "g/0", "h/0", "a/1", "b/1",
    "c/1", "d/1", "e/1", "f/1", "g/1", "h/1", "a/1/2", "b/1/2", "c/1/2", "d/1/2", "e/1/2", "f/1/2", "g/1/2", "h/1/2",
];

const LOOPS: &str = "frame|lists|tagged|tagged-twice|ping-pong|drain|boundary";

/// A frame of values.
fn frame(alloc: &mut SmartAlloc) {
    alloc.begin_frame();
    values(alloc, COUNT);
    alloc.end_frame();
}

/// A frame of vectors, each dropped before the next one is made.
fn lists(alloc: &mut SmartAlloc) {
    alloc.begin_frame();
    dropped_lists(alloc);
    alloc.end_frame();
}

#[inline(never)]
fn dropped_lists(alloc: &SmartAlloc) {
    let frame = alloc.frame();
    for value in 0..COUNT as u64 {
        let mut list = frame.vec_with_capacity(8);
        list.extend([value; 8]);
        black_box(&list);
    }
}

/// A frame of values, so many times, in a scope of a tag that has a limit.
fn tagged(alloc: &mut SmartAlloc, times: usize) {
    alloc.begin_frame();
    alloc.with_tag(TAGS[0], |a| values(a, times * COUNT));
    alloc.end_frame();
}

#[inline(never)]
fn values(alloc: &SmartAlloc, count: usize) {
    let frame = alloc.frame();
    for value in 0..count as u64 {
        black_box(frame.alloc(value));
    }
}

/// One object, taken and freed.
#[inline(never)]
fn ping_pong(pool: &Pool) {
    for value in 0..COUNT as u64 {
        black_box(pool.alloc_box([value; 8]));
    }
}

/// Many objects, taken, then freed.
#[inline(never)]
fn drain(pool: &Pool, objects: &mut Vec<PoolBox<[u64; 8]>>) {
    objects.extend((0..COUNT as u64).map(|value| pool.alloc_box([value; 8])));
    black_box(objects).clear();
}

/// What is counted of [`boundary`]: its name is looked for.
#[inline(never)]
fn counted_end_of_frame(alloc: &mut SmartAlloc) {
    black_box(alloc.end_frame());
}

/// Frames of eight threads that each open 32 tags, and one frame's end for each that is counted.
fn boundary(alloc: &mut SmartAlloc, rounds: usize) {
    let (begin, end) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    let shared = std::sync::RwLock::new(alloc);
    thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(|| {
                for _ in 0..rounds {
                    begin.wait();
                    let alloc = shared.read().expect("nobody panics");
                    for tag in TAGS {
                        alloc.with_tag(tag, |a| black_box(a.frame().alloc(1u64)));
                    }
                    drop(alloc);
                    end.wait();
                }
            });
        }
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            begin.wait();
            end.wait();
            let alloc = &mut shared.write().expect("nobody panics");
            let start = Instant::now();
            counted_end_of_frame(alloc);
            times.push(start.elapsed());
        }
        times.sort_unstable();
        println!(
            "{} ns, of half of the frames at most",
            times.get(rounds / 2).map_or(0, std::time::Duration::as_nanos)
        );
    });
}

/// Limits on everything that the loops use, none of which they reach.
fn budget() -> Budget {
    let wide = Limit::soft(bytes::mib(32)).with_hard(bytes::mib(64));
    TAGS.into_iter()
        .fold(Budget::new().with_history(100).with_committed(wide).with_pools(wide).with_frame(wide), |budget, tag| {
            budget.with_tag(tag, wide)
        })
}

/// `sampled:BYTES` or `traced:BYTES`. Drawn from a seed, so that each run counts the same.
#[cfg(feature = "sample")]
fn sampling(text: &str) -> Result<Sampling, String> {
    let (how, interval) = text.split_once(':').unwrap_or((text, ""));
    let interval = interval.parse().map_err(|_| format!("'{interval}' is not a number of bytes"))?;
    let sampling = Sampling::every(interval).with_seed(1);
    match how {
        "sampled" => Ok(sampling),
        #[cfg(feature = "backtrace")]
        "traced" => Ok(sampling.with_backtraces()),
        _ => Err(format!("nothing is '{how}'")),
    }
}

/// Shows the budget's frames, if it is to be, to a viewer on a thread of its own, if there is to be one.
#[cfg(feature = "live")]
fn show(budget: &Budget, to: &str) -> Result<Option<framealloc::LiveView>, String> {
    use std::io::{Read, Write};
    if to == "budget" {
        return Ok(None);
    }
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let view = budget.serve_live(address).map_err(|error| error.to_string())?;
    if to == "watched" {
        let fail = |error: std::io::Error| error.to_string();
        let mut stream = std::net::TcpStream::connect(view.address()).map_err(fail)?;
        stream.write_all(framealloc::live::greeting().as_bytes()).map_err(fail)?;
        thread::spawn(move || while let Ok(1..) = stream.read(&mut [0; 1 << 16]) {});
        while view.viewers() == 0 {
            thread::yield_now();
        }
    }
    Ok(Some(view))
}

#[cfg(not(feature = "live"))]
fn show(_budget: &Budget, to: &str) -> Result<(), String> {
    if to == "budget" { Ok(()) } else { Err("it was built without the feature 'live'".into()) }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let (Some(name), Some(rounds)) = (arguments.get(1), arguments.get(2).and_then(|rounds| rounds.parse().ok())) else {
        eprintln!("cost {LOOPS} ROUNDS [budget|live|watched|sampled:BYTES|traced:BYTES|tracing|tracing-stacks]");
        return ExitCode::from(2);
    };
    let mut shown = None;
    let config = match arguments.get(3).map(String::as_str) {
        None => AllocConfig::default(),
        Some(to @ ("budget" | "live" | "watched")) => {
            let budget = budget();
            match show(&budget, to) {
                Ok(view) => shown = Some(view),
                Err(error) => {
                    eprintln!("{error}");
                    return ExitCode::FAILURE;
                }
            }
            AllocConfig::default().with_governor(budget)
        }
        #[cfg(feature = "trace")]
        Some("tracing") => AllocConfig::default().with_tracing(),
        #[cfg(feature = "trace")]
        Some("tracing-stacks") => AllocConfig::default().with_traced_stacks(),
        #[cfg(feature = "sample")]
        Some(to) if to.contains(':') => {
            let budget = budget();
            if let Err(error) = sampling(to).and_then(|how| budget.set_sampling(Some(how)).map_err(|e| e.to_string())) {
                eprintln!("{error}");
                return ExitCode::from(2);
            }
            AllocConfig::default().with_governor(budget)
        }
        Some(other) => {
            eprintln!("there is nothing that is called '{other}' but a budget");
            return ExitCode::from(2);
        }
    };
    let _shown = shown;
    let mut alloc = SmartAlloc::new(config);
    let pool = alloc.pool().clone();
    let mut objects = Vec::with_capacity(COUNT);
    if name == "boundary" {
        boundary(&mut alloc, rounds);
        return ExitCode::SUCCESS;
    }
    let mut round: Box<dyn FnMut()> = match name.as_str() {
        "frame" => Box::new(|| frame(&mut alloc)),
        "lists" => Box::new(|| lists(&mut alloc)),
        "tagged" => Box::new(|| tagged(&mut alloc, 1)),
        "tagged-twice" => Box::new(|| tagged(&mut alloc, 2)),
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
