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

/// framealloc's boundary, as the rows of frames call it.
const SMART: &str = "framealloc SmartAlloc";
/// framealloc's pools, as the rows of pools call them.
const POOL: &str = "framealloc pool";

/// At some sizes nothing is left to gain between producer and consumer.
const RING: &str = "a ring that hands out one address after the other, and frees nothing, takes as long: see \
    [below](#pools-on-two-threads).";
/// At others something is.
const CHANNEL: &str = "the channel and the memory on its way between two cores are a part of it, though not all: see \
    [below](#pools-on-two-threads).";

/// All of them, in the order of the page.
pub(super) const ALL: &[Argument] = &[
    argument(
        "four-words",
        FRAME,
        "time",
        "fewer instructions, and yet more time. The same loop through `SmartAlloc`, which has more instructions, does not lose. \
         So it is not the work but how the processor overlaps it, and we could not steer that.",
    ),
    argument(
        "layout",
        FRAME,
        "instructions",
        "both take 23 for a block. What is over are 1,200 a pass, for the boundary of a frame that filled more than one chunk.",
    ),
    argument(
        "slice-copy-long",
        FRAME,
        "instructions",
        "99.7 % of it is the C library's copying. What is over is the frame's boundary, and a pass has 32 slices only.",
    ),
    argument(
        "slice-exact-iter",
        FRAME,
        "instructions",
        "bump-scope's method demands an iterator that promises its length; ours takes any iterator, and finds out.",
    ),
    argument("slice-exact-iter", FRAME, "time", "as with its instructions."),
    argument(
        "format",
        FRAME,
        "instructions",
        "most of the row is the standard library's formatting. What is over are some 40 instructions a string.",
    ),
    argument("format", FRAME, "time", "as with its instructions."),
    argument(
        "vec-push",
        FRAME,
        "instructions",
        "a push takes no more. What is over is a pass's, under 400 for 10,000 pushes: the frame's boundary, and growing by calls.",
    ),
    argument(
        "frame-small",
        SMART,
        "instructions a frame",
        "the allocation itself, and a little of the boundary: the row counts begin, allocation and end.",
    ),
    argument(
        "threads-2",
        FRAME,
        "time",
        "in the loop of `Frame`, and not in that of `SmartAlloc`, which has more instructions: as with four words.",
    ),
    argument("pool-64-ping-pong", POOL, "time", "bound by its stores: eight of the object, and those of the magazine."),
    argument("pool-8-producer", POOL, "time", RING),
    argument("pool-64-producer", POOL, "time", CHANNEL),
    argument("pool-512-producer", POOL, "time", RING),
    argument("pool-4096-producer", POOL, "time", CHANNEL),
    argument(
        "game",
        "framealloc",
        "p99",
        "half of what fresh `Vec`s take is about where the floor is: see [the game](#a-game).",
    ),
];
