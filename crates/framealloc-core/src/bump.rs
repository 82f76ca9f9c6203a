//! The arithmetic of a bump: addresses in, addresses out.
//!
//! Promises that an accepted request lies inside `cursor..=bound`, is aligned, and that no computation wraps.
//! Knows nothing of memory: it has no pointers, so that it can be fuzzed and proved alone.

#![forbid(unsafe_code)]

/// Bytes that may be added to any cursor without wrapping: no chunk may end above `usize::MAX - HEADROOM`.
///
/// It is what lets a request whose size is a constant be checked by one addition and one comparison. Every
/// operating system keeps at least this much at the top of the address space for itself.
pub const HEADROOM: usize = if usize::BITS >= 64 { 1 << 32 } else { 1 << 16 };

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

/// Whether a request of constant layout may take [`constant`]: nothing to align, and too small to wrap.
#[must_use]
pub const fn is_constant(size: usize, align: usize, min_align: usize) -> bool {
    align <= min_align && size <= HEADROOM - min_align
}

/// A request for which [`is_constant`] holds, `size` already rounded up to the minimum alignment.
///
/// One addition, one comparison: the addition cannot wrap, because `cursor <= usize::MAX - HEADROOM`.
#[must_use]
#[inline(always)]
pub const fn constant(cursor: usize, bound: usize, size: usize) -> Option<Bump> {
    let next = cursor + size;
    if next > bound { None } else { Some(Bump { start: cursor, cursor: next }) }
}

/// A request of any layout: `size` at most `isize::MAX` when rounded up to `align`, as every `Layout` is.
///
/// `cursor <= bound`, both multiples of `min_align`. No sum wraps: the padding is below `align`, so padding and
/// size together are at most `isize::MAX`; what fits below `bound` is an address.
#[must_use]
#[inline(always)]
pub const fn any(cursor: usize, bound: usize, size: usize, align: usize, min_align: usize) -> Option<Bump> {
    let padding = if align <= min_align { 0 } else { cursor.wrapping_neg() & (align - 1) };
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

    #[test]
    fn accepted_requests_are_aligned_and_inside() {
        let bound = 4096;
        for cursor in (0..=bound).step_by(8) {
            for align in [1usize, 2, 8, 16, 64, 256, 4096] {
                for size in [0usize, 1, 7, 8, 9, 63, 64, 1000, 4096] {
                    match any(cursor, bound, size, align, 8) {
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
        for cursor in (0..512).step_by(8) {
            for size in 0..512 {
                assert!(is_constant(size, 8, 8));
                assert_eq!(
                    constant(cursor, 256, round_up(size, 8)),
                    if cursor <= 256 { any(cursor, 256, size, 8, 8) } else { None }
                );
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
                let _ = any(cursor, top, 0, align, 8);
            }
            assert_eq!(constant(cursor, top, round_up(HEADROOM - 8, 8)), None);
        }
        assert!(!is_constant(HEADROOM, 8, 8));
        assert!(!is_constant(8, 16, 8));
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
