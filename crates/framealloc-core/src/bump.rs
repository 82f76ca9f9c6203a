//! The arithmetic of a bump: addresses in, addresses out.
//!
//! Promises that an accepted request lies inside `cursor..=bound`, is aligned, and that no computation wraps.
//! Knows nothing of memory: it has no pointers, so that it can be fuzzed and proved alone.

#![forbid(unsafe_code)]

/// Bytes that may be added to any cursor without wrapping: no chunk may end above `usize::MAX - HEADROOM`.
///
/// It is what lets a request whose size is a constant be checked by one addition and one comparison. Every
/// operating system keeps at least this much at the top of the address space for itself. On x86-64 with an operating
/// system it keeps half of it, so that no size wraps; without one, or where addresses carry a tag at the top, it may not.
pub const HEADROOM: usize = if cfg!(all(feature = "std", target_arch = "x86_64", target_pointer_width = "64")) {
    1 << (usize::BITS - 1)
} else if usize::BITS >= 64 {
    1 << 32
} else {
    1 << 16
};

/// Whether no size that a `Layout` can have, added to a cursor, wraps.
const TALL: bool = HEADROOM > isize::MAX as usize;

/// Where an accepted request lies, and where the cursor stands after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bump {
    /// First byte of the block.
    pub start: usize,
    /// The cursor after the block, a multiple of the minimum alignment.
    pub cursor: usize,
}

/// `value` rounded up to a multiple of `align`, a power of two; the caller knows that it does not wrap.
#[must_use]
#[inline(always)]
pub const fn round_up(value: usize, align: usize) -> usize {
    (value + (align - 1)) & !(align - 1)
}

/// `value` rounded down to a multiple of `align`, a power of two.
#[must_use]
#[inline(always)]
pub const fn round_down(value: usize, align: usize) -> usize {
    value & !(align - 1)
}

/// Whether a request of constant layout may take [`constant`]: too small to wrap, padding included.
#[must_use]
pub const fn is_constant(size: usize, align: usize, min_align: usize) -> bool {
    align <= HEADROOM / 4 && size <= HEADROOM / 2 - min_align
}

/// A request for which [`is_constant`] holds.
///
/// One addition and one comparison, and two operations more to align to more than the minimum. No sum wraps: padding
/// and rounded size are together below `HEADROOM`, and `cursor <= usize::MAX - HEADROOM`.
#[must_use]
#[inline(always)]
pub const fn constant(cursor: usize, bound: usize, size: usize, align: usize, min_align: usize) -> Option<Bump> {
    let start = if align <= min_align { cursor } else { round_up(cursor, align) };
    let next = start + round_up(size, min_align);
    if next > bound { None } else { Some(Bump { start, cursor: next }) }
}

/// A request of any layout: `size` at most `isize::MAX` when rounded up to `align`, as every `Layout` is.
///
/// `cursor <= bound`, both multiples of `min_align`. For alignments that are constants: one that is none is better served
/// by [`dynamic`].
#[must_use]
#[inline(always)]
pub const fn any(cursor: usize, bound: usize, size: usize, align: usize, min_align: usize) -> Option<Bump> {
    // The cursor is aligned to `min_align` already.
    place::<TALL>(cursor, bound, size, if align <= min_align { 1 } else { align }, min_align)
}

/// [`any`] without a branch on the alignment, for the same arguments.
#[must_use]
#[inline(always)]
pub const fn dynamic(cursor: usize, bound: usize, size: usize, align: usize, min_align: usize) -> Option<Bump> {
    place::<TALL>(cursor, bound, size, align, min_align)
}

/// Padding is below `align`, so that padding and size together are at most `isize::MAX`.
///
/// Where `TALL` holds, that may be added to any cursor, and what rounds the sum up as well: cursors are multiples of
/// `min_align` below `1 << (usize::BITS - 1)`. Elsewhere it is compared with the room there is before anything is added.
#[inline(always)]
const fn place<const TALL: bool>(
    cursor: usize,
    bound: usize,
    size: usize,
    align: usize,
    min_align: usize,
) -> Option<Bump> {
    debug_assert!((cursor | bound) & (min_align - 1) == 0, "multiples of the minimum alignment");
    // As good as aligning the offset in a chunk, whose start is a multiple of 64.
    let align = canary!("offset_aligned", align, if align > 64 { 64 } else { align });
    if TALL {
        let start = round_up(cursor, align);
        let next = round_up(start + size, min_align);
        return if next > bound { None } else { Some(Bump { start, cursor: next }) };
    }
    let padding = cursor.wrapping_neg() & (align - 1);
    if padding + size > bound - cursor {
        return None;
    }
    let start = cursor + padding;
    // `bound` is a multiple of `min_align`, so that rounding up does not pass it.
    Some(Bump { start, cursor: round_up(start + size, min_align) })
}

/// The bound of a chunk: the nearer of its end and of what the grant still allows, never below `start`.
///
/// `used` bytes of the frame lie in earlier chunks; `grant` is the number of bytes the frame may reach in all.
/// Saturating, and computed from the current chunk only: whatever a governor answers, the result lies in
/// `start..=end`. A multiple of `min_align` if `start` is one.
#[must_use]
pub const fn bound(start: usize, end: usize, used: usize, grant: usize, min_align: usize) -> usize {
    let allowed = grant.saturating_sub(used);
    let room = end - start;
    start + round_down(if allowed < room { allowed } else { room }, min_align)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [usize; 9] = [0, 1, 7, 8, 9, 63, 64, 1000, 4096];

    /// Both ways to compare, and both ways to pad, whatever this target takes.
    fn all_ways(cursor: usize, bound: usize, size: usize, align: usize, min_align: usize) -> Option<Bump> {
        let tall = place::<true>(cursor, bound, size, align, min_align);
        assert_eq!(tall, place::<false>(cursor, bound, size, align, min_align));
        assert_eq!(tall, any(cursor, bound, size, align, min_align));
        assert_eq!(tall, dynamic(cursor, bound, size, align, min_align));
        tall
    }

    #[test]
    fn no_size_wraps_where_half_of_the_addresses_are_the_system_s() {
        let has_half = cfg!(all(feature = "std", target_arch = "x86_64", target_pointer_width = "64"));
        assert_eq!(TALL, has_half);
        const { assert!(HEADROOM >= 1 << 16) };
    }

    #[test]
    fn accepted_requests_are_aligned_and_inside() {
        let bound = 4096;
        for cursor in (0..=bound).step_by(8) {
            for align in [1usize, 2, 8, 16, 64, 256, 4096] {
                for size in SIZES {
                    match all_ways(cursor, bound, size, align, 8) {
                        Some(b) => {
                            assert_eq!(b.start % align, 0);
                            assert_eq!(b.cursor % 8, 0);
                            assert!(b.start >= cursor && b.start + size <= b.cursor && b.cursor <= bound);
                        }
                        None => assert!(cursor.next_multiple_of(align) + size > bound),
                    }
                }
            }
        }
    }

    #[test]
    fn constant_agrees_with_any() {
        for cursor in (0..=256).step_by(8) {
            for size in 0..512 {
                for align in [1, 4, 8, 16, 64] {
                    assert!(is_constant(size, align, 8));
                    assert_eq!(constant(cursor, 256, size, align, 8), all_ways(cursor, 256, size, align, 8));
                }
            }
        }
    }

    #[test]
    fn nothing_wraps_at_the_top_of_the_address_space() {
        let top = round_down(usize::MAX - HEADROOM, 64);
        let max = isize::MAX as usize;
        for cursor in [top - 128, top - 8, top] {
            for align in [1usize, 8, 64, 1 << 20, 1 << (usize::BITS - 2)] {
                let largest = max - (align - 1);
                assert_eq!(any(cursor, top, largest, align, 8), None);
                assert_eq!(dynamic(cursor, top, largest, align, 8), None);
                let _ = any(cursor, top, 0, align, 8);
                let cursor = round_down(cursor, 64);
                assert_eq!(dynamic(cursor, top, largest, align, 64), None);
                // The way of other targets, where cursors may be higher.
                let higher = round_down(usize::MAX - (1 << 16), 64);
                assert_eq!(place::<false>(higher - 64, higher, largest, align, 8), None);
                if is_constant(largest, align, 8) {
                    assert_eq!(constant(cursor, top, largest, align, 8), None);
                }
            }
            for align in [1, 16, HEADROOM / 4] {
                let largest = HEADROOM / 2 - 8;
                assert!(is_constant(largest, align, 8));
                assert_eq!(constant(cursor, top, largest, align, 8), None);
            }
        }
        assert!(!is_constant(HEADROOM / 2, 8, 8));
        assert!(!is_constant(8, HEADROOM / 2, 8));
    }

    #[test]
    fn a_bound_never_leaves_its_chunk() {
        for used in [0, 1, 4096, usize::MAX] {
            for grant in [0, 1, 100, 5000, usize::MAX - 1, usize::MAX] {
                let b = bound(4096, 8192, used, grant, 8);
                assert!((4096..=8192).contains(&b) && b.is_multiple_of(8));
                assert!(b - 4096 <= grant.saturating_sub(used));
            }
        }
        assert_eq!(bound(4096, 8192, 100, usize::MAX, 8), 8192);
        assert_eq!(bound(4096, 8192, 100, 1100, 8), 5096 / 8 * 8);
    }
}
