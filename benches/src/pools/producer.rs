//! One thread makes objects, another one frees them.
//!
//! Objects travel in batches through queues without a lock, at which both threads wait awake: with a channel that puts them to
//! sleep the row would measure how the system wakes threads.
//!
//! Beside the heaps stands what no heap does without: the objects' lines on their way between two cores, which a ring of
//! memory shows that frees nothing, and the queues, whose carriers travel empty. Neither is anybody's rival.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crossbeam_utils::Backoff;

use super::contenders;
use super::heaps::{Heap, Object, object, read};
use super::names::{MIMALLOC, POOL, QUEUES, RING, SNMALLOC};
use crate::row::{Bar, Contender, Figure, Group, Pass, Row};

/// Objects that travel together.
const BATCH: usize = 256;
/// Batches a pass.
const BATCHES: usize = 400;
/// Batches on their way to the consumer at most.
const QUEUE: usize = 8;
/// Carriers that there are.
const CARRIERS: usize = 2 * QUEUE;

type Carrier<H, const WORDS: usize> = Vec<<H as Heap>::Owned<Object<WORDS>>>;

/// The thread that frees. The vectors that carry the objects go back and forth, so that they cost nothing.
struct Consumer<H: Heap, const WORDS: usize> {
    /// Wakes the consumer for a pass; it sleeps between two.
    wake: Option<SyncSender<()>>,
    to: rtrb::Producer<Carrier<H, WORDS>>,
    back: rtrb::Consumer<(Carrier<H, WORDS>, u64)>,
    /// Carriers that are here, between two passes all.
    idle: Vec<Carrier<H, WORDS>>,
    thread: Option<JoinHandle<()>>,
}

impl<H: Heap, const WORDS: usize> Consumer<H, WORDS> {
    fn start() -> Self {
        let (to, mut work) = rtrb::RingBuffer::new(QUEUE);
        let (mut done, back) = rtrb::RingBuffer::new(CARRIERS);
        let (wake, woken) = sync_channel(1);
        let consume = move || {
            for () in woken {
                for _ in 0..BATCHES {
                    let mut batch: Carrier<H, WORDS> = next(&mut work);
                    let sum = batch.drain(..).map(|object| read(&object)).sum();
                    assert!(done.push((batch, sum)).is_ok(), "there is room for all carriers");
                }
            }
        };
        let idle = (0..CARRIERS).map(|_| Vec::with_capacity(BATCH)).collect();
        Self { wake: Some(wake), to, back, idle, thread: Some(std::thread::spawn(consume)) }
    }

    /// A pass, for which `load` makes the objects of each batch; when it ends all of them are freed.
    #[inline(always)]
    fn pass(&mut self, load: impl Fn(&mut Carrier<H, WORDS>, usize)) -> u64 {
        self.wake.as_ref().expect("not dropped").send(()).expect("the consumer lives");
        let mut sum = 0;
        for batch in 0..BATCHES {
            let mut carrier = self.idle.pop().unwrap_or_else(|| {
                let (carrier, part) = next(&mut self.back);
                sum += part;
                carrier
            });
            load(&mut carrier, batch);
            let backoff = Backoff::new();
            while let Err(rtrb::PushError::Full(full)) = self.to.push(carrier) {
                assert!(!self.to.is_abandoned(), "the consumer lives");
                carrier = full;
                backoff.snooze();
            }
        }
        while self.idle.len() < CARRIERS {
            let (carrier, part) = next(&mut self.back);
            sum += part;
            self.idle.push(carrier);
        }
        sum
    }
}

/// What comes out of a queue next. Waits awake.
#[inline(always)]
fn next<T>(queue: &mut rtrb::Consumer<T>) -> T {
    let backoff = Backoff::new();
    loop {
        if let Ok(item) = queue.pop() {
            return item;
        }
        // What was pushed before the other end was dropped is still there.
        assert!(!queue.is_abandoned() || !queue.is_empty(), "the other thread lives");
        backoff.snooze();
    }
}

impl<H: Heap, const WORDS: usize> Drop for Consumer<H, WORDS> {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A consumer that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn start<H: Heap, const WORDS: usize>() -> Pass {
    let heap = H::new();
    let mut consumer = Consumer::<H, WORDS>::start();
    Box::new(move || {
        consumer.pass(|carrier, batch| {
            carrier.extend((0..BATCH).map(|i| object::<H, WORDS>(&heap, (batch * BATCH + i) as u64)));
        })
    })
}

/// The carriers travel empty.
fn start_empty<const WORDS: usize>() -> Pass {
    let mut consumer = Consumer::<Ring, WORDS>::start();
    Box::new(move || {
        let none = consumer.pass(|carrier, _| debug_assert!(carrier.is_empty(), "nobody loads it"));
        // What the others read, so that it may stand beside them.
        none + (0..(BATCH * BATCHES) as u64).sum::<u64>()
    })
}

/// Objects that live at once at most: all carriers are loaded.
const LIVE: usize = CARRIERS * BATCH;

/// Bytes of the largest object.
const LARGEST: usize = 4096;

/// Not a heap: it hands out the places of a ring one after another, and frees nothing. To be used as these rows do: by one
/// thread, for objects of one size, of which `LIVE` at most are kept. Carriers come back in the order they were sent in, empty,
/// so that the place that is handed out next is the one that has been free for longest.
struct Ring {
    memory: NonNull<u8>,
    next: AtomicUsize,
}

impl Ring {
    const LAYOUT: Layout = match Layout::from_size_align(LIVE * LARGEST, LARGEST) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    };
}

// SAFETY: the ring owns its memory.
unsafe impl Send for Ring {}
// SAFETY: its only field that changes is atomic.
unsafe impl Sync for Ring {}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: taken with this layout in `new`, and no box is left when a pass ends.
        unsafe { System.dealloc(self.memory.as_ptr(), Self::LAYOUT) }
    }
}

/// A place of the ring, and the value there.
struct RingBox<T>(NonNull<T>);

// SAFETY: the box owns its value.
unsafe impl<T: Send> Send for RingBox<T> {}

impl<T> Deref for RingBox<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the value is there until the box is gone, since nobody keeps more than `LIVE` boxes.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for RingBox<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the box is borrowed for it alone.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for RingBox<T> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the box owns a valid value, which nobody sees after its drop.
        unsafe { self.0.drop_in_place() }
    }
}

impl Heap for Ring {
    const NAME: &'static str = RING;
    type Owned<T: Send + 'static> = RingBox<T>;

    fn new() -> Self {
        // SAFETY: the size is not 0.
        let memory = unsafe { System.alloc(Self::LAYOUT) };
        Self { memory: NonNull::new(memory).expect("memory"), next: AtomicUsize::new(0) }
    }

    #[inline(always)]
    fn owned<T: Send + 'static>(&self, value: T) -> RingBox<T> {
        let place = self.take(Layout::new::<T>()).cast::<T>();
        // SAFETY: the place has the value's size, of which its alignment is a divisor, and is nobody's any more.
        unsafe { place.write(value) };
        RingBox(place)
    }

    #[inline(always)]
    fn take(&self, layout: Layout) -> NonNull<u8> {
        const { assert!(LIVE.is_power_of_two()) };
        assert!(layout.size() <= LARGEST && layout.align() <= LARGEST);
        let at = self.next.load(Ordering::Relaxed);
        // Not one operation: there is one thread that takes.
        self.next.store((at + 1) % LIVE, Ordering::Relaxed);
        // SAFETY: there are `LIVE` places of at least this size.
        unsafe { self.memory.add(at * layout.size()) }
    }

    unsafe fn give(&self, _: NonNull<u8>, _: Layout) {}
}

macro_rules! row {
    ($bytes:literal) => {
        Row {
            id: concat!("pool-", $bytes, "-producer"),
            group: Group::PoolThreads,
            work: concat!("Objects of ", $bytes, " bytes: one thread makes batches of 256, another one frees them"),
            unit: "object",
            operations: (BATCH * BATCHES) as u64,
            contenders: {
                let mut contenders = contenders!(start, $bytes / 8);
                contenders.push(Contender { name: RING, start: start::<Ring, { $bytes / 8 }> });
                contenders.push(Contender { name: QUEUES, start: start_empty::<{ $bytes / 8 }> });
                contenders
            },
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
