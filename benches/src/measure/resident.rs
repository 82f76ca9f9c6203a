//! Resident memory: programs that hold objects of several sizes, each in a process of its own, since a heap keeps what it once had.
//!
//! What the process had resident before is taken off; the vectors that hold the objects are touched before that. Every object
//! has its first line written, so that the pages it lies on are resident.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;

use serde::{Deserialize, Serialize};

use crate::pools::heaps::{Block, Glibc, Heap, Jemalloc, Mimalloc, Pooled, Random, Snmalloc};

/// What a heap has held during a program, in bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The program's id.
    pub program: String,
    /// The heap, as in the tables of times.
    pub heap: String,
    /// Objects alive at once, at most: the sum of their sizes.
    pub peak_live: u64,
    /// Resident at once at most, above what the process had before.
    pub peak_resident: u64,
    /// Still resident when all objects are freed.
    pub resident_after: u64,
}

/// One heap's turn at a program.
#[derive(Clone, Copy)]
pub struct Run {
    /// The heap, as in the tables of times.
    pub name: &'static str,
    /// Runs the program in this process, which should end afterwards.
    pub run: fn() -> Outcome,
}

/// Some work whose memory is measured.
#[derive(Clone, Copy)]
pub struct Program {
    /// As on the command line.
    pub id: &'static str,
    /// What it does, in words.
    pub work: &'static str,
    /// Whether one thread does all of it, so that its memory is the same in each run, within two hundredths.
    pub repeats: bool,
    /// Those who do it, framealloc first.
    pub runs: &'static [Run],
}

/// Runs all programs on all heaps, each in a process of its own.
///
/// # Errors
///
/// If a process fails.
pub fn outcomes() -> Result<Vec<Outcome>, String> {
    let all = PROGRAMS.iter().flat_map(|program| program.runs.iter().map(move |run| (program.id, run.name)));
    all.map(|(program, heap)| super::last_line(super::this().args(["--child", "resident", program, heap]))).collect()
}

/// Runs the program of the first name on the heap of the second, in this process.
///
/// # Errors
///
/// If there is none of these names.
pub fn child(names: &[String]) -> Result<Outcome, String> {
    let [program, heap] = names else { return Err("a program and a heap are needed".to_owned()) };
    let program = PROGRAMS.iter().find(|known| known.id == program).ok_or_else(|| format!("no program {program}"))?;
    let run = program.runs.iter().find(|run| run.name == heap).ok_or_else(|| format!("no heap {heap}"))?;
    Ok(Outcome { program: program.id.to_owned(), heap: heap.clone(), ..(run.run)() })
}

macro_rules! runs {
    ($program:ident) => {
        &[
            Run { name: Pooled::NAME, run: $program::<Pooled> },
            Run { name: <Mimalloc as Heap>::NAME, run: $program::<Mimalloc> },
            Run { name: <Snmalloc as Heap>::NAME, run: $program::<Snmalloc> },
            Run { name: <Jemalloc as Heap>::NAME, run: $program::<Jemalloc> },
            Run { name: <Glibc as Heap>::NAME, run: $program::<Glibc> },
        ]
    };
}

/// The programs.
pub const PROGRAMS: &[Program] = &[
    Program {
        id: "switch",
        work: "200,000 objects of 64 bytes, every other one freed, then 25,000 of 512 bytes, every other one freed, then 100,000 of 64",
        repeats: true,
        runs: runs!(switch),
    },
    Program {
        id: "churn",
        work: "10,000 objects of 8 to 4,096 bytes, of which a million are replaced at random",
        repeats: true,
        runs: runs!(churn),
    },
    Program {
        id: "records",
        work: "50,000 objects of 24 to 240 bytes, of which a million are replaced at random",
        repeats: true,
        runs: runs!(records),
    },
    Program {
        id: "producer",
        work: "one thread makes 1,000 batches of 256 objects of 64 to 1,024 bytes, another one frees them",
        repeats: false,
        runs: runs!(producer),
    },
];

/// A line of `/proc/self/status`, in bytes.
fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

/// Runs `work` on a new heap; it returns the bytes that lived at once.
fn measure<H: Heap>(work: impl FnOnce(&Arc<H>) -> u64) -> Outcome {
    let before = status("VmRSS");
    // Resets the high-water mark.
    fs::write("/proc/self/clear_refs", "5").expect("/proc/self/clear_refs can be written");
    // The heap's own beginnings count as the program's.
    let heap = Arc::new(H::new());
    let peak_live = work(&heap);
    Outcome {
        peak_live,
        peak_resident: status("VmHWM").saturating_sub(before),
        resident_after: status("VmRSS").saturating_sub(before),
        ..Outcome::default()
    }
}

/// Room for so many objects, touched.
fn room(count: usize) -> Vec<Option<Block>> {
    let mut room = Vec::new();
    // One by one, so that every page is written.
    room.resize_with(count, || std::hint::black_box(None));
    room
}

fn free<H: Heap>(heap: &H, place: &mut Option<Block>) {
    if let Some(block) = place.take() {
        assert_eq!(block.free(heap), 1, "somebody else has written to an object");
    }
}

fn switch<H: Heap>() -> Outcome {
    let (mut small, mut large, mut last) = (room(200_000), room(25_000), room(100_000));
    measure::<H>(|heap| {
        let fill = |places: &mut [Option<Block>], bytes| {
            places.iter_mut().for_each(|place| *place = Some(Block::new(&**heap, bytes)));
        };
        let every_other =
            |places: &mut [Option<Block>]| places.iter_mut().step_by(2).for_each(|place| free(&**heap, place));
        fill(&mut small, 64);
        every_other(&mut small);
        fill(&mut large, 512);
        every_other(&mut large);
        fill(&mut last, 64);
        for places in [&mut small, &mut large, &mut last] {
            places.iter_mut().for_each(|place| free(&**heap, place));
        }
        100_000 * 64 + 25_000 * 512
    })
}

/// Replaces a million objects at random; `size` draws sizes.
fn replace<H: Heap>(count: usize, size: fn(&mut Random) -> usize) -> Outcome {
    let mut places = room(count);
    let mut sizes = vec![0; count];
    sizes.fill(std::hint::black_box(0));
    measure::<H>(|heap| {
        let mut random = Random::new(1);
        let (mut live, mut peak) = (0, 0);
        for turn in 0..count + 1_000_000 {
            let at = if turn < count { turn } else { random.below(count) };
            let bytes = size(&mut random);
            free(&**heap, &mut places[at]);
            places[at] = Some(Block::new(&**heap, bytes));
            live = live + bytes - sizes[at];
            sizes[at] = bytes;
            peak = peak.max(live);
        }
        places.iter_mut().for_each(|place| free(&**heap, place));
        peak as u64
    })
}

fn churn<H: Heap>() -> Outcome {
    replace::<H>(10_000, Random::size)
}

fn records<H: Heap>() -> Outcome {
    replace::<H>(50_000, |random| 24 + 8 * random.below(28))
}

fn producer<H: Heap>() -> Outcome {
    /// Objects a batch.
    const BATCH: usize = 256;
    /// Batches on their way at most.
    const QUEUE: usize = 16;
    let carriers: Vec<_> = (0..QUEUE).map(|_| room(BATCH)).collect();
    measure::<H>(|heap| {
        let (to, work) = sync_channel::<(Vec<Option<Block>>, u64)>(QUEUE);
        let (done, back) = sync_channel(QUEUE);
        // Alive, in bytes; only a sum, nothing is read on its word. A batch is taken off when all of it is freed: at most so much
        // is counted too many.
        let live = Arc::new(AtomicU64::new(0));
        carriers.into_iter().for_each(|carrier| done.send(carrier).expect("room for all"));
        let consumer = {
            let (heap, live) = (Arc::clone(heap), Arc::clone(&live));
            std::thread::spawn(move || {
                for (mut carrier, bytes) in work {
                    carrier.iter_mut().for_each(|place| free(&*heap, place));
                    live.fetch_sub(bytes, Ordering::Relaxed);
                    if done.send(carrier).is_err() {
                        break;
                    }
                }
            })
        };
        let mut random = Random::new(1);
        let mut peak = 0;
        for _ in 0..1_000 {
            let mut carrier = back.recv().expect("the consumer is there");
            let mut bytes = 0;
            for place in &mut carrier {
                let size = 64 << random.below(5);
                bytes += size as u64;
                *place = Some(Block::new(&**heap, size));
            }
            peak = peak.max(live.fetch_add(bytes, Ordering::Relaxed) + bytes);
            to.send((carrier, bytes)).expect("the consumer is there");
        }
        drop(to);
        consumer.join().expect("the consumer has nothing to panic about");
        peak
    })
}
