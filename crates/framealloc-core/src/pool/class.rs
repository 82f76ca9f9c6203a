//! Size classes: powers of two and what lies half-way between them, chosen by size and alignment so that every object is
//! aligned.
//!
//! Without the half-way ones a quarter of the memory would lie idle behind objects of random sizes.

use core::alloc::Layout;

use crate::stats::POOL_SIZES;

/// Number of sizes: 8, 16, 24, 32, 48, 64, 96 and so on to 4096 bytes.
const COUNT: usize = POOL_SIZES;

/// The first class of which every slab begins its objects at another line: see [`is_spread`].
const SPREAD: usize = 11;

/// Number of classes: one for each size, and one more for those sizes that are spread, whose objects are aligned to more than a
/// line.
pub(super) const CLASSES: usize = COUNT + (COUNT - SPREAD);

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// Bytes of an object of the smallest class. Free objects hold no link, so that any size would do; this is a slot's.
const SMALLEST: usize = 8;

/// Bytes of an object of the largest class.
const LARGEST: usize = SIZES[COUNT - 1];

/// Objects a thread may keep of one class: half of them change hands at a time, which makes the depot's lock rare enough
/// where one thread allocates and another frees. In a model so few that a handful of objects makes an exchange.
pub(super) const LIMIT: usize = if cfg!(all(test, loom)) { 4 } else { 512 };

/// Bytes a thread may keep of one class, so that idle threads strand little: 64 of the largest objects. With half of it
/// two threads spend more time on the exchange than on the objects.
const LIMIT_BYTES: usize = 256 << 10;

/// Bytes that an object has beside what is asked for.
#[cfg(feature = "hardened")]
const MARGIN: usize = super::guard::MARGIN;
#[cfg(not(feature = "hardened"))]
const MARGIN: usize = 0;

/// A class is found by its place: twice the position of the highest bit of size - 1, plus the bit below. 16 bytes have place
/// 7 and class 1.
const FIRST: u32 = 6;

const SIZES: [usize; CLASSES] = {
    let mut sizes = [SMALLEST; CLASSES];
    let mut class = 1;
    while class < COUNT {
        let place = class as u32 + FIRST;
        // Even places are three quarters of a power of two, odd ones the whole of it.
        sizes[class] = (3 + (place as usize & 1)) << (place / 2 - 1);
        class += 1;
    }
    while class < CLASSES {
        sizes[class] = sizes[class - (COUNT - SPREAD)];
        class += 1;
    }
    sizes
};

const LIMITS: [usize; CLASSES] = {
    let mut limits = [LIMIT; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        let by_bytes = (LIMIT_BYTES / SIZES[class]) & !1;
        if by_bytes < LIMIT {
            limits[class] = by_bytes;
        }
        class += 1;
    }
    limits
};

/// The class that serves `layout`; `None` above the largest.
#[inline(always)]
pub(super) const fn of(layout: Layout) -> Option<usize> {
    // All three are combined by `or`: only the two highest bits matter, and an alignment that sets the second one is too
    // large for three quarters of a power of two.
    let align = canary!("class_ignores_alignment", layout.align(), 1);
    let need = ((layout.size() + MARGIN).saturating_sub(1)) | (align - 1) | (SMALLEST - 1);
    if need >= LARGEST {
        return None;
    }
    let top = need.ilog2();
    let place = 2 * top + (need >> (top - 1) & 1) as u32;
    let class = place.saturating_sub(FIRST) as usize;
    Some(if class >= SPREAD && align > LINE { class + (COUNT - SPREAD) } else { class })
}

/// Whether the slabs of `class` begin their objects at different lines of a cache's sets, which such objects are aligned to and no
/// more.
///
/// The first lines of objects that lie 512 bytes apart, and those are used most, share an eighth of the sets of a cache; those of
/// larger objects fewer still.
#[inline(always)]
pub(super) const fn is_spread(class: usize) -> bool {
    class >= SPREAD && class < COUNT
}

const _: () = assert!(SIZES[SPREAD] == 512 && SIZES[SPREAD - 1] < 512);

/// Bytes of an object of `class`.
#[inline(always)]
pub(super) const fn size(class: usize) -> usize {
    SIZES[class]
}

/// Which of the sizes the objects of `class` have.
pub(super) const fn size_index(class: usize) -> usize {
    if class < COUNT { class } else { class - (COUNT - SPREAD) }
}

/// Objects a thread keeps of `class` at most.
#[inline(always)]
pub(super) const fn limit(class: usize) -> usize {
    LIMITS[class]
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
                let need = (bytes + MARGIN).max(align);
                let fits = |&class: &usize| size(class) >= need && size(class).is_multiple_of(align);
                let to_a_line = (0..COUNT).find(fits);
                let to_more = (COUNT..CLASSES).find(fits);
                let expected =
                    if align > LINE { to_a_line.filter(|&it| !is_spread(it)).or(to_more) } else { to_a_line };
                assert_eq!(class(bytes, align), expected, "{bytes} bytes aligned to {align}");
            }
        }
    }

    #[test]
    fn classes_grow_by_a_half_or_a_third() {
        let sizes: std::vec::Vec<_> = (0..COUNT).map(size).collect();
        assert_eq!(sizes[..7], [8, 16, 24, 32, 48, 64, 96]);
        assert_eq!(sizes[COUNT - 2..], [3072, 4096]);
        assert!(sizes.windows(2).skip(1).all(|pair| 2 * pair[1] <= 3 * pair[0]));
    }

    #[test]
    fn thread_keeps_a_bounded_number_of_bytes_of_each_class() {
        for class in 0..CLASSES {
            assert!(limit(class) <= LIMIT && limit(class) * size(class) <= LIMIT_BYTES);
            assert!(batch(class) >= 1 && batch(class) * 2 == limit(class));
        }
    }
}
