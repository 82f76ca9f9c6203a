//! The worker threads: started once, given the same share of every frame's work.
//!
//! A frame has two rounds. In the first, workers ask the physics engine what their rays hit, into buffers that are the
//! same in every variant and on nobody's account. In the second, they build the frame: that is what is measured.

use std::ops::Range;
use std::sync::RwLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use crate::model::{RayHead, RayHit};
use crate::scene::Scene;
use crate::tally::Tally;
use crate::variants::Variant;
use meter::{Cost, metered};

/// One worker's part of any range.
#[derive(Clone, Copy)]
pub struct Share {
    worker: usize,
    workers: usize,
}

impl Share {
    pub fn new(worker: usize, workers: usize) -> Self {
        Self { worker, workers }
    }

    pub fn of(self, len: usize) -> Range<usize> {
        len * self.worker / self.workers..len * (self.worker + 1) / self.workers
    }
}

/// What a worker's rays hit, as the physics engine told it.
#[derive(Default)]
pub struct RawHits {
    rays: Vec<(RayHead, Range<usize>)>,
    hits: Vec<RayHit>,
}

impl RawHits {
    fn cast(&mut self, scene: &Scene, share: Share) {
        self.rays.clear();
        self.hits.clear();
        for ray in share.of(scene.rays as usize) {
            let head = scene.ray(ray as u32);
            let start = self.hits.len();
            scene.cast(&head, &mut self.hits);
            self.rays.push((head, start..self.hits.len()));
        }
    }

    pub fn len(&self) -> usize {
        self.rays.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (RayHead, &[RayHit])> {
        self.rays.iter().map(|(head, range)| (*head, &self.hits[range.clone()]))
    }
}

/// Everything a stage may look at.
pub struct Input<'a> {
    pub scene: &'a Scene,
    pub share: Share,
    pub rays: &'a RawHits,
}

enum Task<J> {
    Cast,
    Build(J),
}

/// What a worker did in one round; casting has no part to show.
pub struct Done<P> {
    pub part: Option<P>,
    pub tally: Tally,
    pub cost: Cost,
}

struct Worker<V: Variant> {
    tasks: SyncSender<Task<V::Job>>,
    done: Receiver<Done<V::Part>>,
}

pub struct Crew<V: Variant> {
    workers: Vec<Worker<V>>,
}

impl<V: Variant> Crew<V> {
    pub fn start<'scope, 'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        scene: &'env RwLock<Scene>,
        threads: usize,
    ) -> Self
    where
        V: 'scope,
    {
        let start_one = |worker| {
            // Bounded channels hold their messages in place, so sending does not allocate.
            let (tasks, to_do) = sync_channel(1);
            let (report, done) = sync_channel(1);
            let share = Share::new(worker, threads);
            scope.spawn(move || work::<V>(scene, share, &to_do, &report));
            Worker { tasks, done }
        };
        Self { workers: (0..threads).map(start_one).collect() }
    }

    /// Has every ray cast; tells what the physics engine's queries asked of the heap.
    pub fn cast(&self) -> Cost {
        self.workers.iter().for_each(|worker| worker.give(Task::Cast));
        let mut cost = Cost::default();
        for worker in &self.workers {
            cost += worker.wait().cost;
        }
        cost
    }

    /// Hands out the jobs; [`Crew::collect`] waits for what they make.
    pub fn dispatch(&self, mut job: impl FnMut(usize) -> V::Job) {
        for (index, worker) in self.workers.iter().enumerate() {
            worker.give(Task::Build(job(index)));
        }
    }

    pub fn collect(&self, mut take: impl FnMut(Done<V::Part>)) {
        self.workers.iter().for_each(|worker| take(worker.wait()));
    }
}

impl<V: Variant> Worker<V> {
    fn give(&self, task: Task<V::Job>) {
        assert!(self.tasks.send(task).is_ok(), "a worker thread has died");
    }

    fn wait(&self) -> Done<V::Part> {
        self.done.recv().expect("a worker thread has died")
    }
}

fn work<V: Variant>(
    scene: &RwLock<Scene>,
    share: Share,
    to_do: &Receiver<Task<V::Job>>,
    report: &SyncSender<Done<V::Part>>,
) {
    let mut rays = RawHits::default();
    while let Ok(task) = to_do.recv() {
        let scene = scene.read().expect("the simulation has panicked");
        let mut tally = Tally::default();
        let (part, cost) = match task {
            Task::Cast => metered(|| {
                rays.cast(&scene, share);
                None
            }),
            Task::Build(job) => {
                let input = Input { scene: &scene, share, rays: &rays };
                metered(|| Some(V::build(job, &input, &mut tally)))
            }
        };
        drop(scene);
        if report.send(Done { part, tally, cost }).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn shares_cover_a_range_without_overlap() {
        for workers in 1..9 {
            let covered: Vec<usize> = (0..workers).flat_map(|worker| Share::new(worker, workers).of(100)).collect();
            assert!(covered.into_iter().eq(0..100));
        }
    }
}
