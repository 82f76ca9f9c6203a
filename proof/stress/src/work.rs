//! One thread's turn in a frame: a number of operations on two allocators, each checked when it is done and again at the end.

use std::alloc::Layout;
use std::ops::AddAssign;

use framealloc_core::{Frame, FrameBox, FrameDeque, FrameMap, FrameString, FrameVec, SmartAlloc};

use crate::board::{Board, Posted};
use crate::parcel::{Counted, Exchange, Parcel};
use crate::random::Random;

/// Operations of one turn.
pub const OPERATIONS: usize = 120;

/// An allocator in one frame, as a worker sees it.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub alloc: &'a SmartAlloc,
    /// What this frame published.
    pub board: &'a Board,
    /// What the frame before published, and whether it is still in flight.
    pub before: &'a [Posted],
    pub keeps: bool,
}

/// What was done, by one thread or by all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub operations: u64,
    pub blocks: u64,
    pub published: u64,
    pub read: u64,
    pub stale: u64,
    pub packed: u64,
    pub fetched: u64,
    /// Bytes that stay handed out until the frame ends, for each of the two allocators.
    pub bytes: [usize; 2],
    /// Values with a destructor published in each of them.
    pub counted: [usize; 2],
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.blocks += other.blocks;
        self.published += other.published;
        self.read += other.read;
        self.stale += other.stale;
        self.packed += other.packed;
        self.fetched += other.fetched;
        for at in 0..2 {
            self.bytes[at] += other.bytes[at];
            self.counted[at] += other.counted[at];
        }
    }
}

/// What a thread holds in a frame, with the mark that it is filled with.
enum Held<'f> {
    Slice(&'f mut [u64]),
    Vec(FrameVec<'f, u64>),
    Deque(FrameDeque<'f, u64>),
    Map(FrameMap<'f, u64, u64>),
    Text(FrameString<'f>),
    Boxed(FrameBox<'f, Counted>),
    Columns((FrameBox<'f, [u64]>, FrameBox<'f, [u8]>)),
    Bytes(&'f mut [u8], usize),
}

impl Held<'_> {
    fn check(&self, mark: u64) {
        let is_right = match self {
            Self::Slice(words) => words.iter().all(|&word| word == mark),
            Self::Vec(words) => words.iter().all(|&word| word == mark),
            Self::Deque(words) => words.iter().all(|&word| word == mark),
            Self::Map(map) => map.iter().all(|(&key, &value)| key ^ value == mark),
            Self::Text(text) => text.as_bytes().chunks(16).all(|part| part == format!("{mark:016x}").as_bytes()),
            Self::Boxed(counted) => return counted.check(mark),
            Self::Columns((words, bytes)) => {
                words.len() == bytes.len()
                    && words.iter().all(|&word| word == mark)
                    && bytes.iter().all(|&byte| byte == mark as u8)
            }
            Self::Bytes(bytes, align) => {
                bytes.as_ptr().addr().is_multiple_of(*align) && bytes.iter().all(|&byte| byte == mark as u8)
            }
        };
        assert!(is_right, "frame memory changed");
    }

    /// More of the same, at the end.
    fn grow(&mut self, mark: u64, by: usize) {
        match self {
            Self::Vec(words) => (0..by).for_each(|_| words.push(mark)),
            Self::Deque(words) => {
                (0..by).for_each(|at| if at % 2 == 0 { words.push_back(mark) } else { words.push_front(mark) });
            }
            Self::Map(map) => (0..by as u64).for_each(|at| _ = map.insert(at * 7, (at * 7) ^ mark)),
            Self::Text(text) => (0..by).for_each(|_| text.push_str(&format!("{mark:016x}"))),
            Self::Slice(_) | Self::Boxed(_) | Self::Columns(_) | Self::Bytes(..) => (),
        }
    }
}

/// One thread's turn.
pub fn turn(places: [Place<'_>; 2], exchange: &Exchange, random: &mut Random) -> Counts {
    let mut counts = Counts::default();
    let mut held: Vec<(Held<'_>, u64)> = Vec::new();
    for _ in 0..OPERATIONS {
        counts.operations += 1;
        let at = random.below(2);
        let place = places[at];
        match random.below(16) {
            0..6 => {
                let mark = random.next();
                let (block, bytes) = take(place.alloc, mark, random);
                counts.blocks += 1;
                counts.bytes[at] += bytes;
                held.push((block, mark));
            }
            6 | 7 => {
                if !held.is_empty() {
                    let chosen = random.below(held.len());
                    let (block, mark) = &mut held[chosen];
                    block.grow(*mark, random.below(30));
                    block.check(*mark);
                }
            }
            8 => {
                if !held.is_empty() {
                    let (block, mark) = held.swap_remove(random.below(held.len()));
                    block.check(mark);
                }
            }
            9 | 10 => {
                let posted = Posted::publish(place.alloc, random);
                posted.check(place.alloc);
                counts.published += 1;
                counts.counted[at] += usize::from(posted.is_counted());
                place.board.post(posted);
            }
            11 => {
                // Drawn whatever the others have done by now, so that what comes next is the same in each run.
                let choice = random.below(1 << 20);
                if let Some(posted) = place.board.any(choice) {
                    posted.check(place.alloc);
                    posted.check_stale(places[1 - at].alloc);
                    counts.read += 1;
                }
                if !place.before.is_empty() {
                    let posted = place.before[choice % place.before.len()];
                    if place.keeps {
                        posted.check(place.alloc);
                        counts.read += 1;
                    } else {
                        posted.check_stale(place.alloc);
                        counts.stale += 1;
                    }
                }
            }
            12 | 13 => {
                exchange.leave(Parcel::pack(place.alloc, random));
                counts.packed += 1;
                let goes_round = random.once_in(4);
                if let Some(parcel) = exchange.fetch() {
                    parcel.check();
                    counts.fetched += 1;
                    // Freed here, whichever thread it came from; some go round again.
                    if goes_round {
                        exchange.leave(parcel);
                    }
                }
            }
            14 => scratches(place.alloc, random, 1 + random.clone().below(3)),
            _ => sidelines(place.alloc, exchange, random),
        }
    }
    for (block, mark) in &held {
        block.check(*mark);
    }
    counts
}

/// A block of some kind; the bytes of it that stay until the frame ends.
fn take<'f>(alloc: &'f SmartAlloc, mark: u64, random: &mut Random) -> (Held<'f>, usize) {
    let frame = alloc.frame();
    let len = random.below(60);
    match random.below(12) {
        0 => (Held::Vec(frame.vec_with_capacity(len)), 0),
        1 => (Held::Vec(frame.collect((0..len).map(|_| mark))), 0),
        2 => (Held::Deque(frame.deque()), 0),
        3 => (Held::Map(frame.map()), 0),
        4 => (Held::Text(frame.string()), 0),
        5 => (Held::Boxed(frame.alloc_box(Counted::new(mark))), 0),
        6 => {
            let (mut words, mut bytes) = frame.columns::<(u64, u8)>(len);
            words.fill(mark);
            bytes.fill(mark as u8);
            (Held::Columns((words, bytes)), 9 * len)
        }
        7 => {
            let align = 1 << random.below(13);
            (Held::Bytes(frame.alloc_slice_aligned_with(len, align, |_| mark as u8), align), len)
        }
        8 if random.once_in(8) => {
            // Above the largest chunk: a chunk of its own.
            (Held::Slice(frame.alloc_slice_fill(20_000, mark)), 160_000)
        }
        9 => {
            let words = frame.alloc_uninit::<[u64; 20]>().write([mark; 20]);
            (Held::Slice(&mut words[..]), 160)
        }
        10 => (by_tag(alloc, mark, len), 8 * len),
        _ => (Held::Slice(frame.alloc_slice_fill(len, mark)), 8 * len),
    }
}

fn by_tag(alloc: &SmartAlloc, mark: u64, len: usize) -> Held<'_> {
    let words = alloc.with_tag("outer", |alloc| {
        alloc.with_tag("inner", |alloc| drop(alloc.frame().vec_with_capacity::<u64>(len)));
        alloc.frame().alloc_slice_fill(len, mark)
    });
    Held::Slice(words)
}

/// Scratch arenas in each other, with the frame used in between.
fn scratches(alloc: &SmartAlloc, random: &mut Random, depth: usize) {
    let mark = random.next();
    let scratch = alloc.scratch();
    let mut words = scratch.vec();
    for _ in 0..random.below(200) {
        words.push(mark);
    }
    let boxed = scratch.alloc_box(Counted::new(mark));
    alloc.frame().alloc(mark);
    if depth > 0 {
        scratches(alloc, random, depth - 1);
    }
    assert!(words.iter().all(|&word| word == mark), "scratch memory changed");
    boxed.check(mark);
}

/// What is done now and then: promotion, layouts, an allocator of the thread's own, giving memory back.
fn sidelines(alloc: &SmartAlloc, exchange: &Exchange, random: &mut Random) {
    let mark = random.next();
    match random.below(6) {
        0 => {
            let found = alloc.frame_box(Counted::new(mark));
            exchange.leave(Parcel::Counted(alloc.promote(found), mark));
        }
        1 => {
            let layout = Layout::from_size_align(random.below(500), 1 << random.below(8)).expect("a small layout");
            assert_eq!(alloc.frame_alloc_layout(layout).addr().get() % layout.align(), 0);
        }
        2 => {
            // Its pool's objects outlive it, and die wherever they are fetched.
            let mut own = SmartAlloc::default();
            own.publish(Counted::new(mark));
            exchange.leave(Parcel::pack(&own, random));
            let sealed = own.seal_frame();
            exchange.leave(Parcel::pack(&own, random));
            drop(own);
            drop(sealed);
        }
        3 => {
            alloc.pool().trim();
        }
        4 => forgotten(alloc.frame(), mark),
        _ => {
            // Figures of the last boundary, and counters that others change meanwhile.
            let stats = alloc.stats();
            assert!(stats.last_frame.refused == 0 && stats.last_frame.frame < stats.frame, "{stats:?}");
        }
    }
}

/// Guards that are forgotten: what they hold is lost until the frame ends, and nothing else happens.
fn forgotten(frame: Frame<'_>, mark: u64) {
    let mut words = frame.vec();
    words.extend([mark; 9]);
    std::mem::forget(words);
    std::mem::forget(frame.alloc_box(mark));
    let mut list = frame.collect([mark; 5]);
    std::mem::forget(list.drain(1..3));
    assert!(list.iter().all(|&word| word == mark));
}
