//! Several threads that allocate at once.
//!
//! What threads share stands behind a lock: they read-lock it once for their share, whoever resets it write-locks it. That is
//! so in all contenders but the one in which nothing is shared.

use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use blink_alloc::{Blink, SyncBlinkAlloc};
use bump_scope::{BumpBox, BumpPool};
use framealloc::SmartAlloc;

use super::crew::Crew;
use super::names::*;
use crate::contender;
use crate::row::{Bar, Contender, Figure, Group, Row};

/// Values in a pass, in equal shares: enough for more than a millisecond, beside which waking a thread is little.
const VALUES: u64 = 2_000_000;

/// A `Bump` for each thread, which resets it itself.
const BUMPALO_EACH: &str = "bumpalo, a Bump for each thread";
/// A `Bump` behind a lock, taken for each value.
const BUMPALO_LOCKED: &str = "bumpalo, one Bump in a Mutex";
/// `SyncBlinkAlloc` itself.
const BLINK_SHARED: &str = "blink-alloc, shared";
/// `SyncBlinkAlloc::local`.
const BLINK_LOCAL: &str = "blink-alloc, local";

/// A thread's share.
macro_rules! share {
    ($threads:expr, |$value:ident| $alloc:expr) => {{
        let mut sum = 0u64;
        for $value in 0..VALUES / $threads as u64 {
            sum += *black_box($alloc);
        }
        sum
    }};
}

/// What threads share, and the threads: each does `work` on it.
struct Shared<S> {
    state: Arc<RwLock<S>>,
    crew: Crew,
}

impl<S: Send + Sync + 'static> Shared<S> {
    fn new(threads: usize, state: S, work: impl Fn(&S) -> u64 + Clone + Send + 'static) -> Self {
        let state = Arc::new(RwLock::new(state));
        let theirs = Arc::clone(&state);
        let crew = Crew::new(threads, move || {
            let (state, work) = (Arc::clone(&theirs), work.clone());
            move || work(&state.read().unwrap_or_else(PoisonError::into_inner))
        });
        Self { state, crew }
    }

    /// Lets the threads do their shares, then resets.
    fn pass(&self, reset: impl FnOnce(&mut S)) -> u64 {
        let sum = self.crew.run();
        reset(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
        sum
    }
}

fn framealloc<const THREADS: usize>() -> Contender {
    contender!(
        FRAME,
        Shared::new(THREADS, SmartAlloc::default(), |alloc: &SmartAlloc| {
            let frame = alloc.frame();
            share!(THREADS, |value| frame.alloc(value))
        }),
        |shared| shared.pass(|alloc| {
            alloc.end_frame();
            alloc.begin_frame();
        })
    )
}

fn sugar<const THREADS: usize>() -> Contender {
    contender!(
        SUGAR,
        Shared::new(THREADS, SmartAlloc::default(), |alloc: &SmartAlloc| {
            share!(THREADS, |value| alloc.frame_box(value))
        }),
        |shared| shared.pass(|alloc| {
            alloc.end_frame();
            alloc.begin_frame();
        })
    )
}

fn bumpalo_each<const THREADS: usize>() -> Contender {
    contender!(
        BUMPALO_EACH,
        Crew::new(THREADS, || {
            let mut bump = bumpalo::Bump::new();
            move || {
                let sum = share!(THREADS, |value| bump.alloc(value));
                bump.reset();
                sum
            }
        }),
        |crew| crew.run()
    )
}

fn herd<const THREADS: usize>() -> Contender {
    contender!(
        HERD,
        Shared::new(THREADS, bumpalo_herd::Herd::new(), |herd: &bumpalo_herd::Herd| {
            let member = herd.get();
            share!(THREADS, |value| member.alloc(value))
        }),
        |shared| shared.pass(bumpalo_herd::Herd::reset)
    )
}

fn pool<const THREADS: usize>() -> Contender {
    contender!(
        BUMP_SCOPE_POOL,
        Shared::new(THREADS, <BumpPool>::new(), |pool: &BumpPool| {
            let bump = pool.get();
            share!(THREADS, |value| BumpBox::leak(bump.alloc(value)))
        }),
        |shared| shared.pass(BumpPool::reset)
    )
}

fn blink_local<const THREADS: usize>() -> Contender {
    contender!(
        BLINK_LOCAL,
        Shared::new(THREADS, SyncBlinkAlloc::new(), |blink: &SyncBlinkAlloc| {
            let local = Blink::new_in(blink.local());
            share!(THREADS, |value| local.put_no_drop(value))
        }),
        |shared| shared.pass(SyncBlinkAlloc::reset)
    )
}

fn blink_shared<const THREADS: usize>() -> Contender {
    contender!(
        BLINK_SHARED,
        Shared::new(THREADS, SyncBlinkAlloc::new(), |blink: &SyncBlinkAlloc| {
            let shared = Blink::new_in(blink);
            share!(THREADS, |value| shared.put_no_drop(value))
        }),
        |shared| shared.pass(SyncBlinkAlloc::reset)
    )
}

fn bumpalo_locked<const THREADS: usize>() -> Contender {
    contender!(
        BUMPALO_LOCKED,
        Shared::new(THREADS, Mutex::new(bumpalo::Bump::new()), |bump: &Mutex<bumpalo::Bump>| {
            share!(THREADS, |value| {
                let bump = bump.lock().unwrap_or_else(PoisonError::into_inner);
                let place = std::ptr::from_mut(bump.alloc(value));
                // SAFETY: the value stays until the arena is reset, when no thread is at work, and is nobody else's.
                unsafe { &mut *place }
            })
        }),
        |shared| shared.pass(|bump| bump.get_mut().unwrap_or_else(PoisonError::into_inner).reset())
    )
}

fn system<const THREADS: usize>() -> Contender {
    contender!(
        SYSTEM,
        Crew::new(THREADS, || {
            let mut kept = Vec::with_capacity(VALUES as usize / THREADS);
            move || {
                let sum = share!(THREADS, |value| {
                    kept.push(Box::new(value));
                    &*kept[kept.len() - 1]
                });
                kept.clear();
                sum
            }
        }),
        |crew| crew.run()
    )
}

fn row<const THREADS: usize>(id: &'static str, work: &'static str, bars: Vec<Bar>) -> Row {
    Row {
        id,
        group: Group::Threads,
        work,
        unit: "value",
        operations: VALUES,
        contenders: vec![
            framealloc::<THREADS>(),
            sugar::<THREADS>(),
            bumpalo_each::<THREADS>(),
            herd::<THREADS>(),
            pool::<THREADS>(),
            blink_local::<THREADS>(),
            blink_shared::<THREADS>(),
            bumpalo_locked::<THREADS>(),
            system::<THREADS>(),
        ],
        bars,
    }
}

/// The rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    let bars = vec![
        Bar { ours: FRAME, rivals: &[BUMPALO_EACH], figure: Figure::Time, at_most: 1.0 / 0.97 },
        Bar { ours: SUGAR, rivals: &[BUMPALO_EACH], figure: Figure::Time, at_most: 1.0 / 0.97 },
        Bar { ours: FRAME, rivals: &[BLINK_SHARED, BUMPALO_LOCKED], figure: Figure::Time, at_most: 1.0 / 3.0 },
    ];
    vec![
        row::<1>("threads-1", "2,000,000 `u64`s, allocated by one thread while another waits", Vec::new()),
        row::<2>("threads-2", "2,000,000 `u64`s, allocated by two threads at once", bars),
        row::<4>("threads-4", "2,000,000 `u64`s, allocated by four threads at once", Vec::new()),
        row::<8>("threads-8", "2,000,000 `u64`s, allocated by eight threads at once", Vec::new()),
    ]
}
