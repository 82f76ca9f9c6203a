//! Threads that stay: workers that get leases for each frame, and the one that reads sealed frames and drops them.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use framealloc_core::{Lease, SealedFrame};

use crate::board::{Board, Posted};
use crate::parcel::Exchange;
use crate::random::Random;
use crate::work::{Counts, Place, turn};

/// What a worker needs for its turn.
pub struct Task {
    pub leases: [Lease; 2],
    pub boards: Arc<[Board; 2]>,
    pub before: Arc<[Vec<Posted>; 2]>,
    pub exchange: Arc<Exchange>,
    pub random: Random,
}

impl Task {
    /// Takes the turn; when it returns the leases are back.
    fn run(mut self) -> Counts {
        let place = |at: usize| Place {
            alloc: &self.leases[at],
            board: &self.boards[at],
            before: &self.before[at],
            keeps: at == 1,
        };
        turn([place(0), place(1)], &self.exchange, &mut self.random)
    }
}

/// A worker that stays.
pub struct Worker {
    tasks: Sender<Task>,
    counts: Receiver<Counts>,
    thread: JoinHandle<()>,
}

impl Worker {
    pub fn start() -> Self {
        let (tasks, to_do) = mpsc::channel::<Task>();
        let (report, counts) = mpsc::channel();
        let thread = thread::spawn(move || {
            while let Ok(task) = to_do.recv() {
                if report.send(task.run()).is_err() {
                    return;
                }
            }
        });
        Self { tasks, counts, thread }
    }

    pub fn give(&self, task: Task) {
        assert!(self.tasks.send(task).is_ok(), "a worker has died");
    }

    pub fn wait(&self) -> Counts {
        self.counts.recv().expect("a worker has died")
    }

    pub fn dismiss(self) {
        drop(self.tasks);
        self.thread.join().expect("a worker has died");
    }
}

/// The thread that sealed frames go to.
pub struct Reader {
    frames: Sender<(SealedFrame, Vec<Posted>)>,
    thread: JoinHandle<u64>,
}

impl Reader {
    pub fn start() -> Self {
        let (frames, to_read) = mpsc::channel::<(SealedFrame, Vec<Posted>)>();
        let thread = thread::spawn(move || {
            let mut read = 0;
            let mut kept = Vec::new();
            while let Ok((sealed, posted)) = to_read.recv() {
                kept.push((sealed, posted));
                // Several at a time, in any order.
                if kept.len() == 3 {
                    let (sealed, posted) = kept.swap_remove(1);
                    posted.iter().for_each(|posted| posted.check(&sealed));
                    read += posted.len() as u64;
                }
            }
            for (sealed, posted) in &kept {
                posted.iter().for_each(|posted| posted.check(sealed));
                read += posted.len() as u64;
            }
            read
        });
        Self { frames, thread }
    }

    pub fn give(&self, sealed: SealedFrame, posted: Vec<Posted>) {
        assert!(self.frames.send((sealed, posted)).is_ok(), "the reader has died");
    }

    /// What it has read, when it has dropped all.
    pub fn dismiss(self) -> u64 {
        drop(self.frames);
        self.thread.join().expect("the reader has died")
    }
}
