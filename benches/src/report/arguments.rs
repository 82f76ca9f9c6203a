//! Why bars are missed that are known to be missed: said on the page, in the list of misses.
//!
//! A bar whose figure is the same in each run must hold or have an argument here; an argument whose bars hold is to be taken out.

use super::verdicts::Verdict;
use crate::arenas::names::FRAME;

/// Why some bars are missed.
pub(super) struct Argument {
    /// A row's id, or a program's, or the game.
    id: &'static str,
    /// Who is held to the bar.
    ours: &'static str,
    /// What is compared or counted.
    what: &'static str,
    /// What is known about it.
    pub(super) because: &'static str,
}

impl Argument {
    /// Whether this is said of that bar.
    pub(super) fn is_about(&self, verdict: &Verdict) -> bool {
        (self.id, self.ours, self.what) == (&*verdict.id, verdict.ours, &*verdict.what)
    }

    /// As it is named where it is out of place.
    pub(super) fn name(&self) -> String {
        format!("{}: {}, {}", self.id, self.ours, self.what)
    }
}

/// An argument's parts, in the order of its fields.
pub(super) const fn argument(
    id: &'static str,
    ours: &'static str,
    what: &'static str,
    because: &'static str,
) -> Argument {
    Argument { id, ours, what, because }
}

/// framealloc's pools, as the rows of pools call them.
const POOL: &str = "framealloc pool";

/// All of them, in the order of the page.
pub(super) const ALL: &[Argument] = &[
    argument(
        "slice-copy-long",
        FRAME,
        "instructions",
        "the C library copies such slices by an instruction that counts once for each byte, and some bytes before that in another \
         way; how many depends on how source and destination lie to each other. That is all of the 0.2 %: 16,385 bytes a slice \
         here, and 16,353 for bump-scope.",
    ),
    argument(
        "threads-2",
        FRAME,
        "time",
        "in the loop of `Frame`, and not in that of `SmartAlloc`, which has more instructions and shares as much: so it is not \
         the threads, which do the same one by one, but how the processor overlaps loops that write more than its caches hold.",
    ),
    argument(
        "pool-64-ping-pong",
        POOL,
        "time",
        "on one side of the bar or the other, from build to build. It is bound by its stores: eight of the object, and two of the \
         magazine.",
    ),
    argument(
        "pool-8-producer",
        POOL,
        "time",
        "the bar against snmalloc is below what the channel takes that carries nothing: see [below](#pools-on-two-threads).",
    ),
    argument(
        "pool-64-producer",
        POOL,
        "time",
        "on one side of the bar or the other, from run to run. Beside the objects' lines their addresses travel from core to core, \
         a line for eight objects each way; lists of links inside of objects save that, and lose more where memory is not warm.",
    ),
    argument(
        "pool-512-producer",
        POOL,
        "time",
        "a ring that frees nothing takes longer: see [below](#pools-on-two-threads).",
    ),
    argument(
        "game",
        "framealloc",
        "p99",
        "half of what fresh `Vec`s take is about where the floor is: see [the game](#a-game).",
    ),
    argument(
        "game",
        "framealloc",
        "p50",
        "against reused `Vec`s, which allocate nothing. Their time moves by a tenth from build to build: the build before had 0.94 \
         here, and fresh `Vec`s at 1.7 of reused ones instead of 1.9, though no code of either had changed. Aligned loops do not \
         settle it.",
    ),
];
