//! Size classes: ten powers of two, chosen by the larger of size and alignment, so that every object is aligned.

use core::alloc::Layout;

/// Number of classes.
pub(super) const CLASSES: usize = 10;

/// Bytes of an object of the smallest class. Free objects hold no link, so that any size would do; this is a slot's.
const SMALLEST: usize = 8;

/// Bytes of an object of the largest class.
const LARGEST: usize = SMALLEST << (CLASSES - 1);

/// Objects a thread may keep of one class: half of them change hands at a time, which makes the depot's lock rare enough
/// where one thread allocates and another frees. Twice as many gain little more and strand twice as much.
pub(super) const LIMIT: usize = 256;

/// Bytes a thread may keep of one class, so that idle threads strand little.
const LIMIT_BYTES: usize = 32 << 10;

/// The class that serves `layout`; `None` above the largest.
#[inline(always)]
pub(super) const fn of(layout: Layout) -> Option<usize> {
    // All three are combined by `or`: only the highest bit of each matters, and the alignment has but one.
    let need = (layout.size().saturating_sub(1)) | (layout.align() - 1) | (SMALLEST - 1);
    if need >= LARGEST { None } else { Some((need.ilog2() + 1 - SMALLEST.ilog2()) as usize) }
}

/// Bytes of an object of `class`.
#[inline(always)]
pub(super) const fn size(class: usize) -> usize {
    SMALLEST << class
}

/// Objects a thread keeps of `class` at most.
#[inline(always)]
pub(super) const fn limit(class: usize) -> usize {
    let by_bytes = LIMIT_BYTES >> (class + SMALLEST.ilog2() as usize);
    if by_bytes < LIMIT { by_bytes } else { LIMIT }
}

/// Objects that change hands between a thread and the depot at a time.
pub(super) const fn batch(class: usize) -> usize {
    limit(class) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(size: usize, align: usize) -> Option<usize> {
        of(Layout::from_size_align(size, align).unwrap())
    }

    #[test]
    fn class_is_the_smallest_that_holds_size_and_alignment() {
        for shift in 0..14 {
            let align = 1 << shift;
            for bytes in 1..=5000 {
                let need = bytes.max(align);
                let expected = (0..CLASSES).find(|&class| size(class) >= need);
                assert_eq!(class(bytes, align), expected, "{bytes} bytes aligned to {align}");
            }
        }
    }

    #[test]
    fn thread_keeps_a_bounded_number_of_bytes_of_each_class() {
        for class in 0..CLASSES {
            assert!(limit(class) <= LIMIT && limit(class) * size(class) <= LIMIT_BYTES);
            assert!(batch(class) >= 1 && batch(class) * 2 == limit(class));
        }
    }
}
