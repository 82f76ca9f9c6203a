//! Assertions for tests of programs that have a budget.

use std::cmp::Ordering;

use framealloc_core::SmartAlloc;

/// Runs `f`; its result, and how many bytes of frame memory this thread has more afterwards.
#[doc(hidden)]
pub fn __within<R>(alloc: &SmartAlloc, f: impl FnOnce() -> R) -> (R, isize) {
    let handed_out = || alloc.frame().stats().bytes_allocated.cast_signed();
    let before = handed_out();
    let result = f();
    (result, handed_out() - before)
}

/// The figure against the bound of [`assert_frame_bytes!`](crate::assert_frame_bytes).
#[doc(hidden)]
#[must_use]
pub fn __compare(bytes: isize, bound: usize) -> Ordering {
    if bytes < 0 { Ordering::Less } else { bytes.cast_unsigned().cmp(&bound) }
}

/// Asserts how many bytes of an allocator's frame memory a closure keeps on this thread, and returns what the closure does. `<=`,
/// `<` or `==` and a number of bytes.
///
/// ```
/// use framealloc_budget::assert_frame_bytes;
/// use framealloc_core::SmartAlloc;
/// let alloc = SmartAlloc::default();
/// let contacts = assert_frame_bytes!(alloc, <= 4096, || alloc.frame().alloc_slice_fill(100, 0u64));
/// assert_frame_bytes!(alloc, == 0, || contacts[0] += 1);
/// ```
///
/// # Panics
///
/// If it is not so, with both figures.
#[macro_export]
macro_rules! assert_frame_bytes {
    ($alloc:expr, <= $bound:expr, $body:expr) => {
        $crate::__assert_frame_bytes!($alloc, "<=", is_le, $bound, $body)
    };
    ($alloc:expr, < $bound:expr, $body:expr) => {
        $crate::__assert_frame_bytes!($alloc, "<", is_lt, $bound, $body)
    };
    ($alloc:expr, == $bound:expr, $body:expr) => {
        $crate::__assert_frame_bytes!($alloc, "==", is_eq, $bound, $body)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __assert_frame_bytes {
    ($alloc:expr, $sign:literal, $is:ident, $bound:expr, $body:expr) => {{
        let bound: usize = $bound;
        let (result, bytes) = $crate::__within(&$alloc, $body);
        assert!(
            $crate::__compare(bytes, bound).$is(),
            "assertion failed: frame bytes {} {}: {} bytes",
            $sign,
            bound,
            bytes
        );
        result
    }};
}

/// Asserts that every account of a budget, or one that is named, kept its limits since the start: nothing was refused, granted
/// beyond a hard limit, or above a soft one.
///
/// ```
/// use framealloc_budget::{Budget, Limit, assert_budget};
/// use framealloc_core::{AllocConfig, SmartAlloc};
/// let budget = Budget::new().with_tag("ui", Limit::soft(1 << 10).with_hard(1 << 20));
/// let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
/// alloc.with_tag("ui", |a| a.frame().alloc([0u8; 1000]).len());
/// alloc.end_frame();
/// assert_budget!(budget);
/// assert_budget!(budget, "ui");
/// ```
///
/// # Panics
///
/// If it is not so, with the report. If the account that is named is unknown: a tag's path, for others see
/// [`Report::kept`](crate::Report::kept).
#[macro_export]
macro_rules! assert_budget {
    ($budget:expr) => {{
        let report = $budget.metrics().report();
        if let Err(broken) = report.kept(None) {
            panic!("assertion failed: {broken}\n{report}");
        }
    }};
    ($budget:expr, $tag:expr) => {{
        let report = $budget.metrics().report();
        if let Err(broken) = report.kept(Some(&$crate::Account::tag($tag))) {
            panic!("assertion failed: {broken}\n{report}");
        }
    }};
}

/// Asserts that the last `frames` frames of a budget's allocator were like one another: nothing was taken from the backends or given
/// back, refused, or granted beyond a limit. See [`Metrics::steady`](crate::Metrics::steady).
///
/// ```
/// use framealloc_budget::{Budget, assert_steady};
/// use framealloc_core::{AllocConfig, SmartAlloc};
/// let budget = Budget::new();
/// let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
/// for frame in 0..20u64 {
///     alloc.frame().alloc(frame);
///     alloc.end_frame();
/// }
/// assert_steady!(budget, 10);
/// ```
///
/// # Panics
///
/// If it is not so: the text names the frame.
#[macro_export]
macro_rules! assert_steady {
    ($budget:expr, $frames:expr) => {
        if let Err(unsteady) = $budget.metrics().steady($frames) {
            panic!("assertion failed: {unsteady}");
        }
    };
}
