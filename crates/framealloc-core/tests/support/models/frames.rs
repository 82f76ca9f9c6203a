//! Frames in flight and handles: what a handle names is there exactly as long as its frame is the current one, in the ring, or
//! sealed; what was published is dropped once, when its frame is reclaimed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use framealloc_core::{AllocConfig, FrameHandle, SealedFrame, SmartAlloc, StaleHandle};

use super::vault::Vault;
use super::{Program, Record, index, size};

/// A step of a program of frames.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Publish {
        what: u16,
        len: usize,
        elsewhere: bool,
    },
    /// Frame memory that nobody publishes.
    Fill {
        len: usize,
    },
    Forget {
        len: usize,
    },
    Get {
        handle: u16,
        elsewhere: bool,
    },
    GetSealed {
        sealed: u16,
        handle: u16,
    },
    Begin,
    End,
    Seal,
    DropSealed {
        sealed: u16,
        elsewhere: bool,
    },
    /// Publishes a sealed frame in the current one.
    PublishSealed {
        sealed: u16,
    },
    Trim,
    Stats,
}

impl From<Record> for Step {
    fn from(record: Record) -> Self {
        let Record { kind, a, b, c } = record;
        // A thread takes long to start.
        let elsewhere = b >= 250;
        // What lies in a frame has a destructor and a counter each: not too many.
        let len = size(a) % 600;
        match kind % 32 {
            0..=9 => Self::Publish { what: c, len, elsewhere },
            10..=12 => Self::Fill { len: size(a) },
            13 => Self::Forget { len: size(a) },
            14..=17 => Self::Get { handle: c, elsewhere },
            18 | 19 => Self::GetSealed { sealed: a, handle: c },
            20 => Self::Begin,
            21..=24 => Self::End,
            25 | 26 => Self::Seal,
            27 | 28 => Self::DropSealed { sealed: c, elsewhere },
            29 => Self::PublishSealed { sealed: c },
            30 => Self::Trim,
            _ => Self::Stats,
        }
    }
}

/// A value whose drops are counted.
struct Counted {
    drops: Arc<AtomicUsize>,
    value: u64,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

/// Something published, by its handle.
#[derive(Clone, Copy)]
enum Named {
    Word(FrameHandle<u64>),
    Words(FrameHandle<[u64]>),
    Text(FrameHandle<str>),
    One(FrameHandle<Counted>),
    Many(FrameHandle<[Counted]>),
    Sealed(FrameHandle<SealedFrame>),
}

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Current,
    Ring,
    Sealed,
    /// In another frame, as a value that was published there.
    Inside(usize),
    Gone,
}

struct FrameModel {
    place: Place,
    number: u64,
    /// Values with a destructor, each with its count.
    values: usize,
    drops: Arc<AtomicUsize>,
    /// Sealed frames published in it.
    inside: Vec<usize>,
}

struct Published {
    named: Named,
    frame: usize,
    mark: u64,
    len: usize,
}

struct Model {
    in_flight: u64,
    frames: Vec<FrameModel>,
    published: Vec<Published>,
    number: u64,
}

impl Model {
    fn open(&mut self) {
        self.frames.push(FrameModel {
            place: Place::Current,
            number: self.number,
            values: 0,
            drops: Arc::default(),
            inside: Vec::new(),
        });
    }

    fn current(&self) -> usize {
        self.frames.len() - 1
    }

    /// Values dropped when this frame is reclaimed, what lies in frames inside it not counted.
    fn reclaim(&mut self, frame: usize) -> usize {
        self.frames[frame].place = Place::Gone;
        let inside = std::mem::take(&mut self.frames[frame].inside);
        let own = self.frames[frame].values + inside.len();
        for frame in inside {
            self.reclaim(frame);
        }
        own
    }

    /// A boundary after which the open frame is there; the number of destructors.
    fn boundary(&mut self, to: Place) -> usize {
        let current = self.current();
        self.frames[current].place = to;
        self.number += 1;
        let (now, in_flight) = (self.number, self.in_flight);
        let expired: Vec<_> = (0..self.frames.len())
            .filter(|&at| self.frames[at].place == Place::Ring && self.frames[at].number + in_flight <= now)
            .collect();
        let destructors = expired.into_iter().map(|frame| self.reclaim(frame)).sum();
        self.open();
        destructors
    }

    /// Every value was dropped once if its frame is gone, and is alive if not.
    fn check_drops(&self) {
        for frame in &self.frames {
            let expected = if frame.place == Place::Gone { frame.values } else { 0 };
            assert_eq!(frame.drops.load(Ordering::Relaxed), expected, "drops in a frame that is {:?}", frame.place);
        }
    }
}

fn pattern(mark: u64, at: usize) -> u64 {
    mark.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at as u64
}

fn text(mark: u64, len: usize) -> String {
    (0..len).map(|at| char::from(b'a' + (pattern(mark, at) % 26) as u8)).collect()
}

/// What a handle gives is what was published.
fn compare(published: &Published, get: &impl Get) -> Result<(), StaleHandle> {
    let Published { named, mark, len, .. } = *published;
    match named {
        Named::Word(handle) => assert_eq!(*get.get(handle)?, mark),
        Named::Words(handle) => {
            let words = get.get(handle)?;
            assert!(words.len() == len && words.iter().enumerate().all(|(at, &word)| word == pattern(mark, at)));
        }
        Named::Text(handle) => assert_eq!(get.get(handle)?, text(mark, len)),
        Named::One(handle) => assert_eq!(get.get(handle)?.value, mark),
        Named::Many(handle) => {
            let many = get.get(handle)?;
            assert!(many.len() == len && many.iter().enumerate().all(|(at, one)| one.value == pattern(mark, at)));
        }
        Named::Sealed(handle) => assert_eq!(get.get(handle)?.frame(), mark),
    }
    Ok(())
}

/// What reads handles.
trait Get {
    fn get<T: ?Sized + 'static>(&self, handle: FrameHandle<T>) -> Result<&T, StaleHandle>;
}

impl Get for SmartAlloc {
    fn get<T: ?Sized + 'static>(&self, handle: FrameHandle<T>) -> Result<&T, StaleHandle> {
        SmartAlloc::get(self, handle)
    }
}

impl Get for SealedFrame {
    fn get<T: ?Sized + 'static>(&self, handle: FrameHandle<T>) -> Result<&T, StaleHandle> {
        SealedFrame::get(self, handle)
    }
}

/// Publishes one thing; values with a destructor in it.
fn publish(alloc: &SmartAlloc, what: u16, len: usize, mark: u64, drops: &Arc<AtomicUsize>) -> (Named, usize, usize) {
    let counted = |value| Counted { drops: drops.clone(), value };
    let few = len % 20;
    match what % 8 {
        0 => (Named::Word(alloc.publish(mark)), 0, 0),
        1 => (Named::Words(alloc.publish_slice_fill_with(len, |at| pattern(mark, at))), len, 0),
        2 => {
            let words: Vec<_> = (0..len).map(|at| pattern(mark, at)).collect();
            (Named::Words(alloc.publish_slice_copy(&words)), len, 0)
        }
        3 => {
            let mut vec = alloc.frame_vec();
            (0..len).for_each(|at| vec.push(pattern(mark, at)));
            (Named::Words(alloc.publish_vec(vec)), len, 0)
        }
        4 => (Named::Text(alloc.publish_str(&text(mark, len))), len, 0),
        5 => (Named::One(alloc.publish(counted(mark))), 1, 1),
        6 => {
            let many = (0..few).map(|at| counted(pattern(mark, at))).filter(|_| true);
            (Named::Many(alloc.publish_slice_fill_iter(many)), few, few)
        }
        _ => {
            let mut vec = alloc.frame_vec();
            vec.extend((0..few).map(|at| counted(pattern(mark, at))));
            (Named::Many(alloc.publish_vec(vec)), few, few)
        }
    }
}

pub(crate) fn run(program: &Program<Step>) {
    let Record { kind, a, c, .. } = program.setup;
    let vault = Vault::new(None);
    let in_flight = usize::from(kind % 4) + 1;
    let min = 1024 << (a % 5);
    let mut alloc = SmartAlloc::new(
        AllocConfig::default()
            .with_backend(vault.boxed())
            .with_frame_chunk(min, min << (c % 4))
            .with_frames_in_flight(in_flight),
    );
    let mut model = Model { in_flight: in_flight as u64, frames: Vec::new(), published: Vec::new(), number: 1 };
    model.open();
    // Each with its frame in the model.
    let mut sealed: Vec<(SealedFrame, usize)> = Vec::new();
    for (mark, &step) in (1u64..).zip(&program.steps) {
        let current = model.current();
        match step {
            Step::Publish { what, len, elsewhere } => {
                let drops = &model.frames[current].drops;
                let (named, len, values) = if elsewhere {
                    let (alloc, drops) = (&alloc, drops);
                    thread::scope(|scope| scope.spawn(move || publish(alloc, what, len, mark, drops)).join().unwrap())
                } else {
                    publish(&alloc, what, len, mark, drops)
                };
                model.frames[current].values += values;
                model.published.push(Published { named, frame: current, mark, len });
            }
            Step::Fill { len } => {
                alloc.frame().alloc_slice_fill(len, mark as u8);
                let scratch = alloc.scratch();
                scratch.alloc_slice_fill(len, !mark as u8);
            }
            Step::Forget { len } => {
                let scratch = alloc.scratch();
                scratch.alloc_slice_fill(len, 0xeeu8);
                std::mem::forget(scratch);
                std::mem::forget(alloc.frame_box(mark));
            }
            Step::Get { handle, elsewhere } if !model.published.is_empty() => {
                let published = &model.published[index(handle, model.published.len())];
                let found = if elsewhere {
                    thread::scope(|scope| scope.spawn(|| compare(published, &alloc)).join().unwrap())
                } else {
                    compare(published, &alloc)
                };
                let place = model.frames[published.frame].place;
                assert_eq!(found.is_ok(), matches!(place, Place::Current | Place::Ring), "{place:?}");
                if let Err(stale) = found {
                    assert!(!stale.is_foreign());
                    assert_eq!(stale.handle_frame(), model.frames[published.frame].number);
                }
            }
            Step::GetSealed { sealed: at, handle } if !sealed.is_empty() && !model.published.is_empty() => {
                let (frame, number) = &sealed[index(at, sealed.len())];
                // Often one that is there.
                let own: Vec<_> = model.published.iter().filter(|published| published.frame == *number).collect();
                let published = match own.len() {
                    len if len > 0 && handle.is_multiple_of(2) => own[index(handle / 2, len)],
                    _ => &model.published[index(handle, model.published.len())],
                };
                assert_eq!(compare(published, frame).is_ok(), published.frame == *number);
            }
            Step::Begin => {
                assert_eq!(alloc.begin_frame(), model.number);
            }
            Step::End => {
                let destructors = model.boundary(Place::Ring);
                let stats = alloc.end_frame();
                assert_eq!((stats.frame, stats.destructors), (model.number - 1, destructors));
            }
            Step::Seal => {
                let destructors = model.boundary(Place::Sealed);
                let frame = alloc.seal_frame();
                assert_eq!((frame.frame(), frame.stats().destructors), (model.number - 1, destructors));
                sealed.push((frame, current));
            }
            Step::DropSealed { sealed: at, elsewhere } if !sealed.is_empty() => {
                let (frame, number) = sealed.swap_remove(index(at, sealed.len()));
                model.reclaim(number);
                if elsewhere {
                    thread::spawn(move || drop(frame)).join().unwrap();
                } else {
                    drop(frame);
                }
            }
            Step::PublishSealed { sealed: at } if !sealed.is_empty() => {
                let (frame, inner) = sealed.swap_remove(index(at, sealed.len()));
                let number = frame.frame();
                model.frames[inner].place = Place::Inside(current);
                model.frames[current].inside.push(inner);
                let named = Named::Sealed(alloc.publish(frame));
                model.published.push(Published { named, frame: current, mark: number, len: 0 });
            }
            Step::Trim => {
                let held = vault.live().1;
                let freed = alloc.trim();
                assert_eq!(vault.live().1 + freed, held);
            }
            Step::Stats => {
                let stats = alloc.stats();
                let ring = model.frames.iter().filter(|frame| frame.place == Place::Ring).count();
                assert_eq!((stats.frame, stats.frames_in_flight), (model.number, ring));
                assert_eq!(stats.committed, vault.live().1);
            }
            _ => {}
        }
        model.check_drops();
    }
    // Everything that is to be read still is, and nothing else.
    for published in &model.published {
        let place = model.frames[published.frame].place;
        assert_eq!(compare(published, &alloc).is_ok(), matches!(place, Place::Current | Place::Ring), "{place:?}");
        for (frame, number) in &sealed {
            assert_eq!(compare(published, frame).is_ok(), published.frame == *number);
        }
    }
    // The allocator first or last.
    if kind & 0x80 == 0 {
        drop(alloc);
        for frame in 0..model.frames.len() {
            if matches!(model.frames[frame].place, Place::Current | Place::Ring) {
                model.reclaim(frame);
            }
        }
        model.check_drops();
        for published in &model.published {
            for (frame, number) in &sealed {
                assert_eq!(compare(published, frame).is_ok(), published.frame == *number);
            }
        }
        drop(sealed);
    } else {
        drop(sealed);
        drop(alloc);
    }
    for frame in &mut model.frames {
        frame.place = Place::Gone;
    }
    model.check_drops();
    assert_eq!(vault.live(), (0, 0), "all memory goes back");
}
