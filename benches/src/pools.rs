//! Objects that outlive a frame: allocated and freed one by one, here and on another thread.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::mpsc;

use framealloc::prelude::*;

/// Bytes of an object, as words.
pub type Object = [u64; 8];

/// Objects in one pass.
pub const OBJECTS: usize = 10_000;

/// Something that boxes an [`Object`].
pub trait Boxes: Sync {
    /// What is printed for it.
    const NAME: &'static str;
    /// The box: frees on drop.
    type Box: Send;
    /// Boxes an object.
    fn boxed(&self, object: Object) -> Self::Box;
    /// Reads a word back.
    fn read(boxed: &Self::Box) -> u64;
}

/// framealloc's `pool_box`.
#[derive(Default)]
pub struct Pooled(SmartAlloc);

impl Boxes for Pooled {
    const NAME: &'static str = "framealloc, pool_box";
    type Box = PoolBox<Object>;

    #[inline(always)]
    fn boxed(&self, object: Object) -> PoolBox<Object> {
        self.0.pool_box(object)
    }

    #[inline(always)]
    fn read(boxed: &PoolBox<Object>) -> u64 {
        boxed[7]
    }
}

/// mimalloc, called directly, as `Box` would call it.
#[derive(Default)]
pub struct Mimalloc;

/// A box in mimalloc's heap.
pub struct MimallocBox(NonNull<Object>);

// SAFETY: the box owns its object, and mimalloc frees on any thread.
unsafe impl Send for MimallocBox {}

impl Boxes for Mimalloc {
    const NAME: &'static str = "mimalloc";
    type Box = MimallocBox;

    #[inline(always)]
    fn boxed(&self, object: Object) -> MimallocBox {
        // SAFETY: the size is not 0.
        let memory = unsafe { mimalloc::MiMalloc.alloc(Layout::new::<Object>()) };
        let place = NonNull::new(memory.cast::<Object>()).expect("out of memory");
        // SAFETY: fresh memory of the object's layout.
        unsafe { place.write(object) };
        MimallocBox(place)
    }

    #[inline(always)]
    fn read(boxed: &MimallocBox) -> u64 {
        // SAFETY: initialised when it was made.
        unsafe { boxed.0.as_ref()[7] }
    }
}

impl Drop for MimallocBox {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and freed once.
        unsafe { mimalloc::MiMalloc.dealloc(self.0.as_ptr().cast(), Layout::new::<Object>()) };
    }
}

#[inline(always)]
fn object(i: u64) -> Object {
    [i; 8]
}

/// Box and drop, one at a time.
#[inline(never)]
pub fn ping_pong<B: Boxes>(boxes: &B) -> u64 {
    let mut sum = 0;
    for i in 0..OBJECTS as u64 {
        sum += B::read(black_box(&boxes.boxed(object(i))));
    }
    sum
}

/// Box [`OBJECTS`], then drop them all. `live` is kept by the caller: its growth is not measured.
#[inline(never)]
pub fn fill_and_drain<B: Boxes>(boxes: &B, live: &mut Vec<B::Box>) -> u64 {
    let mut sum = 0;
    for i in 0..OBJECTS as u64 {
        live.push(boxes.boxed(object(i)));
    }
    for boxed in live.drain(..) {
        sum += B::read(&boxed);
    }
    sum
}

/// Objects a batch, and batches, of [`producer_consumer`].
pub const BATCH: usize = 256;
/// Batches a pass.
pub const BATCHES: usize = 400;

/// One thread boxes, the other drops. The vectors that carry the boxes go back and forth, so that they cost nothing.
pub struct Consumer<B: Boxes> {
    to: mpsc::SyncSender<Vec<B::Box>>,
    back: mpsc::Receiver<(Vec<B::Box>, u64)>,
}

/// Starts a consumer, runs `f` with it, and stops it.
pub fn with_consumer<B: Boxes, R>(f: impl FnOnce(Consumer<B>) -> R) -> R {
    std::thread::scope(|scope| {
        let (to, work) = mpsc::sync_channel::<Vec<B::Box>>(8);
        let (done, back) = mpsc::sync_channel(64);
        for _ in 0..16 {
            done.send((Vec::with_capacity(BATCH), 0)).expect("open");
        }
        scope.spawn(move || {
            for mut batch in work {
                let sum = batch.drain(..).map(|boxed| B::read(&boxed)).sum();
                if done.send((batch, sum)).is_err() {
                    break;
                }
            }
        });
        f(Consumer { to, back })
    })
}

/// [`BATCHES`] batches through a consumer.
pub fn producer_consumer<B: Boxes>(boxes: &B, consumer: &Consumer<B>) -> u64 {
    let mut sum = 0;
    for batch in 0..BATCHES {
        let (mut carrier, part) = consumer.back.recv().expect("open");
        sum += part;
        carrier.extend((0..BATCH).map(|i| boxes.boxed(object((batch * BATCH + i) as u64))));
        consumer.to.send(carrier).expect("open");
    }
    sum
}
