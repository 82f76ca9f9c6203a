//! What others read: published values by handle, and whole frames handed over.

use std::collections::VecDeque;
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use framealloc::{FrameHandle, SealedFrame, SmartAlloc};

use crate::contender;
use crate::row::{Group, Row};

/// Values in a pass.
const VALUES: usize = 1_000;
/// A step through a table of so many entries that comes to each.
const STEP: usize = 617;
/// How often each value is read where reading is the work.
const READINGS: usize = 16;
/// Frames in a pass where whole frames are handed over.
const FRAMES: u64 = 32;
/// Numbers in such a frame.
const NUMBERS: u64 = 100_000;
/// Frames that may wait for the reader.
const WAITING: usize = 2;

type Value = [u64; 4];

/// Published, and read by handle.
const HANDLES: &str = "framealloc, handles";
/// References in the frame that made them, which cannot leave it.
const REFERENCES: &str = "framealloc, references";
/// The same in bumpalo.
const BUMPALO_REFERENCES: &str = "bumpalo, references";
/// What one uses without an arena.
const ARC: &str = "system, Arc";
/// What one uses without an arena, and without sharing.
const BOX: &str = "system, Box";
/// A sealed frame.
const SEALED: &str = "framealloc, sealed frames";
/// A `Bump` moved with a pointer into it.
const BUMPS: &str = "bumpalo, Bumps in turns";
/// A `Vec` for each frame, freed by the reader.
const VECS: &str = "system, Vec made anew";
/// A `Vec` that the reader sends back.
const VECS_BACK: &str = "system, Vecs in turns";

/// What a table of what was made is filled with, and read in another order.
///
/// In all contenders the table is a `Vec` made for the pass, because some of what it holds does not outlive it.
macro_rules! table {
    ($readings:expr, |$i:ident| $make:expr, |$entry:ident| $get:expr) => {{
        let mut table = Vec::with_capacity(VALUES);
        for $i in 0..VALUES {
            table.push($make);
        }
        let table = black_box(table);
        let mut sum = 0u64;
        for i in 0..VALUES * $readings {
            let $entry = &table[i * STEP % VALUES];
            sum += $get;
        }
        sum
    }};
}

#[inline(always)]
fn value(i: usize) -> Value {
    let i = i as u64;
    [i, i + 1, i + 2, i + 3]
}

#[inline(always)]
fn read(value: &Value) -> u64 {
    value[3]
}

fn values<const READINGS: usize>(id: &'static str, work: &'static str, unit: &'static str) -> Row {
    Row {
        id,
        group: Group::Handles,
        work,
        unit,
        operations: (VALUES * READINGS) as u64,
        contenders: vec![
            contender!(HANDLES, SmartAlloc::default(), |alloc| {
                alloc.begin_frame();
                let sum = table!(READINGS, |i| alloc.publish(value(i)), |handle| read(
                    alloc.get(*handle).expect("this frame's")
                ));
                alloc.end_frame();
                sum
            }),
            pass!(named REFERENCES, frame, |frame| table!(READINGS, |i| &*frame.alloc(value(i)), |entry| read(entry))),
            pass!(reset BUMPALO_REFERENCES, bumpalo::Bump::new(), |bump| {
                table!(READINGS, |i| &*bump.alloc(value(i)), |entry| read(entry))
            }),
            contender!(ARC, (), |_none| table!(READINGS, |i| Arc::new(value(i)), |entry| read(entry))),
            contender!(BOX, (), |_none| table!(READINGS, |i| Box::new(value(i)), |entry| read(entry))),
        ],
        bars: Vec::new(),
    }
}

/// 0 to 64 elements: what comes next cannot be guessed.
static LENGTHS: [usize; VALUES] = super::lengths(64);
static SOURCE: [u32; 64] = [7; 64];

#[inline(always)]
fn read_slice(slice: &[u32]) -> u64 {
    slice.len() as u64 + slice.last().copied().map_or(0, u64::from)
}

fn slices() -> Row {
    Row {
        id: "publish-slices",
        group: Group::Handles,
        work: "1,000 slices of 0 to 64 `u32`s: copied, kept in a table, each read once in another order",
        unit: "slice",
        operations: VALUES as u64,
        contenders: vec![
            contender!(HANDLES, SmartAlloc::default(), |alloc| {
                alloc.begin_frame();
                let lengths = black_box(&LENGTHS);
                let sum = table!(1, |i| alloc.publish_slice_copy(&SOURCE[..lengths[i]]), |handle| read_slice(
                    alloc.get(*handle).expect("this frame's")
                ));
                alloc.end_frame();
                sum
            }),
            pass!(named REFERENCES, frame, |frame| {
                let lengths = black_box(&LENGTHS);
                table!(1, |i| &*frame.alloc_slice_copy(&SOURCE[..lengths[i]]), |entry| read_slice(entry))
            }),
            pass!(reset BUMPALO_REFERENCES, bumpalo::Bump::new(), |bump| {
                let lengths = black_box(&LENGTHS);
                table!(1, |i| &*bump.alloc_slice_copy(&SOURCE[..lengths[i]]), |entry| read_slice(entry))
            }),
            contender!(ARC, (), |_none| {
                let lengths = black_box(&LENGTHS);
                table!(1, |i| Arc::<[u32]>::from(&SOURCE[..lengths[i]]), |entry| read_slice(entry))
            }),
            contender!(BOX, (), |_none| {
                let lengths = black_box(&LENGTHS);
                table!(1, |i| Box::<[u32]>::from(&SOURCE[..lengths[i]]), |entry| read_slice(entry))
            }),
        ],
        bars: Vec::new(),
    }
}

/// One frame's memory, on its way to who reads it.
trait Parcel: Send + 'static {
    fn numbers(&self) -> &[u64];
}

struct Sealed(SealedFrame, FrameHandle<[u64]>);

impl Parcel for Sealed {
    fn numbers(&self) -> &[u64] {
        self.0.get(self.1).expect("of the frame it was published in")
    }
}

/// A `Bump` and a slice in it.
struct Moved(bumpalo::Bump, NonNull<[u64]>);

// SAFETY: the slice lies in the arena, which is moved with it, and nobody else has either.
unsafe impl Send for Moved {}

impl Parcel for Moved {
    fn numbers(&self) -> &[u64] {
        // SAFETY: the arena was not reset since it made the slice.
        unsafe { self.1.as_ref() }
    }
}

impl Parcel for Vec<u64> {
    fn numbers(&self) -> &[u64] {
        self
    }
}

/// A thread that reads what it is sent.
struct Reader<P> {
    parcels: Option<SyncSender<P>>,
    sums: Receiver<(u64, Option<P>)>,
    thread: Option<JoinHandle<()>>,
}

impl<P: Parcel> Reader<P> {
    /// A reader that drops what it has read, or sends it back.
    fn new(sends_back: bool) -> Self {
        let (parcels, sent) = sync_channel::<P>(WAITING);
        let (back, sums) = sync_channel(FRAMES as usize);
        let thread = thread::spawn(move || {
            for parcel in sent {
                let sum = parcel.numbers().iter().sum();
                back.send((sum, sends_back.then_some(parcel))).expect("whoever waits is there");
            }
        });
        Self { parcels: Some(parcels), sums, thread: Some(thread) }
    }

    /// Has a pass's frames read, each made by `make` of one that came back; the sum of what was read.
    fn pass(&self, idle: &mut VecDeque<P>, mut make: impl FnMut(u64, Option<P>) -> P) -> u64 {
        let take = |(sum, parcel): (u64, Option<P>), idle: &mut VecDeque<P>| {
            idle.extend(parcel);
            sum
        };
        let parcels = self.parcels.as_ref().expect("open until it is dropped");
        let (mut sum, mut read) = (0, 0);
        for frame in 0..FRAMES {
            while let Ok(answer) = self.sums.try_recv() {
                sum += take(answer, idle);
                read += 1;
            }
            parcels.send(make(frame, idle.pop_front())).expect("the reader stays");
        }
        for answer in self.sums.iter().take(FRAMES as usize - read) {
            sum += take(answer, idle);
        }
        sum
    }
}

impl<P> Drop for Reader<P> {
    fn drop(&mut self) {
        self.parcels = None;
        if let Some(thread) = self.thread.take() {
            // What went wrong in it was seen by `pass`.
            drop(thread.join());
        }
    }
}

/// Two threads take part: not counted, and so among the rows of threads.
fn handed_over() -> Row {
    Row {
        id: "hand-over",
        group: Group::Threads,
        work: "32 frames of 100,000 `u64`s, each read by another thread while the next is made",
        unit: "frame",
        operations: FRAMES,
        contenders: vec![
            contender!(SEALED, (SmartAlloc::default(), Reader::<Sealed>::new(false), VecDeque::new()), |state| {
                let (alloc, reader, idle) = &mut state;
                reader.pass(idle, |frame, _none| {
                    alloc.begin_frame();
                    let numbers = alloc.publish_slice_fill_with(NUMBERS as usize, |i| i as u64 + frame);
                    Sealed(alloc.seal_frame(), numbers)
                })
            }),
            contender!(BUMPS, (Reader::<Moved>::new(true), VecDeque::new()), |state| {
                let (reader, idle) = &mut state;
                reader.pass(idle, |frame, back| {
                    let mut bump = back.map(|moved| moved.0).unwrap_or_default();
                    bump.reset();
                    let numbers = NonNull::from(bump.alloc_slice_fill_with(NUMBERS as usize, |i| i as u64 + frame));
                    Moved(bump, numbers)
                })
            }),
            contender!(VECS, (Reader::<Vec<u64>>::new(false), VecDeque::new()), |state| {
                let (reader, idle) = &mut state;
                reader.pass(idle, |frame, _none| (0..NUMBERS).map(|i| i + frame).collect())
            }),
            contender!(VECS_BACK, (Reader::<Vec<u64>>::new(true), VecDeque::new()), |state| {
                let (reader, idle) = &mut state;
                reader.pass(idle, |frame, back| {
                    let mut vec = back.unwrap_or_default();
                    vec.clear();
                    vec.extend((0..NUMBERS).map(|i| i + frame));
                    vec
                })
            }),
        ],
        bars: Vec::new(),
    }
}

/// The same on one thread, with little in each frame: what sealing itself costs.
fn sealed() -> Row {
    const SEALS: u64 = 1_000;
    const SMALL: usize = 16;
    Row {
        id: "seal",
        group: Group::Handles,
        work: "1,000 frames of 16 `u64`s: made, set apart, read, freed",
        unit: "frame",
        operations: SEALS,
        contenders: vec![
            contender!(SEALED, SmartAlloc::default(), |alloc| {
                let mut sum = 0;
                for frame in 0..SEALS {
                    alloc.begin_frame();
                    let numbers = alloc.publish_slice_fill_with(SMALL, |i| i as u64 + frame);
                    let sealed = black_box(Sealed(alloc.seal_frame(), numbers));
                    sum += sealed.numbers().iter().sum::<u64>();
                }
                sum
            }),
            contender!(BUMPS, VecDeque::from([bumpalo::Bump::new(), bumpalo::Bump::new()]), |idle| {
                let mut sum = 0;
                for frame in 0..SEALS {
                    let bump = idle.pop_front().unwrap_or_default();
                    let numbers = NonNull::from(bump.alloc_slice_fill_with(SMALL, |i| i as u64 + frame));
                    let mut moved = black_box(Moved(bump, numbers));
                    sum += moved.numbers().iter().sum::<u64>();
                    moved.0.reset();
                    idle.push_back(moved.0);
                }
                sum
            }),
            contender!(VECS, (), |_none| {
                let mut sum = 0;
                for frame in 0..SEALS {
                    let vec: Vec<u64> = black_box((0..SMALL as u64).map(|i| i + frame).collect());
                    sum += vec.iter().sum::<u64>();
                }
                sum
            }),
        ],
        bars: Vec::new(),
    }
}

/// The rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    vec![
        values::<1>("publish", "1,000 `[u64; 4]`s: made, kept in a table, each read once in another order", "value"),
        values::<READINGS>("publish-read", "1,000 `[u64; 4]`s: made, kept in a table, each read 16 times", "reading"),
        slices(),
        sealed(),
        handed_over(),
    ]
}
