//! The frame's own beginning and end, apart from what is allocated in between.

use std::alloc::Layout;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError, RwLock};

use bump_scope::traits::BumpAllocatorTyped;
use bump_scope::{BumpBox, BumpPool};
use framealloc::{AllocConfig, SmartAlloc};
use memkit::MkAllocator;

use super::crew::Crew;
use super::names::*;
use crate::contender;
use crate::row::{Bar, Contender, Figure, Group, Row, aside};

/// Frames in a pass.
const FRAMES: u64 = 1_000;
/// Allocators in a pass where each thread has a part in each of them.
const ALLOCATORS: usize = 32;
/// Allocators made in a pass.
const COLD: u64 = 100;
/// A part of a large frame, and how many there are of it: 1 MB in all.
const PART: Layout = match Layout::from_size_align(256 << 10, 8) {
    Ok(layout) => layout,
    Err(_) => panic!("a valid layout"),
};
const PARTS: usize = 4;

/// A `Bump` for each thread, all reset by one of them.
const BUMPALO_EACH: &str = "bumpalo, a Bump for each thread";
/// `SmartAlloc`.
const SMART: &str = "framealloc SmartAlloc";

/// A contender: an arena in which something was allocated once, so that it has a chunk; then in each frame of a pass what
/// `$body` does, and the frame's end.
macro_rules! frames {
    ($name:expr, $new:expr, |$arena:ident| $body:expr, $reset:expr) => {
        contender!(
            $name,
            {
                let mut $arena = $new;
                black_box($body);
                $reset;
                $arena
            },
            |$arena| {
                let mut sum = 0u64;
                for _ in 0..FRAMES {
                    sum += $body;
                    $reset;
                    black_box(&mut $arena);
                }
                sum
            }
        )
    };
}

fn row(id: &'static str, work: &'static str, contenders: Vec<Contender>, bars: Vec<Bar>) -> Row {
    Row { id, group: Group::Boundary, work, unit: "frame", operations: FRAMES, contenders, bars }
}

/// Whether a frame allocates: in a pass's frames none does, but the one before all has.
struct First(bool);

impl First {
    fn is_due(&mut self) -> bool {
        std::mem::take(&mut self.0)
    }
}

fn empty() -> Row {
    row(
        "frame-empty",
        "1,000 frames in which nothing is allocated, in arenas that have a chunk",
        vec![
            frames!(
                SMART,
                (SmartAlloc::default(), First(true)),
                |state| {
                    state.0.begin_frame();
                    if state.1.is_due() { *state.0.frame().alloc(0) } else { 0 }
                },
                state.0.end_frame()
            ),
            frames!(
                ARENA,
                (framealloc::Arena::new(), First(true)),
                |state| if state.1.is_due() { *state.0.alloc(0) } else { 0 },
                state.0.reset()
            ),
            frames!(
                BUMPALO,
                (bumpalo::Bump::new(), First(true)),
                |state| if state.1.is_due() { *state.0.alloc(0) } else { 0 },
                state.0.reset()
            ),
            frames!(
                BUMP_SCOPE,
                (super::Scope::new(), First(true)),
                |state| if state.1.is_due() { *state.0.alloc(0) } else { 0 },
                state.0.reset()
            ),
            frames!(
                BLINK,
                (blink_alloc::Blink::new(), First(true)),
                |state| if state.1.is_due() { *state.0.put_no_drop(0) } else { 0 },
                state.0.reset()
            ),
            frames!(
                MULTITUDE,
                (multitude::Arena::new(), First(true)),
                |state| if state.1.is_due() { *state.0.alloc(0) } else { 0 },
                state.0.reset()
            ),
            frames!(
                MEMKIT,
                (MkAllocator::with_defaults(), First(true)),
                |state| {
                    state.0.begin_frame();
                    if state.1.is_due() { state.0.frame_alloc::<u64>().is_null().into() } else { 0 }
                },
                state.0.end_frame()
            ),
        ],
        vec![Bar { ours: SMART, rivals: &[], figure: Figure::Count, at_most: 200.0 }],
    )
}

fn one_value() -> Row {
    row(
        "frame-small",
        "1,000 frames in which a `u64` is allocated",
        vec![
            frames!(
                SMART,
                SmartAlloc::default(),
                |alloc| {
                    alloc.begin_frame();
                    *black_box(alloc.frame().alloc(1))
                },
                alloc.end_frame()
            ),
            frames!(ARENA, framealloc::Arena::new(), |arena| *black_box(arena.alloc(1)), arena.reset()),
            frames!(BUMPALO, bumpalo::Bump::new(), |bump| *black_box(bump.alloc(1)), bump.reset()),
            frames!(BUMP_SCOPE, super::Scope::new(), |bump| *black_box(bump.alloc(1)), bump.reset()),
            frames!(BLINK, blink_alloc::Blink::new(), |blink| *black_box(blink.put_no_drop(1)), blink.reset()),
            frames!(MULTITUDE, multitude::Arena::new(), |arena| *black_box(arena.alloc(1)), arena.reset()),
        ],
        vec![Bar { ours: SMART, rivals: &[], figure: Figure::Count, at_most: 200.0 }],
    )
}

/// So many blocks, of which only the first bytes are touched: what remains is what is around them.
macro_rules! touched {
    ($count:expr, $alloc:expr) => {{
        let mut sum = 0;
        for _ in 0..$count {
            let block: std::ptr::NonNull<u8> = $alloc;
            // SAFETY: just handed out, longer than a byte, and nobody else's.
            unsafe { block.write(1) };
            // SAFETY: as above, and written.
            sum += u64::from(unsafe { black_box(block).read() });
        }
        sum
    }};
}

fn large() -> Row {
    row(
        "frame-1mb",
        "1,000 frames of four blocks of 256 KiB, of which only the first byte is written",
        vec![
            frames!(
                SMART,
                SmartAlloc::default(),
                |alloc| {
                    alloc.begin_frame();
                    let frame = alloc.frame();
                    touched!(PARTS, frame.alloc_layout(PART))
                },
                alloc.end_frame()
            ),
            frames!(ARENA, framealloc::Arena::new(), |arena| touched!(PARTS, arena.alloc_layout(PART)), arena.reset()),
            frames!(BUMPALO, bumpalo::Bump::new(), |bump| touched!(PARTS, bump.alloc_layout(PART)), bump.reset()),
            frames!(BUMP_SCOPE, super::Scope::new(), |bump| touched!(PARTS, bump.allocate_layout(PART)), bump.reset()),
            frames!(
                BLINK,
                blink_alloc::BlinkAlloc::new(),
                |blink| touched!(PARTS, blink.allocate(PART).expect("memory").cast()),
                blink.reset()
            ),
        ],
        Vec::new(),
    )
}

/// The values of a new allocator's only frame.
macro_rules! cold {
    ($name:expr, $new:expr, |$arena:ident, $value:ident| $alloc:expr) => {
        contender!($name, (), |_none| {
            let mut sum = 0;
            for _ in 0..COLD {
                let $arena = $new;
                for $value in 0..16u64 {
                    sum += *black_box($alloc);
                }
            }
            sum
        })
    };
}

fn cold() -> Row {
    Row {
        id: "frame-cold",
        group: Group::Boundary,
        work: "100 allocators made, 16 `u64`s allocated in each, and dropped; the heap is warm, and has their memory at hand",
        unit: "allocator",
        operations: COLD,
        contenders: vec![
            cold!(SMART, SmartAlloc::default(), |alloc, value| alloc.frame().alloc(value)),
            cold!(ARENA, framealloc::Arena::new(), |arena, value| arena.alloc(value)),
            cold!(BUMPALO, bumpalo::Bump::new(), |bump, value| bump.alloc(value)),
            cold!(BUMP_SCOPE, super::Scope::new(), |bump, value| bump.alloc(value)),
            cold!(BLINK, blink_alloc::Blink::new(), |blink, value| blink.put_no_drop(value)),
            cold!(MULTITUDE, multitude::Arena::new(), |arena, value| arena.alloc(value)),
        ],
        bars: Vec::new(),
    }
}

/// Frames of [`ended`] in a pass: each is of an allocator of its own, so that one's end can be counted without its making.
const ENDED: usize = 8;

/// The end of a frame and the beginning of the next one, apart from what was allocated in between.
fn ended(id: &'static str, work: &'static str, contenders: Vec<Contender>) -> Row {
    let bar = Bar { ours: SMART, rivals: &[], figure: Figure::Count, at_most: 200.0 };
    Row { operations: ENDED as u64, ..row(id, work, contenders, vec![bar]) }
}

/// A contender of [`ended`].
macro_rules! ended {
    ($name:expr, $new:expr, |$arena:ident| $fill:expr, $end:expr) => {
        contender!($name, std::iter::repeat_with(|| $new).take(ENDED).collect::<Vec<_>>(), |arenas| {
            let mut sum = 0u64;
            aside(|| {
                for $arena in &arenas {
                    sum += $fill;
                }
            });
            for $arena in &mut arenas {
                $end;
                black_box(&mut *$arena);
            }
            sum
        })
    };
}

/// The rows of [`ended`] for something that is allocated.
macro_rules! ended_after {
    ($id:literal, $work:literal, |$arena:ident| $fill:expr) => {
        ended(
            $id,
            $work,
            vec![
                ended!(
                    SMART,
                    SmartAlloc::default(),
                    |alloc| {
                        let $arena = alloc.frame();
                        $fill
                    },
                    {
                        alloc.end_frame();
                        alloc.begin_frame();
                    }
                ),
                ended!(ARENA, framealloc::Arena::new(), |$arena| $fill, $arena.reset()),
                ended!(BUMPALO, bumpalo::Bump::new(), |$arena| $fill, $arena.reset()),
            ],
        )
    };
}

/// So many `u64`s.
macro_rules! values {
    ($arena:ident, $count:expr) => {
        (0..$count).map(|value| *black_box($arena.alloc(value))).sum::<u64>()
    };
}

fn ended_rows() -> [Row; 3] {
    [
        ended_after!(
            "frame-end-10",
            "the end of a frame, and the next one's beginning, after 10 `u64`s",
            |arena| values!(arena, 10u64)
        ),
        ended_after!("frame-end-30000", "the same after 30,000 `u64`s", |arena| values!(arena, 30_000u64)),
        ended_after!("frame-end-16mb", "the same after 256 blocks of 64 KiB: 16 MB", |arena| {
            let layout = Layout::from_size_align(64 << 10, 8).expect("a valid layout");
            let parts = (0..256).map(|_| black_box(arena.alloc_layout(layout)));
            parts.map(|part| part.addr().get() as u64 % 8).sum::<u64>()
        }),
    ]
}

/// Bytes of the chunk of [`first`], more than what a heap keeps at hand: it is mapped anew each time.
const FRESH: usize = 64 << 20;
/// Pages of it that are touched.
const PAGES: u64 = 256;

/// A page, of which a byte is touched.
const PAGE: Layout = match Layout::from_size_align(4096, 8) {
    Ok(layout) => layout,
    Err(_) => panic!("a valid layout"),
};

/// A contender of [`first`].
macro_rules! first {
    ($name:expr, $new:expr, |$arena:ident| $alloc:expr) => {
        contender!($name, (), |_none| {
            let $arena = $new;
            touched!(PAGES, $alloc)
        })
    };
}

fn first() -> Row {
    Row {
        operations: 1,
        ..row(
            "frame-first",
            "the first frame: an allocator made with 64 MiB from the system, 256 pages of it touched, and dropped",
            vec![
                first!(SMART, SmartAlloc::new(AllocConfig::default().with_frame_chunk(FRESH, FRESH)), |alloc| alloc
                    .frame()
                    .alloc_layout(PAGE)),
                first!(BUMPALO, bumpalo::Bump::with_capacity(FRESH), |bump| bump.alloc_layout(PAGE)),
                first!(BUMP_SCOPE, super::Scope::with_size(FRESH), |bump| bump.allocate_layout(PAGE)),
            ],
            Vec::new(),
        )
    }
}

/// Some allocators in each of which each thread of a crew has something, and the crew.
///
/// Several, so that one waking of the threads prepares several boundaries. Only the boundaries count: the threads' work is
/// done [`aside`].
struct Touched<A> {
    allocators: Arc<RwLock<Vec<A>>>,
    crew: Crew,
}

impl<A: Send + Sync + 'static> Touched<A> {
    fn new(threads: usize, make: impl FnMut() -> A, touch: impl Fn(&A) -> u64 + Clone + Send + 'static) -> Self {
        let allocators = Arc::new(RwLock::new(std::iter::repeat_with(make).take(ALLOCATORS).collect::<Vec<A>>()));
        let theirs = Arc::clone(&allocators);
        let crew = Crew::new(threads, move || {
            let (allocators, touch) = (Arc::clone(&theirs), touch.clone());
            move || allocators.read().unwrap_or_else(PoisonError::into_inner).iter().map(&touch).sum()
        });
        Self { allocators, crew }
    }

    fn pass(&self, mut end: impl FnMut(&mut A)) -> u64 {
        let mut sum = 0;
        aside(|| sum = self.crew.run());
        let mut allocators = self.allocators.write().unwrap_or_else(PoisonError::into_inner);
        allocators.iter_mut().for_each(&mut end);
        sum
    }
}

std::thread_local! {
    /// Which of a row of `Bump`s is this thread's.
    static PLACE: usize = PLACES.fetch_add(1, Ordering::Relaxed);
}
static PLACES: AtomicUsize = AtomicUsize::new(0);

fn touched<const THREADS: usize>(id: &'static str, work: &'static str) -> Row {
    Row {
        id,
        group: Group::Boundary,
        work,
        unit: "frame",
        operations: ALLOCATORS as u64,
        contenders: vec![
            contender!(
                SMART,
                Touched::new(
                    THREADS,
                    || SmartAlloc::new(AllocConfig::default().with_frame_chunk(4 << 10, 64 << 10)),
                    |alloc: &SmartAlloc| *black_box(alloc.frame().alloc(1)),
                ),
                |touched| touched.pass(|alloc| {
                    alloc.end_frame();
                    alloc.begin_frame();
                })
            ),
            contender!(
                BUMPALO_EACH,
                Touched::new(
                    THREADS,
                    || -> Bumps { (0..THREADS).map(|_| Mutex::new(bumpalo::Bump::new())).collect() },
                    |bumps: &Bumps| {
                        let bump = &bumps[PLACE.with(|place| *place) % THREADS];
                        *black_box(bump.lock().unwrap_or_else(PoisonError::into_inner).alloc(1))
                    },
                ),
                |touched| touched.pass(|bumps| {
                    for bump in bumps {
                        bump.get_mut().unwrap_or_else(PoisonError::into_inner).reset();
                    }
                })
            ),
            // These two make as many arenas as are held at once: every thread has one before any gives its own back.
            contender!(
                HERD,
                Touched::new(THREADS, bumpalo_herd::Herd::new, {
                    let all = Arc::new(Barrier::new(THREADS));
                    move |herd: &bumpalo_herd::Herd| {
                        let member = herd.get();
                        all.wait();
                        *black_box(member.alloc(1))
                    }
                }),
                |touched| touched.pass(bumpalo_herd::Herd::reset)
            ),
            contender!(
                BUMP_SCOPE_POOL,
                Touched::new(THREADS, <BumpPool>::new, {
                    let all = Arc::new(Barrier::new(THREADS));
                    move |pool: &BumpPool| {
                        let bump = pool.get();
                        all.wait();
                        *black_box(BumpBox::leak(bump.alloc(1)))
                    }
                }),
                |touched| touched.pass(BumpPool::reset)
            ),
        ],
        bars: Vec::new(),
    }
}

type Bumps = Vec<Mutex<bumpalo::Bump>>;

/// The rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    let mut rows = vec![empty(), one_value(), large()];
    rows.extend(ended_rows());
    rows.extend([
        cold(),
        first(),
        touched::<1>("frame-threads-1", "the end of a frame, and the next one's beginning, after one thread's `u64`"),
        touched::<2>("frame-threads-2", "the same after 2 threads' `u64`s"),
        touched::<4>("frame-threads-4", "the same after 4 threads' `u64`s"),
        touched::<8>("frame-threads-8", "the same after 8 threads' `u64`s"),
        touched::<16>("frame-threads-16", "the same after 16 threads' `u64`s"),
        touched::<32>("frame-threads-32", "the same after 32 threads' `u64`s"),
        touched::<64>("frame-threads-64", "the same after 64 threads' `u64`s"),
    ]);
    rows
}
