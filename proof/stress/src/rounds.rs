//! The frames: two allocators, threads that stay and threads that come and go, boundaries of every kind, and the sums.

use std::fmt;
use std::sync::Arc;
use std::thread;

use framealloc_core::{AllocConfig, FrameStats, SmartAlloc, TrimPolicy};

use crate::board::{Board, Posted};
use crate::crew::{Reader, Task, Worker};
use crate::late;
use crate::parcel::{Counted, Exchange};
use crate::random::Random;
use crate::work::{Counts, OPERATIONS, Place, turn};

/// Parcels that may lie in the exchange between two frames.
const LEFT: usize = 300;

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Threads that take turns, the main thread among them; some more die in each frame.
    pub threads: usize,
    pub frames: u64,
    pub seed: u64,
}

/// What was done in all.
pub struct Summary {
    settings: Settings,
    counts: Counts,
    seals: u64,
    read_sealed: u64,
    late: u64,
    passed: u64,
    trimmed: usize,
    destructors: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Settings { threads, frames, seed }, counts) = (self.settings, self.counts);
        write!(f, "stress: {threads} threads, {frames} frames, seed {seed}: {} operations, ", counts.operations)?;
        write!(
            f,
            "{} frame blocks, {} published, {} read, {} stale, ",
            counts.blocks, counts.published, counts.read, counts.stale
        )?;
        write!(f, "{} pool objects, {} of others freed, {} passed on, ", counts.packed, counts.fetched, self.passed)?;
        write!(f, "{} seals with {} handles, {} late threads, ", self.seals, self.read_sealed, self.late)?;
        write!(f, "{} destructors at boundaries, {} KiB trimmed; all as expected", self.destructors, self.trimmed >> 10)
    }
}

/// The allocators, whose first one seals by hand or keeps nothing in flight, and whose second one keeps a frame in flight.
struct Rounds {
    settings: Settings,
    allocs: [SmartAlloc; 2],
    before: Arc<[Vec<Posted>; 2]>,
    /// Values with a destructor that the second allocator's frame in flight has.
    in_flight: usize,
    exchange: Arc<Exchange>,
    workers: Vec<Worker>,
    reader: Reader,
    summary: Summary,
}

/// Plays all frames.
///
/// # Panics
///
/// If anything is not as it must be.
pub fn play(settings: &Settings) -> Summary {
    let config = || AllocConfig::default().with_frame_chunk(1 << 10, 64 << 10).with_trim(TrimPolicy::AfterFrames(4));
    let staying = (settings.threads - 1) / 2;
    let mut rounds = Rounds {
        settings: *settings,
        allocs: [SmartAlloc::new(config()), SmartAlloc::new(config().with_frames_in_flight(2))],
        before: Arc::default(),
        in_flight: 0,
        exchange: Arc::default(),
        workers: (0..staying).map(|_| Worker::start()).collect(),
        reader: Reader::start(),
        summary: Summary {
            settings: *settings,
            counts: Counts::default(),
            seals: 0,
            read_sealed: 0,
            late: 0,
            passed: 0,
            trimmed: 0,
            destructors: 0,
        },
    };
    (1..=settings.frames).for_each(|number| rounds.frame(number));
    rounds.finish()
}

impl Rounds {
    fn frame(&mut self, number: u64) {
        for alloc in &mut self.allocs {
            assert_eq!(alloc.begin_frame(), number);
        }
        let boards: Arc<[Board; 2]> = Arc::default();
        let random = |stream: usize| Random::new(self.settings.seed, stream as u64, number);
        for (stream, worker) in self.workers.iter().enumerate() {
            worker.give(Task {
                leases: [self.allocs[0].lease(), self.allocs[1].lease()],
                boards: boards.clone(),
                before: self.before.clone(),
                exchange: self.exchange.clone(),
                random: random(100 + stream),
            });
        }
        let mut choices = random(0);
        let late: Vec<_> = (0..choices.below(3))
            .map(|stream| late::start(self.allocs[choices.below(2)].lease(), random(200 + stream)))
            .collect();

        let place =
            |at: usize| Place { alloc: &self.allocs[at], board: &boards[at], before: &self.before[at], keeps: at == 1 };
        let (places, exchange) = ([place(0), place(1)], &*self.exchange);
        let visitors = self.settings.threads - 1 - self.workers.len();
        let mut counts = thread::scope(|scope| {
            let visitors: Vec<_> = (0..visitors)
                .map(|stream| scope.spawn(move || turn(places, exchange, &mut random(300 + stream))))
                .collect();
            let mut counts = turn(places, exchange, &mut random(1));
            // Joined by hand: a scope does not wait for the destructors of thread-locals.
            for visitor in visitors {
                counts += visitor.join().expect("a visitor has died");
            }
            counts
        });
        for worker in &self.workers {
            counts += worker.wait();
        }
        self.summary.late += late.len() as u64;
        late.into_iter().for_each(|thread| thread.join().expect("a late thread has died"));
        assert_eq!(counts.operations, (self.settings.threads * OPERATIONS) as u64);

        let posted = Arc::into_inner(boards).expect("all turns are over").map(Board::into_all);
        for (posted, alloc) in posted.iter().zip(&self.allocs) {
            posted.iter().for_each(|posted| posted.check(alloc));
        }
        self.boundary(number, posted, &counts);
        self.settle(number, &mut choices);
        self.summary.counts += counts;
    }

    /// Ends the frame of both allocators.
    fn boundary(&mut self, number: u64, posted: [Vec<Posted>; 2], counts: &Counts) {
        let [first, second] = &mut self.allocs;
        assert_eq!((first.stats().leases, second.stats().leases), (0, 0), "a lease is out");

        let stats = if number.is_multiple_of(3) {
            let sealed = first.seal_frame();
            self.summary.seals += 1;
            let stats = *sealed.stats();
            self.reader.give(sealed, posted[0].clone());
            assert_eq!(stats.destructors, 0, "a sealed frame's values are alive");
            stats
        } else {
            let stats = first.end_frame();
            assert_eq!(stats.destructors, counts.counted[0], "each published value is dropped once");
            stats
        };
        self.check(&stats, number, counts.bytes[0]);
        self.summary.destructors += stats.destructors;

        let stats = self.allocs[1].end_frame();
        assert_eq!(stats.destructors, self.in_flight, "the frame before the last is reclaimed");
        self.check(&stats, number, counts.bytes[1]);
        self.summary.destructors += stats.destructors;
        self.in_flight = counts.counted[1];

        for stale in &posted[0] {
            stale.check_stale(&self.allocs[0]);
        }
        for stale in &self.before[1] {
            stale.check_stale(&self.allocs[1]);
        }
        self.before = Arc::new(posted);
    }

    fn check(&self, stats: &FrameStats, number: u64, bytes: usize) {
        // Two late threads, beside those with turns.
        let most = self.settings.threads + 2;
        assert_eq!((stats.frame, stats.refused), (number, 0), "{stats:?}");
        assert!(stats.bytes_allocated >= bytes, "{bytes} bytes were taken: {stats:?}");
        assert!(stats.peak >= stats.bytes_allocated, "{stats:?}");
        assert!((1..=most).contains(&stats.threads), "{stats:?}");
    }

    /// Between two frames: memory is given back, and what lies in the exchange stays bounded.
    fn settle(&mut self, number: u64, choices: &mut Random) {
        for alloc in &mut self.allocs {
            if choices.once_in(8) {
                self.summary.trimmed += alloc.trim();
            }
            let stats = alloc.stats();
            assert_eq!((stats.frame, stats.leases), (number + 1, 0), "{stats:?}");
            assert!(stats.threads <= self.settings.threads + 2, "slots of dead threads serve new ones: {stats:?}");
            assert!(stats.backend_allocations >= stats.backend_releases, "{stats:?}");
            assert!(stats.committed >= stats.stored + stats.pools.slab_bytes + stats.pools.large_bytes, "{stats:?}");
        }
        assert_eq!(self.allocs[1].stats().frames_in_flight, 1);
        while self.exchange.len() > LEFT {
            self.exchange.fetch().expect("a parcel").check();
        }
    }

    /// Lets go of everything, after which nothing must be left.
    fn finish(mut self) -> Summary {
        self.workers.drain(..).for_each(Worker::dismiss);
        self.summary.read_sealed = self.reader.dismiss();
        while let Some(parcel) = self.exchange.fetch() {
            parcel.check();
        }
        self.summary.passed = self.exchange.passed();
        for alloc in &mut self.allocs {
            // The frame in flight goes as well.
            self.summary.destructors += alloc.end_frame().destructors;
            alloc.end_frame();
            self.summary.trimmed += alloc.trim();
            let stats = alloc.stats();
            assert_eq!((stats.pools.outstanding_bytes, stats.pools.large_blocks), (0, 0), "{stats:?}");
            assert_eq!((stats.pools.slabs, stats.stored, stats.committed), (0, 0, 0), "{stats:?}");
            assert_eq!(stats.backend_allocations, stats.backend_releases, "{stats:?}");
        }
        drop(self.allocs);
        assert_eq!(Counted::alive(), 0, "every value is dropped");
        self.summary
    }
}
