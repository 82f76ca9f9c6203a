//! A frame's worth of values in a bump arena, then a reset.

use std::hint::black_box;

use framealloc::prelude::*;

/// Values a frame.
pub const VALUES: u64 = 10_000;

/// 32 bytes, as a transform's row pair or a small contact.
pub type Value = [u64; 4];

#[inline(always)]
fn value(i: u64) -> Value {
    [i, i + 1, i + 2, i + 3]
}

/// A frame of an arena: allocates [`VALUES`] values, reads each back, and resets.
pub trait Row {
    /// What is printed for it.
    const NAME: &'static str;
    /// A warm arena.
    fn new() -> Self;
    /// One frame; the sum of what was read back.
    fn frame(&mut self) -> u64;
}

/// `Frame::alloc` on a frame taken before the loop.
pub struct HeldFrame(SmartAlloc);

impl Row for HeldFrame {
    const NAME: &'static str = "framealloc, Frame::alloc";

    fn new() -> Self {
        Self(SmartAlloc::default())
    }

    #[inline(never)]
    fn frame(&mut self) -> u64 {
        self.0.begin_frame();
        let frame = self.0.frame();
        let mut sum = 0;
        for i in 0..VALUES {
            sum += black_box(frame.alloc(value(i)))[3];
        }
        self.0.end_frame();
        sum
    }
}

/// `SmartAlloc::frame_box`: the thread is looked up at every call.
pub struct FrameBoxes(SmartAlloc);

impl Row for FrameBoxes {
    const NAME: &'static str = "framealloc, SmartAlloc::frame_box";

    fn new() -> Self {
        Self(SmartAlloc::default())
    }

    #[inline(never)]
    fn frame(&mut self) -> u64 {
        self.0.begin_frame();
        let mut sum = 0;
        for i in 0..VALUES {
            sum += black_box(self.0.frame_box(value(i)))[3];
        }
        self.0.end_frame();
        sum
    }
}

/// `Arena::alloc`, alone.
pub struct OwnArena(Arena);

impl Row for OwnArena {
    const NAME: &'static str = "framealloc, Arena::alloc";

    fn new() -> Self {
        Self(Arena::new())
    }

    #[inline(never)]
    fn frame(&mut self) -> u64 {
        let mut sum = 0;
        for i in 0..VALUES {
            sum += black_box(self.0.alloc(value(i)))[3];
        }
        self.0.reset();
        sum
    }
}

/// bumpalo's `Bump::alloc`.
pub struct Bumpalo(bumpalo::Bump);

impl Row for Bumpalo {
    const NAME: &'static str = "bumpalo, alloc";

    fn new() -> Self {
        Self(bumpalo::Bump::new())
    }

    #[inline(never)]
    fn frame(&mut self) -> u64 {
        let mut sum = 0;
        for i in 0..VALUES {
            sum += black_box(self.0.alloc(value(i)))[3];
        }
        self.0.reset();
        sum
    }
}

/// bump-scope's `Bump::alloc`.
pub struct BumpScope(bump_scope::Bump);

impl Row for BumpScope {
    const NAME: &'static str = "bump-scope, alloc";

    fn new() -> Self {
        Self(bump_scope::Bump::new())
    }

    #[inline(never)]
    fn frame(&mut self) -> u64 {
        let mut sum = 0;
        for i in 0..VALUES {
            sum += black_box(bump_scope::BumpBox::leak(self.0.alloc(value(i))))[3];
        }
        self.0.reset();
        sum
    }
}
