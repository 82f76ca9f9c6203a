//! Threads that stay from pass to pass.

use std::hint::black_box;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// Some threads, each of which does its share when all are told to.
pub(super) struct Crew {
    go: Vec<Sender<()>>,
    done: Receiver<u64>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// As many threads; `make` is called on each for what it does, which returns the sum of what it read back.
    pub(super) fn new<W: FnMut() -> u64>(count: usize, make: impl Fn() -> W + Clone + Send + 'static) -> Self {
        let (finished, done) = channel();
        let (go, threads) = (0..count)
            .map(|_| {
                let (go, told) = channel();
                let (make, finished) = (make.clone(), finished.clone());
                let thread = thread::spawn(move || {
                    // Not known to the compiler: the loop is compiled as a function of its own, as in the rows of one thread.
                    let mut work: Box<dyn FnMut() -> u64> = black_box(Box::new(make()));
                    for () in told {
                        finished.send(work()).expect("whoever waits is there");
                    }
                });
                (go, thread)
            })
            .unzip();
        Self { go, done, threads }
    }

    /// Lets all do their share, and waits for them; the sum of their sums.
    pub(super) fn run(&self) -> u64 {
        for go in &self.go {
            go.send(()).expect("the threads stay");
        }
        self.done.iter().take(self.go.len()).sum()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.go.clear();
        for thread in self.threads.drain(..) {
            // What went wrong in it was seen by `run`.
            drop(thread.join());
        }
    }
}
