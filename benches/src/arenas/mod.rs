//! Bump arenas and what is built on them.

#[macro_use]
mod pass;

pub mod boundary;
pub mod collections;
mod crew;
pub mod handles;
pub mod layouts;
pub mod nesting;
pub mod slices;
pub mod texts;
pub mod threads;
pub mod values;

use bump_scope::settings::{BumpAllocatorSettings, BumpSettings};

use crate::Row;

/// The minimum alignment that framealloc's arenas have, for the peers that can be given one.
const MIN_ALIGN: usize = 8;

/// bump-scope as it comes.
type Scope = bump_scope::Bump;
/// bump-scope at our minimum alignment.
type Scope8 = bump_scope::Bump<
    bump_scope::alloc::Global,
    <BumpSettings as BumpAllocatorSettings>::WithMinimumAlignment<MIN_ALIGN>,
>;

/// How contenders are called in all rows of arenas.
pub mod names {
    /// A frame taken before the loop.
    pub const FRAME: &str = "framealloc Frame";
    /// `SmartAlloc`'s own methods: the thread is looked up at every call.
    pub const SUGAR: &str = "framealloc SmartAlloc";
    /// An arena that stands alone.
    pub const ARENA: &str = "framealloc Arena";
    /// `bumpalo::Bump`.
    pub const BUMPALO: &str = "bumpalo";
    /// `bumpalo::Bump<8>`: at our minimum alignment.
    pub const BUMPALO_8: &str = "bumpalo, min-align 8";
    /// `bumpalo_herd::Herd`.
    pub const HERD: &str = "bumpalo-herd";
    /// `bump_scope::Bump`, going up, which is its default.
    pub const BUMP_SCOPE: &str = "bump-scope";
    /// `bump_scope::Bump` at our minimum alignment.
    pub const BUMP_SCOPE_8: &str = "bump-scope, min-align 8";
    /// `bump_scope`, by its methods and collections that hold the whole arena while something grows.
    pub const BUMP_SCOPE_MUT: &str = "bump-scope, exclusive";
    /// `bump_scope::Bump`, going down.
    pub const BUMP_SCOPE_DOWN: &str = "bump-scope, down";
    /// `bump_scope::BumpPool`.
    pub const BUMP_SCOPE_POOL: &str = "bump-scope, BumpPool";
    /// `blink_alloc::Blink`.
    pub const BLINK: &str = "blink-alloc";
    /// `typed_arena::Arena`: it cannot be reset, so that each pass makes one, with its capacity, and drops it.
    pub const TYPED_ARENA: &str = "typed-arena (made anew)";
    /// `multitude::Arena`.
    pub const MULTITUDE: &str = "multitude";
    /// `memkit::MkAllocator`.
    pub const MEMKIT: &str = "memkit";
    /// `std`'s own: `Box` and `Vec` on the system allocator.
    pub const SYSTEM: &str = "system";
}

/// All rows of arenas.
#[must_use]
pub fn rows() -> Vec<Row> {
    let groups = [
        values::rows(),
        layouts::rows(),
        slices::rows(),
        texts::rows(),
        collections::rows(),
        nesting::rows(),
        handles::rows(),
        boundary::rows(),
        threads::rows(),
    ];
    groups.into_iter().flatten().collect()
}

/// The next of a sequence of numbers, of which the upper bits are as good as random (Knuth's MMIX).
const fn random(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// Lengths of 0 to `most`.
const fn lengths<const N: usize>(most: usize) -> [usize; N] {
    let mut lengths = [0; N];
    let (mut i, mut state) = (0, 1);
    while i < N {
        state = random(state);
        lengths[i] = (state >> 40) as usize % (most + 1);
        i += 1;
    }
    lengths
}
