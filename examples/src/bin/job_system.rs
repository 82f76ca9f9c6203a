//! A job system whose tasks are `'static` and are stolen: broad and narrow phase of a collision step.
//! Each job holds a lease of the frame and carries an arena of its own along, to whichever thread takes it next; what one
//! phase leaves for the other, and the result, are handles into the frame.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, ThreadId};

use crossbeam_deque::{Steal, Stealer, Worker};
use framealloc::prelude::*;

const WORKERS: usize = 4;
const SECTORS: usize = 48;
const BODIES: usize = 400;
const FRAMES: usize = 3;
const RADIUS: f32 = 0.5;

type Pair = (u32, u32);
type World = Arc<[[f32; 2]]>;

enum Phase {
    Broad,
    Narrow(FrameHandle<[Pair]>),
}

struct Job {
    sector: usize,
    phase: Phase,
    world: World,
    scratch: Arena,
    lease: Lease,
    /// Who ran its first phase, and whether somebody else ran the second.
    last: Option<ThreadId>,
    travelled: bool,
    _open: Open,
}

/// Counts a job as open until it is dropped, also by a panic.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

struct Done {
    contacts: FrameHandle<[Pair]>,
    scratch: Arena,
    travelled: bool,
}

fn bodies(world: &[[f32; 2]], sector: usize) -> &[[f32; 2]] {
    &world[sector * BODIES..][..BODIES]
}

fn touch(a: [f32; 2], b: [f32; 2]) -> bool {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2) < (2.0 * RADIUS).powi(2)
}

/// Sweeps along the x axis. The sorted order is needed for a moment only: it lies in the job's own arena.
fn broad(world: &[[f32; 2]], sector: usize, scratch: &mut Arena, lease: &Lease) -> FrameHandle<[Pair]> {
    let bodies = bodies(world, sector);
    scratch.reset();
    let order = scratch.alloc_slice_fill_with(BODIES, |i| i as u32);
    order.sort_unstable_by(|&a, &b| bodies[a as usize][0].total_cmp(&bodies[b as usize][0]));
    let mut pairs = lease.frame_vec();
    for (at, &a) in order.iter().enumerate() {
        let right = bodies[a as usize][0] + 2.0 * RADIUS;
        let near = order[at + 1..].iter().take_while(|&&b| bodies[b as usize][0] < right);
        pairs.extend(near.map(|&b| (a.min(b), a.max(b))));
    }
    lease.publish_vec(pairs)
}

fn run(mut job: Job, own: &Worker<Job>, done: &mut Vec<Done>) {
    let here = thread::current().id();
    job.travelled |= job.last.is_some_and(|last| last != here);
    job.last = Some(here);
    match job.phase {
        Phase::Broad => {
            job.phase = Phase::Narrow(broad(&job.world, job.sector, &mut job.scratch, &job.lease));
            own.push(job); // to be continued in its turn by this thread, or by a thief
        }
        Phase::Narrow(pairs) => {
            let bodies = bodies(&job.world, job.sector);
            let pairs = job.lease.get(pairs).expect("published in this frame").iter().copied();
            let hits = pairs.filter(|&(a, b)| touch(bodies[a as usize], bodies[b as usize]));
            let contacts = job.lease.publish_vec(job.lease.frame_collect(hits));
            done.push(Done { contacts, scratch: job.scratch, travelled: job.travelled });
        }
    }
}

/// One thread: its own jobs first, then other threads' oldest. Returns how many it took, and how many of them it stole.
fn work(own: &Worker<Job>, others: &[Stealer<Job>], open: &AtomicUsize, gate: &Barrier) -> (usize, usize, Vec<Done>) {
    let (mut taken, mut stolen, mut done) = (0, 0, Vec::new());
    while open.load(Ordering::Acquire) > 0 {
        let theft = || others.iter().map(Stealer::steal).find_map(Steal::success);
        let Some(job) = own.pop().or_else(|| theft().inspect(|_| stolen += 1)) else {
            thread::yield_now();
            continue;
        };
        taken += 1;
        if taken == 1 {
            gate.wait(); // Nobody runs ahead until all have a job, so that there is theft on a busy machine too.
        }
        run(job, own, &mut done);
    }
    (taken, stolen, done)
}

fn main() {
    let world: World = (0..SECTORS * BODIES).map(|i| [(i * 7919 % 997) as f32 / 20.0, (i % 89) as f32 / 8.0]).collect();
    let all_pairs = (0..SECTORS * BODIES).flat_map(|a| (a + 1..(a / BODIES + 1) * BODIES).map(move |b| (a, b)));
    let expected = all_pairs.filter(|&(a, b)| touch(world[a], world[b])).count();

    let mut alloc = SmartAlloc::default();
    let mut arenas: Vec<Arena> = (0..SECTORS).map(|_| Arena::with_chunk_sizes(1 << 12, 1 << 16)).collect();
    for frame in 0..FRAMES {
        alloc.begin_frame();
        let committed: usize = arenas.iter().map(Arena::committed).sum();
        let (open, gate) = (Arc::new(AtomicUsize::new(SECTORS)), Arc::new(Barrier::new(WORKERS)));
        let deques: Vec<Worker<Job>> = (0..WORKERS).map(|_| Worker::new_fifo()).collect();
        let stealers: Arc<[Stealer<Job>]> = deques.iter().map(Worker::stealer).collect();
        for (sector, scratch) in arenas.drain(..).enumerate() {
            let (world, lease, open) = (world.clone(), alloc.lease(), Open(open.clone()));
            let phase = Phase::Broad;
            deques[0].push(Job { sector, phase, world, scratch, lease, last: None, travelled: false, _open: open });
        }
        assert!(alloc.try_end_frame().is_err(), "no frame ends under a job");
        let spawn = |own: Worker<Job>| {
            let (others, open, gate) = (stealers.clone(), open.clone(), gate.clone());
            thread::spawn(move || work(&own, &others, &open, &gate))
        };
        let threads: Vec<_> = deques.into_iter().map(spawn).collect();

        let (mut taken, mut stolen, mut contacts, mut travelled) = ([0; WORKERS], 0, 0, 0);
        for (thread, taken) in threads.into_iter().zip(&mut taken) {
            let (its, thefts, done) = thread.join().expect("no job panics");
            (*taken, stolen) = (its, stolen + thefts);
            for Done { contacts: handle, scratch, travelled: moved } in done {
                contacts += alloc.get(handle).expect("published in this frame").len();
                travelled += usize::from(moved);
                arenas.push(scratch); // warm, for the next frame's jobs
            }
        }
        let stats = alloc.end_frame();
        assert_eq!((contacts, arenas.len(), taken.iter().sum()), (expected, SECTORS, 2 * SECTORS));
        assert!(taken.iter().all(|&jobs| jobs > 0) && stolen >= WORKERS - 1 && stats.threads > 1);
        let warm: usize = arenas.iter().map(Arena::committed).sum();
        assert!(frame == 0 || warm == committed, "on new threads, the arenas still have what they took on others");
        println!(
            "frame {frame}: {contacts} contacts, phases by thread {taken:?}, {stolen} stolen, {travelled} jobs travelled"
        );
    }
}
