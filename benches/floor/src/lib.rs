//! Functions that allocate or free one value each, for `benches/tests/floor.rs` to read what they are compiled to.
//!
//! A package of its own, which needs framealloc alone: compiling it optimised takes seconds. Arena and value are arguments and
//! the reference is what is returned, so that nothing of it can be precomputed or left out.

use framealloc::{Arena, Frame, Pool, PoolBox};

/// A transform: 64 bytes that SIMD code wants at a multiple of 16.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Matrix(pub [f32; 16]);

/// The functions for one type, named as the test names them.
macro_rules! functions {
    ($type:ty: $frame:ident, $arena:ident) => {
        /// A value in a frame.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub fn $frame<'f>(frame: Frame<'f>, value: $type) -> &'f mut $type {
            frame.alloc(value)
        }

        /// A value in an arena that stands alone.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub fn $arena(arena: &Arena, value: $type) -> &mut $type {
            arena.alloc(value)
        }
    };
}

functions!(u32: floor_frame_u32, floor_arena_u32);
functions!(u64: floor_frame_u64, floor_arena_u64);
functions!([u64; 4]: floor_frame_words, floor_arena_words);
functions!(Matrix: floor_frame_matrix, floor_arena_matrix);

/// An object of a pool is taken.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn floor_pool_take(pool: &Pool, value: u64) -> PoolBox<u64> {
    pool.alloc_box(value)
}

/// An object of a pool is freed.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn floor_pool_free(object: PoolBox<u64>) {
    drop(object);
}
