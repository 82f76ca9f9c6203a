//! Why bars are missed that are known to be missed: said on the page, in the list of misses.
//!
//! A bar whose figure is the same in each run must hold or have an argument here; an argument whose bars hold is to be taken out.

use super::verdicts::Verdict;
use crate::arenas::names::{FRAME, SUGAR};

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

    /// Whether it is about the game, which a short run does not play.
    pub(super) fn is_of_the_game(&self) -> bool {
        self.id == "game"
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

/// What a look-up of the thread costs where it is not hidden.
const LOOKUP: &str = "as many instructions as bumpalo's, and three more that use memory: the look-up's two and the prefetch. On Sapphire \
    Rapids these fit in beside the wait for the cursor: 1.05 for `u32`, 1.01 for `u64`, 0.59 for two threads. On Zen 3 shared with \
    others each makes the loop longer: in assembly, in a program that was not kept, 2.4 ns for a `u64` through a `Frame`, 2.7 with the comparison of the look-up, \
    2.9 with its load, 3.2 with both, and 2.9 with both but no prefetch, which would be 1.2 of bumpalo's time still. The prefetch is kept \
    for memory that no cache has. Another look-up was tried and is slower, see [architecture](architecture.md#speed). A `Frame` that \
    is held pays for none.";

/// Short slices on one of two processors.
const SHORT_SLICES: &str = "on Zen 3 only, with fewer instructions: on Sapphire Rapids 1.00 for copies, 0.95 for those filled by a closure, \
    1.00 for those of iterators. What costs the hundredths there is not found.";

/// The boundary of an arena that has more chunks than one.
const SEVERAL: &str = "an arena that has more chunks than one is rewound in fifty to sixty instructions more, however many chunks there are \
    and whatever lies in them: its lists of chunks change hands. With one chunk it is 178.";

/// All of them, in the order of the page.
pub(super) const ALL: &[Argument] = &[
    argument(
        "u32",
        FRAME,
        "time",
        "a `u32` takes 8 bytes in a frame and 4 in the rivals. 10,000 of them fit into a first-level cache of 48 KiB there, and not here: \
         the rivals set to 8 bytes take as long. The bar of six instructions asks for it: a size is rounded when the code is \
         compiled, a cursor would have to be aligned each time. A slice of `u32`s is not padded.",
    ),
    argument("u32", SUGAR, "time", LOOKUP),
    argument("u64", SUGAR, "time", "as for `u32`."),
    argument("slice-copy", FRAME, "time", SHORT_SLICES),
    argument(
        "slice-copy-long",
        FRAME,
        "instructions",
        "nearly all of them are the C library's, in `memcpy`, which takes some more or fewer by where in a line a copy begins: bump-scope \
         set to another alignment counts otherwise, too. Counted by function, 29 for a slice are framealloc's and the row's own, \
         and 32 bump-scope's and the row's.",
    ),
    argument("slice-fill", FRAME, "time", "as for `slice-copy`."),
    argument("slice-exact-iter", FRAME, "time", "as for `slice-copy`."),
    argument("threads-2", SUGAR, "time", "as for `u32`. A `Frame` for each thread holds it."),
    argument("frame-end-30000", SUGAR, "instructions a frame", SEVERAL),
    argument("frame-end-16mb", SUGAR, "instructions a frame", "as for `frame-end-30000`."),
    argument(
        "pool-8-producer",
        POOL,
        "time",
        "on one side of the bar or the other: medians of five processes were 0.40 to 0.61 on one day, 1.02 in one that was disturbed, and 0.62 on another day, while the ring \
         that frees nothing took 0.6 to 0.7 of the pool's time on both. What the pool adds to it is not the travel of addresses: parcels that \
         hold a slab and 16 bits for each of its objects, two bytes instead of eight, took 1.47 to 1.75 of the ring's time where \
         addresses took 1.35 to 1.65 in runs by turns, for packing costs what the travel saves; and asking for the lines of the next \
         parcel when one is taken changed nothing, 1.45 to 1.55.",
    ),
    argument(
        "pool-64-producer",
        POOL,
        "time",
        "0.28 on Sapphire Rapids. On Zen 3 shared with others it changes from process to process by three times, and that of the ring \
         that frees nothing by six times: what the way from one core to the other takes. Of the pool's time the ring takes 0.86, which \
         leaves little to gain.",
    ),
    argument("pool-512-producer", POOL, "time", "on one side of the bar or the other: 0.33 to 0.44 from run to run."),
    argument(
        "game",
        "framealloc",
        "p99",
        "nobody reaches it: neither `Vec`s that are reused and call the heap once in ten frames, nor `Bump`s by hand. See [the \
         game](#a-game).",
    ),
    argument(
        "game",
        "framealloc",
        "p50",
        "one run of each variant, in which two hundredths say nothing either way: 0.91 on Sapphire Rapids.",
    ),
];
