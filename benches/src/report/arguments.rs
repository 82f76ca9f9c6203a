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
        "u32",
        FRAME,
        "time",
        "a `u32` takes 8 bytes in a frame and 4 in the rivals. 10,000 of them fit into the first-level cache there, and not here: \
         the rivals set to 8 bytes take as long. A slice of `u32`s is not padded.",
    ),
    argument(
        "slice-copy-long",
        FRAME,
        "instructions",
        "the C library copies such slices by an instruction that counts once for each byte, and some bytes before that in another \
         way; how many depends on where in a line the copy begins. In frames that is a multiple of 8 bytes, in bump-scope one of \
         4. What differs is about a thousandth.",
    ),
    argument(
        "slice-exact-iter",
        FRAME,
        "time",
        "in fewer instructions, and on this processor only: on Sapphire Rapids it is 0.96, and builds whose loops differ in nothing \
         but their place have 1.01 to 1.15 here.",
    ),
    argument("slice-filter-iter", FRAME, "time", "on one side of the bar or the other: 0.90 on Sapphire Rapids."),
    argument(
        "pool-64-ping-pong",
        POOL,
        "time",
        "0.53 to 0.58 from build to build. A round has twelve stores, of which eight write the object and one is the loop's own; the \
         pool's three are its length, twice, and the object's address. The stores alone take most of the time: without seven of \
         them, in the row of 8 bytes, a round takes two thirds of it and the ratio is 0.43.",
    ),
    argument(
        "pool-8-producer",
        POOL,
        "time",
        "near the bar: 0.57 to 0.63 in four runs, with processes from 0.50 to 0.69 in one. What the pool adds to a ring that frees nothing is an address beside each object, \
         on its way to the consumer's magazine and back: as many lines again as the objects have. Lists of links inside of \
         objects would save that, and lose where memory is not warm: see the architecture.",
    ),
    argument("pool-512-producer", POOL, "time", "on one side of the bar or the other: 0.33 to 0.44 from run to run."),
    argument(
        "game",
        "framealloc",
        "p99",
        "half of what fresh `Vec`s take is about where the floor is: see [the game](#a-game).",
    ),
];
