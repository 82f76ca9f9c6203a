//! What a row is: some work, and those who do it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One pass over a row's work; the sum of what was read back, which is the same for all contenders.
pub type Pass = Box<dyn FnMut() -> u64>;

/// Somebody who does a row's work.
#[derive(Clone, Copy)]
pub struct Contender {
    /// As it stands in the tables: the crate's name first.
    pub name: &'static str,
    /// Sets everything up: what comes back is warm after one call.
    pub start: fn() -> Pass,
}

/// Where a row stands on the page, and what is measured of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// One value of constant layout. Also measured in debug builds.
    Values,
    /// Layouts and lengths known at run time only.
    Layouts,
    /// Vectors, hash maps, columns.
    Collections,
    /// Scopes and scratch arenas.
    Nesting,
    /// Publishing, reading by handle, sealing and handing over.
    Handles,
    /// The frame's own beginning and end.
    Boundary,
    /// Several threads allocating at once.
    Threads,
    /// Objects that outlive a frame, on one thread.
    Pools,
    /// The same on several threads.
    PoolThreads,
}

impl Group {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 9] = [
        Self::Values,
        Self::Layouts,
        Self::Collections,
        Self::Nesting,
        Self::Handles,
        Self::Boundary,
        Self::Threads,
        Self::Pools,
        Self::PoolThreads,
    ];

    /// As on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Values => "values",
            Self::Layouts => "layouts",
            Self::Collections => "collections",
            Self::Nesting => "nesting",
            Self::Handles => "handles",
            Self::Boundary => "boundary",
            Self::Threads => "threads",
            Self::Pools => "pools",
            Self::PoolThreads => "pool-threads",
        }
    }

    /// Whether the work is one thread's, so that its instructions can be counted.
    #[must_use]
    pub const fn is_counted(self) -> bool {
        !matches!(self, Self::Threads | Self::PoolThreads)
    }
}

/// What a bar is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Figure {
    /// Nanoseconds, as a ratio to each rival's in the same rounds.
    Time,
    /// Instructions, as a ratio to each rival's.
    Instructions,
    /// Instructions of one operation, not compared with anybody's.
    Count,
}

/// What a row must reach: `ours` against the best of `rivals`.
#[derive(Clone, Copy)]
pub struct Bar {
    /// The contender held to the bar.
    pub ours: &'static str,
    /// Those it is held against; the bar holds against each. None for [`Figure::Count`].
    pub rivals: &'static [&'static str],
    /// What is compared.
    pub figure: Figure,
    /// The largest ratio, or count, that passes.
    pub at_most: f64,
}

/// Some work, and those who do it.
pub struct Row {
    /// As on the command line: `u32`, `pool-64-fifo`.
    pub id: &'static str,
    /// Where it belongs.
    pub group: Group,
    /// What one pass does, in words.
    pub work: &'static str,
    /// What is counted as one operation: `value`, `frame`, `object`.
    pub unit: &'static str,
    /// Operations in a pass.
    pub operations: u64,
    /// Those who do it, framealloc's first.
    pub contenders: Vec<Contender>,
    /// What it must reach.
    pub bars: Vec<Bar>,
}

impl Row {
    /// Whether a name on the command line means this row: its id or its group's name.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.id == name || self.group.name() == name
    }

    /// Whether its names are those of its contenders: a bar about somebody who is not there would be left out without a word.
    ///
    /// # Errors
    ///
    /// Names who is there twice, or is not there.
    pub fn check(&self) -> Result<(), String> {
        for (at, contender) in self.contenders.iter().enumerate() {
            if self.contenders[..at].iter().any(|other| other.name == contender.name) {
                return Err(format!("{}: two contenders are called \"{}\"", self.id, contender.name));
            }
        }
        let named = self.bars.iter().flat_map(|bar| bar.rivals.iter().chain([&bar.ours]));
        let stranger = named.into_iter().find(|name| self.contenders.iter().all(|contender| contender.name != **name));
        stranger.map_or(Ok(()), |name| Err(format!("{}: no contender is called \"{name}\"", self.id)))
    }

    /// Threads that do the work: a row that is about their number has it at the end of its id, `threads-8`; others of several
    /// threads have two.
    #[must_use]
    pub fn threads(&self) -> usize {
        let named = self.id.rsplit_once("threads-").and_then(|(_, count)| count.parse().ok());
        named.unwrap_or(match self.group {
            Group::Threads | Group::PoolThreads => 2,
            _ => 1,
        })
    }
}

/// A contender: a name, what is set up once, and a pass over it.
#[macro_export]
macro_rules! contender {
    ($name:expr, $setup:expr, |$state:ident| $pass:expr) => {
        $crate::Contender {
            name: $name,
            start: || {
                #[allow(unused_mut, reason = "some arenas are reset through a shared reference")]
                let mut $state = $setup;
                Box::new(move || $pass)
            },
        }
    };
}

/// Nanoseconds that went into what was done [`aside`].
static ASIDE: AtomicU64 = AtomicU64::new(0);

/// Does what a pass needs done before its work: neither its time nor its instructions are the row's.
pub fn aside(work: impl FnOnce()) {
    let start = Instant::now();
    work();
    ASIDE.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    // SAFETY: an ordinary function, exported by a name that callgrind is told.
    unsafe { benches_start_over() };
}

/// The time that was spent [`aside`] since this was last asked.
pub fn take_aside() -> Duration {
    Duration::from_nanos(ASIDE.swap(0, Ordering::Relaxed))
}

/// Where callgrind is told to forget what it has counted.
///
/// # Safety
///
/// None is asked for: only its name is not mangled.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "Rust" fn benches_start_over() {
    std::hint::black_box(());
}
