//! The game loop of one variant: physics, queries, the stages that use memory, the hand-over to the render thread.
//!
//! The simulation fills frame N+1 while the render thread reads frame N; with frame N+2 it waits until N was read. What
//! is timed as "the stages" is the main thread's wall time from opening a frame to having handed it over, and the render
//! thread's from having read it to having given its memory back: a list that has to be freed is not done with when it is
//! filled. Beside the wall time stands the processor time that all threads together spent in the same spans.

use std::sync::RwLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::crew::Crew;
use crate::fold::Fold;
use crate::scene::Scene;
use crate::tally::{Demands, Lists, Tally};
use crate::variants::{FRAMES_IN_FLIGHT, Variant};
use meter::wait_for_turn;
use meter::{Cost, metered};
use meter::{HeapUse, counted};
use meter::{mean, resident_bytes};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub frames: u32,
    pub bodies: u32,
    pub threads: usize,
    pub seed: u64,
}

impl Settings {
    pub fn burst(&self) -> u32 {
        self.frames / 2
    }

    /// The frame at which the burst should be forgotten.
    pub fn forgotten(&self) -> u32 {
        (self.burst() + 120).min(self.frames - 1)
    }
}

/// Everything one variant has shown.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub checksum: u64,
    pub frames_per_second: f64,
    /// Nanoseconds of every frame's memory-using stages, up to the hand-over.
    pub stages_ns: Vec<u64>,
    /// Nanoseconds the render thread took to read every frame, and to give its memory back.
    pub read_ns: Vec<u64>,
    pub release_ns: Vec<u64>,
    /// What every frame's stages cost all threads, the release on the render thread included.
    pub stages_cost: Vec<Cost>,
    /// Rapier's own: its steps and its queries.
    pub rapier_step_ns: Vec<u64>,
    pub rapier_step_heap: HeapUse,
    pub rapier_query_ns: Vec<u64>,
    pub rapier_query_heap: HeapUse,
    /// The game's books of every frame.
    pub tallies: Vec<Tally>,
    /// Resident bytes after every frame.
    pub resident: Vec<u64>,
    pub resident_before_burst: u64,
    /// What became of the budget, if there was one.
    pub budget: Option<String>,
}

/// A frame as the render thread has left it.
struct Shown<S> {
    frame: u32,
    spent: S,
    sum: u64,
    read_ns: u64,
    release_ns: u64,
    cost: Cost,
}

/// Plays the game on one variant.
///
/// # Errors
///
/// Tells which frame does not have what a frame must have.
pub fn play<V: Variant>(settings: &Settings) -> Result<Outcome, String> {
    wait_for_turn(0)?;
    let scene = RwLock::new(Scene::new(settings.bodies, settings.seed));
    std::thread::scope(|scope| {
        let crew = Crew::<V>::start(scope, &scene, settings.threads);
        // The rays' buffers belong to no variant: grown to their full size before the first frame.
        scene.write().expect("no worker has panicked").prepare(0, true);
        crew.cast();
        Game { settings, scene: &scene, crew, stage: Stage::<V>::open(scope), variant: V::new(settings.threads) }.run()
    })
}

/// The render thread's two doors.
struct Stage<V: Variant> {
    packets: SyncSender<(u32, V::Packet)>,
    shown: Receiver<Shown<V::Spent>>,
}

impl<V: Variant> Stage<V> {
    fn open<'scope>(scope: &'scope Scope<'scope, '_>) -> Self
    where
        V: 'scope,
    {
        let (packets, to_show) = sync_channel(FRAMES_IN_FLIGHT);
        let (report, shown) = sync_channel(FRAMES_IN_FLIGHT);
        scope.spawn(move || {
            while let Ok((frame, packet)) = to_show.recv() {
                if report.send(show::<V>(frame, packet)).is_err() {
                    return;
                }
            }
        });
        Self { packets, shown }
    }
}

fn show<V: Variant>(frame: u32, packet: V::Packet) -> Shown<V::Spent> {
    let start = Instant::now();
    let mut fold = Fold::default();
    V::read(&packet, &mut fold);
    let read_ns = nanoseconds(start);
    let start = Instant::now();
    let (spent, cost) = metered(|| V::release(packet));
    Shown { frame, spent, sum: fold.sum(), read_ns, release_ns: nanoseconds(start), cost }
}

struct Game<'a, V: Variant> {
    settings: &'a Settings,
    scene: &'a RwLock<Scene>,
    crew: Crew<V>,
    stage: Stage<V>,
    variant: V,
}

impl<V: Variant> Game<'_, V> {
    fn run(mut self) -> Result<Outcome, String> {
        let Settings { frames, bodies, .. } = *self.settings;
        let burst = self.settings.burst();
        let demands = Demands::new(bodies);
        let mut outcome = Outcome { stages_cost: vec![Cost::default(); frames as usize], ..Outcome::default() };

        let mut played = Duration::ZERO;
        for frame in 0..frames {
            // The first turn has begun with the scene.
            if frame > 0 {
                wait_for_turn(frame)?;
            }
            let start = Instant::now();
            if frame == burst {
                outcome.resident_before_burst = resident_bytes();
            }
            self.simulate(frame, frame == burst, &mut outcome);
            if frame as usize >= FRAMES_IN_FLIGHT {
                self.await_render(&mut outcome);
            }
            let tally = self.stages(frame, &mut outcome);
            if frame != burst {
                demands.check_ordinary(frame, &tally)?;
            }
            played += start.elapsed();
            outcome.tallies.push(tally);
            outcome.resident.push(resident_bytes());
        }
        for _ in 0..frames.min(FRAMES_IN_FLIGHT as u32) {
            self.await_render(&mut outcome);
        }
        outcome.frames_per_second = f64::from(frames) / played.as_secs_f64();

        let ordinary = outcome.ordinary(self.settings);
        if frames > 1 {
            demands.check_burst(ordinary.bytes, outcome.tallies[burst as usize].total().bytes)?;
        }
        Ok(outcome)
    }

    /// What is Rapier's own: the step, and what the frame's rays hit.
    fn simulate(&mut self, frame: u32, burst: bool, outcome: &mut Outcome) {
        let mut scene = self.scene.write().expect("no worker has panicked");
        let start = Instant::now();
        let ((), heap) = counted(|| scene.step(burst));
        outcome.rapier_step_ns.push(nanoseconds(start));
        outcome.rapier_step_heap += heap;
        scene.prepare(frame, burst);
        drop(scene);

        let start = Instant::now();
        outcome.rapier_query_heap += self.crew.cast().heap;
        outcome.rapier_query_ns.push(nanoseconds(start));
    }

    /// The stages that use memory, from opening the frame to handing it over.
    fn stages(&mut self, frame: u32, outcome: &mut Outcome) -> Tally {
        let Self { crew, variant, stage, .. } = self;
        let (mut tally, mut workers) = (Tally::default(), Cost::default());
        let start = Instant::now();
        let ((), main) = metered(|| {
            variant.begin();
            crew.dispatch(|worker| variant.job(worker));
            crew.collect(|done| {
                tally += done.tally;
                workers += done.cost;
                variant.take(done.part.expect("a built part"));
            });
            let packet = variant.finish(&mut tally);
            assert!(stage.packets.send((frame, packet)).is_ok(), "the render thread has died");
        });
        outcome.stages_ns.push(nanoseconds(start));
        let cost = &mut outcome.stages_cost[frame as usize];
        *cost += main;
        *cost += workers;
        tally
    }

    /// Waits until the oldest frame in flight was read.
    fn await_render(&mut self, outcome: &mut Outcome) {
        let shown = self.stage.shown.recv().expect("the render thread has died");
        outcome.checksum = (outcome.checksum ^ shown.sum).wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(17);
        outcome.read_ns.push(shown.read_ns);
        outcome.release_ns.push(shown.release_ns);
        outcome.stages_cost[shown.frame as usize] += shown.cost;
        self.variant.recycle(shown.spent);
    }
}

impl Outcome {
    /// The mean ordinary frame.
    pub fn ordinary(&self, settings: &Settings) -> Lists {
        let frames = || self.ordinary_frames(settings).map(|frame| self.tallies[frame].total());
        Lists {
            allocations: mean(frames().map(|lists| lists.allocations)).round() as u64,
            bytes: mean(frames().map(|lists| lists.bytes)).round() as u64,
        }
    }

    pub fn ordinary_frames(&self, settings: &Settings) -> impl Iterator<Item = usize> {
        let burst = settings.burst() as usize;
        (0..self.tallies.len()).filter(move |&frame| frame != burst)
    }

    /// Resident bytes while the burst was in memory.
    pub fn resident_at_burst(&self, settings: &Settings) -> u64 {
        let burst = settings.burst() as usize;
        self.resident[burst..].iter().take(FRAMES_IN_FLIGHT).copied().max().unwrap_or(0)
    }

    pub fn resident_after_burst(&self, settings: &Settings) -> u64 {
        self.resident[settings.forgotten() as usize]
    }
}

fn nanoseconds(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}
