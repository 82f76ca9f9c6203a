//! The free parts of one piece of address space: first fit, coalescing, kept outside of the memory it describes.
//!
//! Promises that ranges taken are aligned, lie inside the piece and never overlap, and that giving one back never
//! allocates. Pure arithmetic on addresses: the memory itself is its owner's business.

#![forbid(unsafe_code)]

use alloc::vec::Vec;
use core::alloc::Layout;
use core::ops::Range;

/// What is free of a piece of address space.
#[derive(Debug)]
pub(super) struct Ranges {
    whole: Range<usize>,
    /// Free ranges in the order of their addresses, no two of them touching; meaningless while nothing is taken,
    /// so that a piece nobody uses costs no heap memory.
    ///
    /// `n` blocks leave at most `n + 1` gaps between them, and [`take`](Self::take) keeps room for that many.
    free: Vec<Range<usize>>,
    /// Ranges that are taken.
    live: usize,
}

impl Ranges {
    /// `size` bytes from the address `start`, all free.
    pub(super) const fn new(start: usize, size: usize) -> Self {
        Self { whole: start..start + size, free: Vec::new(), live: 0 }
    }

    /// The lowest address with room for `layout`, whose size is not 0.
    pub(super) fn take(&mut self, layout: Layout) -> Option<usize> {
        let gaps = self.live + 2;
        if self.live == 0 {
            self.free.clear();
        }
        if self.free.capacity() < gaps {
            self.free.try_reserve(gaps - self.free.len()).ok()?;
        }
        if self.live == 0 {
            self.free.push(self.whole.clone());
        }
        let (index, start) = self.free.iter().enumerate().find_map(|(index, free)| {
            let start = free.start.checked_next_multiple_of(layout.align())?;
            (start.checked_add(layout.size())? <= free.end).then_some((index, start))
        })?;
        let Range { start: low, end: high } = self.free[index].clone();
        let end = start + layout.size();
        match (low < start, end < high) {
            (false, false) => drop(self.free.remove(index)),
            (true, false) => self.free[index] = low..start,
            (false, true) => self.free[index] = end..high,
            (true, true) => {
                self.free[index] = end..high;
                self.free.insert(index, low..start);
            }
        }
        self.live += 1;
        Some(start)
    }

    /// Makes `size` bytes at `start`, which were taken, free again.
    pub(super) fn give(&mut self, start: usize, size: usize) {
        let end = start + size;
        debug_assert!(self.live > 0 && self.whole.start <= start && end <= self.whole.end, "a block of another buffer");
        self.live -= 1;
        if self.live == 0 {
            return;
        }
        let index = self.free.partition_point(|free| free.start < start);
        let before = index.checked_sub(1).map(|i| self.free[i].clone());
        let after = self.free.get(index).cloned();
        debug_assert!(before.as_ref().is_none_or(|free| free.end <= start), "a block that is free already");
        debug_assert!(after.as_ref().is_none_or(|free| end <= free.start), "a block that is free already");
        match (before.is_some_and(|free| free.end == start), after.is_some_and(|free| free.start == end)) {
            (true, true) => self.free[index - 1].end = self.free.remove(index).end,
            (true, false) => self.free[index - 1].end = end,
            (false, true) => self.free[index].start = start,
            (false, false) => self.free.insert(index, start..end),
        }
    }

    /// Whether nothing is taken.
    #[cfg(any(test, all(feature = "std", target_os = "linux")))]
    pub(super) const fn is_unused(&self) -> bool {
        self.live == 0
    }

    /// Bytes that are free, in one piece or in several.
    pub(super) fn available(&self) -> usize {
        if self.live == 0 { self.whole.len() } else { self.free.iter().map(Range::len).sum() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// Against a model that marks every byte: whatever the order, taken ranges are aligned, inside and disjoint, a
    /// request is refused only if no gap would do, and freeing neither allocates nor loses a byte.
    #[test]
    fn every_order_of_taking_and_giving_keeps_the_ranges_exact() {
        const START: usize = 4096 + 24;
        const SIZE: usize = 512;
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 33).unwrap() % below
        };
        for _ in 0..200 {
            let mut ranges = Ranges::new(START, SIZE);
            let mut used = [false; SIZE];
            let mut live = Vec::new();
            for _ in 0..200 {
                if next(3) > 0 {
                    let wanted = layout(1 + next(60), 1 << next(7));
                    match ranges.take(wanted) {
                        Some(start) => {
                            assert_eq!(start % wanted.align(), 0);
                            for byte in &mut used[start - START..start - START + wanted.size()] {
                                assert!(!*byte, "handed out twice");
                                *byte = true;
                            }
                            live.push((start, wanted.size()));
                        }
                        None => assert!(
                            !(START..=START + SIZE - wanted.size()).any(|start| {
                                start % wanted.align() == 0
                                    && !used[start - START..start - START + wanted.size()].contains(&true)
                            }),
                            "refused although there is room"
                        ),
                    }
                } else if !live.is_empty() {
                    let (start, size) = live.swap_remove(next(live.len()));
                    let capacity = ranges.free.capacity();
                    ranges.give(start, size);
                    assert_eq!(ranges.free.capacity(), capacity, "freeing allocated");
                    used[start - START..start - START + size].fill(false);
                }
                assert_eq!(ranges.available(), used.iter().filter(|byte| !**byte).count());
                assert_eq!(ranges.is_unused(), live.is_empty());
            }
        }
    }

    #[test]
    fn requests_that_would_wrap_are_refused() {
        let mut ranges = Ranges::new(usize::MAX - 4096, 4096);
        assert_eq!(ranges.take(layout(1, 1 << (usize::BITS - 2))), None);
        assert_eq!(ranges.take(layout(isize::MAX as usize, 1)), None);
        assert_eq!(ranges.take(layout(4096, 1)), Some(usize::MAX - 4096));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "free already")]
    fn a_double_free_is_caught_in_debug_builds() {
        let mut ranges = Ranges::new(4096, 4096);
        let _first = ranges.take(layout(64, 64)).unwrap();
        let second = ranges.take(layout(64, 64)).unwrap();
        let _third = ranges.take(layout(64, 64)).unwrap();
        ranges.give(second, 64);
        ranges.give(second, 64);
    }
}
