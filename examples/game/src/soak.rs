//! The long game: a great many short frames, with bursts, workers and visitors that come and go, and values that outlive
//! frames. Its memory must be as flat at the end as it was after the warm-up, and its counters must add up.

use std::fmt;
use std::sync::RwLock;
use std::sync::mpsc::sync_channel;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use framealloc::prelude::{AllocStats, Lease, PoolBox};

use crate::crew::Crew;
use crate::fold::Fold;
use crate::scene::{Scene, mix};
use crate::tally::Tally;
use crate::variants::frame::{FrameAlloc, Packet};
use crate::variants::{FRAMES_IN_FLIGHT, Variant};
use meter::{median, resident_bytes};

/// Few, so that a frame is short.
const BODIES: u32 = 16;
const WORKERS: u32 = 3;
/// Values that live longer than frames, at most.
const SHOTS: usize = 2_000;
/// Compared with each other, after a warm-up as long as one of them.
const WINDOWS: u32 = 10;
/// Frames from one reading of the figures to the next.
const READING: u32 = 20;
/// What resident memory may differ by between windows: what the heap under Rapier does is not ours.
const SLACK: u64 = 1 << 20;

/// Something in flight, on a pool.
struct Shot {
    mark: u64,
    trail: [u64; 6],
}

impl Shot {
    fn new(mark: u64) -> Self {
        Self { mark, trail: [!mark; 6] }
    }

    fn is_right(&self) -> bool {
        self.trail == [!self.mark; 6]
    }
}

/// What was read in one window.
#[derive(Default)]
struct Window {
    resident: Vec<u64>,
    committed: Vec<u64>,
    slabs: usize,
    slots: usize,
}

/// What a long game has shown.
pub struct Soaked {
    frames: u32,
    took: Duration,
    bursts: u32,
    crews: u32,
    visitors: u32,
    shots: u64,
    read: u64,
    windows: Vec<Window>,
    last: AllocStats,
}

/// Plays `frames` frames.
///
/// # Errors
///
/// Says which figure is not as it must be.
pub fn soak(frames: u32, seed: u64) -> Result<Soaked, String> {
    let scene = RwLock::new(Scene::new(BODIES, seed));
    thread::scope(|scope| {
        Soak { scope, scene: &scene, frames, seed: seed as u32, shots: Vec::with_capacity(SHOTS) }.run()
    })
}

struct Soak<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    scene: &'env RwLock<Scene>,
    frames: u32,
    seed: u32,
    shots: Vec<PoolBox<Shot>>,
}

impl Soak<'_, '_> {
    fn run(mut self) -> Result<Soaked, String> {
        let window = (self.frames / (WINDOWS + 1)).max(READING);
        let mut soaked = Soaked::new(self.frames);
        let (packets, to_show) = sync_channel::<Packet>(FRAMES_IN_FLIGHT);
        let (report, shown) = sync_channel(FRAMES_IN_FLIGHT);
        self.scope.spawn(move || {
            while let Ok(packet) = to_show.recv() {
                let mut fold = Fold::default();
                FrameAlloc::read(&packet, &mut fold);
                FrameAlloc::release(packet);
                if report.send(fold.sum()).is_err() {
                    return;
                }
            }
        });
        let mut variant = FrameAlloc::new(WORKERS as usize);
        let mut crew = self.crew(0);
        let start = Instant::now();
        for frame in 0..self.frames {
            let luck = mix(self.seed, frame);
            if luck.is_multiple_of(101) {
                crew = self.crew(frame);
                soaked.crews += 1;
            }
            let burst = luck.is_multiple_of(211);
            soaked.bursts += u32::from(burst);
            self.simulate(&crew, frame, burst);
            if frame as usize >= FRAMES_IN_FLIGHT {
                soaked.read ^= shown.recv().map_err(|_| "the render thread has died")?;
            }
            let mut tally = Tally::default();
            variant.begin();
            crew.dispatch(|worker| variant.job(worker));
            self.shoot(&variant, luck, &mut soaked)?;
            crew.collect(|done| {
                tally += done.tally;
                variant.take(done.part.expect("a built part"));
            });
            if packets.send(variant.finish(&mut tally)).is_err() {
                return Err("the render thread has died".to_owned());
            }
            let stats = variant.alloc().stats();
            self.check(&stats, frame)?;
            if frame >= window && frame.is_multiple_of(READING) {
                soaked.read_figures(((frame - window) / window).min(WINDOWS - 1) as usize, &stats);
            }
        }
        soaked.took = start.elapsed();
        for _ in 0..self.frames.min(FRAMES_IN_FLIGHT as u32) {
            soaked.read ^= shown.recv().map_err(|_| "the render thread has died")?;
        }
        self.shots.clear();
        soaked.last = variant.settle();
        soaked.check()?;
        Ok(soaked)
    }

    /// Workers, of another number than before; those of before go when they find their door closed.
    fn crew(&self, frame: u32) -> Crew<FrameAlloc> {
        Crew::start(self.scope, self.scene, 1 + (mix(self.seed ^ 1, frame) % WORKERS) as usize)
    }

    fn simulate(&self, crew: &Crew<FrameAlloc>, frame: u32, burst: bool) {
        let mut scene = self.scene.write().expect("no worker has panicked");
        scene.step(burst);
        scene.prepare(frame, burst);
        drop(scene);
        crew.cast();
    }

    /// Values that outlive the frame: some are made, some die, here or on a thread that comes for it.
    fn shoot(&mut self, variant: &FrameAlloc, luck: u32, soaked: &mut Soaked) -> Result<(), String> {
        for number in 0..luck % 8 {
            soaked.shots += 1;
            self.shots.push(variant.alloc().pool_box(Shot::new(soaked.shots ^ u64::from(number) << 32)));
        }
        let gone = self.shots.len().saturating_sub(luck as usize % SHOTS);
        if luck.is_multiple_of(37) || self.shots.len() > SHOTS {
            let taken: Vec<_> = self.shots.drain(..gone).collect();
            let lease = variant.alloc().lease();
            self.shots.extend(thread::spawn(move || visit(&lease, &taken)).join().map_err(|_| "a visitor has died")?);
            soaked.visitors += 1;
        }
        if self.shots.iter().all(|shot| shot.is_right()) { Ok(()) } else { Err("a value on a pool changed".to_owned()) }
    }

    fn check(&self, stats: &AllocStats, frame: u32) -> Result<(), String> {
        let live = self.shots.len() * size_of::<Shot>();
        let is_right = stats.frame == u64::from(frame) + 2
            && stats.leases == 0
            && stats.last_frame.refused == 0
            && stats.pools.outstanding_bytes >= live
            && stats.pools.slab_bytes >= stats.pools.outstanding_bytes + stats.pools.depot_bytes
            && stats.pools.large_blocks == 0
            && stats.committed >= stats.stored + stats.pools.slab_bytes;
        if is_right { Ok(()) } else { Err(format!("after frame {frame}, with {live} bytes of live values: {stats:?}")) }
    }
}

/// A thread that comes once: it uses the frame, frees others' values and brings some of its own.
fn visit(lease: &Lease, taken: &[PoolBox<Shot>]) -> Vec<PoolBox<Shot>> {
    let frame = lease.frame();
    let marks = frame.collect(taken.iter().map(|shot| shot.mark));
    let published = lease.publish_slice_copy(&marks);
    let scratch = lease.scratch();
    let text = scratch.alloc_str("a visitor");
    assert_eq!(lease.get(published).expect("published just now").len(), taken.len());
    (0..text.len() as u64).map(|number| lease.pool_box(Shot::new(number))).collect()
}

impl Soaked {
    fn new(frames: u32) -> Self {
        Self {
            frames,
            took: Duration::ZERO,
            bursts: 0,
            crews: 1,
            visitors: 0,
            shots: 0,
            read: 0,
            windows: (0..WINDOWS).map(|_| Window::default()).collect(),
            last: AllocStats::default(),
        }
    }

    fn read_figures(&mut self, window: usize, stats: &AllocStats) {
        let window = &mut self.windows[window];
        window.resident.push(resident_bytes());
        window.committed.push(stats.committed as u64);
        window.slabs = window.slabs.max(stats.pools.slabs);
        window.slots = window.slots.max(stats.threads);
    }

    /// What must be flat, and what must be gone at the end.
    fn check(&self) -> Result<(), String> {
        if self.windows.iter().any(|window| window.resident.is_empty()) {
            return Err(format!("{} frames are too few for {WINDOWS} windows", self.frames));
        }
        let flat = |what: &str, slack: u64, of: &dyn Fn(&Window) -> u64| {
            let first = of(&self.windows[0]);
            let grown = self.windows.iter().map(of).find(|&figure| figure > first + slack);
            grown.map_or(Ok(()), |figure| Err(format!("{what} grew from {first} to {figure}\n{self}")))
        };
        flat("resident memory", SLACK, &|window| median(window.resident.iter().copied()))?;
        flat("memory of the backends", SLACK, &|window| median(window.committed.iter().copied()))?;
        flat("the number of slabs", 2, &|window| window.slabs as u64)?;
        // A worker of an old crew may be on its way out when the new ones come.
        let most = 3 * WORKERS as usize + 2;
        if self.windows.iter().any(|window| window.slots > most) {
            return Err(format!("more than {most} slots\n{self}"));
        }
        let AllocStats { pools, committed, backend_allocations, backend_releases, .. } = self.last;
        if (pools.outstanding_bytes, pools.slabs, committed) != (0, 0, 0) || backend_allocations != backend_releases {
            return Err(format!("not all was given back at the end: {:?}\n{self}", self.last));
        }
        Ok(())
    }
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        writeln!(f, "soak: {} frames of {BODIES} bodies in {seconds:.1} s, checksum {:016x}", self.frames, self.read)?;
        writeln!(
            f,
            "      {} bursts, {} crews, {} visitors, {} values on pools; {} backend allocations, all given back",
            self.bursts, self.crews, self.visitors, self.shots, self.last.backend_allocations
        )?;
        writeln!(f, "window  resident KiB, median and most  held KiB, median and most  slabs  slots")?;
        for (number, window) in self.windows.iter().enumerate() {
            let most = |figures: &[u64]| figures.iter().copied().max().unwrap_or(0) >> 10;
            let middle = |figures: &[u64]| median(figures.iter().copied()) >> 10;
            writeln!(
                f,
                "{:>6}  {:>17}  {:>15}  {:>13}  {:>13}  {:>5}  {:>5}",
                number + 1,
                middle(&window.resident),
                most(&window.resident),
                middle(&window.committed),
                most(&window.committed),
                window.slabs,
                window.slots
            )?;
        }
        Ok(())
    }
}
