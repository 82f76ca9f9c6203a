//! Two threads that stay, so that no pass pays for starting them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Threads of all rows that have workers.
pub(super) const WORKERS: usize = 2;

/// Each does the same job whenever asked.
pub(super) struct Workers<Q>(Vec<Worker<Q>>);

struct Worker<Q> {
    ask: Option<SyncSender<Q>>,
    answered: Receiver<u64>,
    thread: Option<JoinHandle<()>>,
}

impl<Q: Send + 'static> Workers<Q> {
    /// Starts the jobs, one thread each.
    pub(super) fn new<J: FnMut(Q) -> u64 + Send + 'static>(jobs: [J; WORKERS]) -> Self {
        let start = |mut job: J| {
            let (ask, asked) = sync_channel(1);
            let (answer, answered) = sync_channel(1);
            let work = move || {
                while let Ok(question) = asked.recv() {
                    answer.send(job(question)).expect("the asker waits");
                }
            };
            Worker { ask: Some(ask), answered, thread: Some(std::thread::spawn(work)) }
        };
        Self(jobs.into_iter().map(start).collect())
    }

    /// Has all do their job at once; the sum of their answers.
    pub(super) fn run(&self, mut question: impl FnMut() -> Q) -> u64 {
        for worker in &self.0 {
            worker.ask.as_ref().expect("not dropped").send(question()).expect("the worker waits");
        }
        self.0.iter().map(|worker| worker.answered.recv().expect("the worker answers")).sum()
    }
}

impl<Q> Drop for Workers<Q> {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            worker.ask = None;
        }
        for thread in self.0.iter_mut().filter_map(|worker| worker.thread.take()) {
            // A worker that panicked has said so.
            let _ = thread.join();
        }
    }
}
