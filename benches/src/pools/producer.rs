//! One thread makes objects, another one frees them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::contenders;
use super::heaps::{Heap, Object, object, read};
use super::names::{MIMALLOC, POOL, SNMALLOC};
use crate::row::{Bar, Figure, Group, Pass, Row};

/// Objects that travel together.
const BATCH: usize = 256;
/// Batches a pass.
const BATCHES: usize = 400;
/// Batches on their way to the consumer at most.
const QUEUE: usize = 8;

type Carrier<H, const WORDS: usize> = Vec<<H as Heap>::Owned<Object<WORDS>>>;

/// The thread that frees. The vectors that carry the objects go back and forth, so that they cost nothing.
struct Consumer<H: Heap, const WORDS: usize> {
    to: Option<SyncSender<Carrier<H, WORDS>>>,
    back: Receiver<(Carrier<H, WORDS>, u64)>,
    thread: Option<JoinHandle<()>>,
}

impl<H: Heap, const WORDS: usize> Consumer<H, WORDS> {
    fn start() -> Self {
        let (to, work) = sync_channel::<Carrier<H, WORDS>>(QUEUE);
        let (done, back) = sync_channel(4 * QUEUE);
        for _ in 0..2 * QUEUE {
            done.send((Vec::with_capacity(BATCH), 0)).expect("open");
        }
        let consume = move || {
            for mut batch in work {
                let sum = batch.drain(..).map(|object| read(&object)).sum();
                if done.send((batch, sum)).is_err() {
                    break;
                }
            }
        };
        Self { to: Some(to), back, thread: Some(std::thread::spawn(consume)) }
    }

    /// A pass; when it ends all its objects are freed.
    fn pass(&self, heap: &H) -> u64 {
        let mut sum = 0;
        for batch in 0..BATCHES {
            let (mut carrier, part) = self.back.recv().expect("open");
            sum += part;
            carrier.extend((0..BATCH).map(|i| object::<H, WORDS>(heap, (batch * BATCH + i) as u64)));
            self.to.as_ref().expect("not dropped").send(carrier).expect("open");
        }
        let idle: Vec<_> = (0..2 * QUEUE).map(|_| self.back.recv().expect("open")).collect();
        sum += idle.iter().map(|(_, part)| part).sum::<u64>();
        for (carrier, _) in idle {
            // The consumer has nothing to do for an empty one.
            self.to.as_ref().expect("not dropped").send(carrier).expect("open");
        }
        sum
    }
}

impl<H: Heap, const WORDS: usize> Drop for Consumer<H, WORDS> {
    fn drop(&mut self) {
        self.to = None;
        if let Some(thread) = self.thread.take() {
            // A consumer that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn start<H: Heap, const WORDS: usize>() -> Pass {
    let heap = H::new();
    let consumer = Consumer::<H, WORDS>::start();
    Box::new(move || consumer.pass(&heap))
}

macro_rules! row {
    ($bytes:literal) => {
        Row {
            id: concat!("pool-", $bytes, "-producer"),
            group: Group::PoolThreads,
            work: concat!("Objects of ", $bytes, " bytes: one thread makes batches of 256, another one frees them"),
            unit: "object",
            operations: (BATCH * BATCHES) as u64,
            contenders: contenders!(start, $bytes / 8),
            bars: vec![
                Bar { ours: POOL, rivals: &[MIMALLOC], figure: Figure::Time, at_most: 0.4 },
                Bar { ours: POOL, rivals: &[SNMALLOC], figure: Figure::Time, at_most: 0.6 },
            ],
        }
    };
}

pub(super) fn rows() -> [Row; 4] {
    [row!(8), row!(64), row!(512), row!(4096)]
}
