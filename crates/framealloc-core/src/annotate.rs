//! Tells a memory checker which bytes may be touched, and fills bytes for those who have no checker.
//!
//! There are the address sanitizer (`--cfg asan`), valgrind's memcheck (`--cfg memcheck`), models of threads, and none, for which all this
//! compiles to nothing. The feature `debug_fill` adds the fills. Called where memory is handed out, reset and freed.

#![allow(clippy::inline_always, reason = "these must vanish where they do nothing")]

#[cfg_attr(asan, path = "annotate/asan.rs")]
#[cfg_attr(all(memcheck, not(asan)), path = "annotate/memcheck.rs")]
#[cfg_attr(all(test, loom, feature = "std"), path = "annotate/loom.rs")]
#[cfg_attr(not(any(asan, memcheck, all(test, loom, feature = "std"))), path = "annotate/none.rs")]
mod checker;

/// Every byte of memory that is handed out, until it is written; with the feature `debug_fill`.
///
/// Words of it are no plausible sizes or counts, and no addresses: `0xcdcd_cdcd_cdcd_cdcd` is none on any 64-bit system.
#[cfg(feature = "debug_fill")]
pub const FRESH_FILL: u8 = 0xcd;

/// Every byte of memory that was freed, or whose frame, scope or scratch arena ended, until it is handed out again; with the
/// feature `debug_fill`.
#[cfg(feature = "debug_fill")]
pub const FREED_FILL: u8 = 0xdd;

/// Whether it matters which bytes are free: elsewhere nobody looks for them.
pub(crate) const LISTENS: bool = cfg!(any(asan, memcheck, feature = "debug_fill", all(test, loom, feature = "std")));

/// Whether what lies behind the bytes that were asked for, up to the end of a pool's object, is kept from the user.
#[cfg(feature = "std")]
pub(crate) const SLACK_IS_FREE: bool = cfg!(any(asan, memcheck, feature = "hardened"));

/// Bytes that a block of `size` bytes takes in a frame. Under `--cfg redzone` there is a gap behind each, which is never handed
/// out: of two granules of the address sanitizer, so that one of them is free whatever the alignment of the next block.
#[inline(always)]
pub(crate) const fn span(size: usize, min_align: usize) -> usize {
    const GAP: usize = 16;
    if cfg!(redzone) && size != 0 { size + if min_align > GAP { min_align } else { GAP } } else { size }
}

/// These bytes are handed out; what is in them means nothing.
///
/// # Safety
///
/// The caller owns the bytes, which are valid for writes.
#[inline(always)]
pub(crate) unsafe fn fresh(start: *mut u8, bytes: usize) {
    checker::undefined(start, bytes);
    #[cfg(feature = "debug_fill")]
    {
        // SAFETY: the caller's promise.
        unsafe { start.write_bytes(FRESH_FILL, bytes) };
        checker::undefined(start, bytes);
    }
}

/// These bytes were handed out and are free: touching them is an error until they are handed out again.
///
/// # Safety
///
/// As for [`fresh`].
#[inline(always)]
pub(crate) unsafe fn freed(start: *mut u8, bytes: usize) {
    #[cfg(feature = "debug_fill")]
    {
        checker::undefined(start, bytes);
        // SAFETY: the caller's promise.
        unsafe { start.write_bytes(FREED_FILL, bytes) };
    }
    checker::noaccess(start, bytes);
}

/// These bytes came from a backend and are for nobody yet.
#[inline(always)]
pub(crate) fn withheld(start: *mut u8, bytes: usize) {
    checker::noaccess(start, bytes);
}

/// These bytes are for whoever is called next: the backend that gets them back, or the one that asked for them.
#[inline(always)]
pub(crate) fn passed_on(start: *mut u8, bytes: usize) {
    checker::undefined(start, bytes);
}

/// These bytes, which were written and [`withheld`], may be read.
#[cfg(feature = "hardened")]
#[inline(always)]
pub(crate) fn readable(start: *mut u8, bytes: usize) {
    checker::defined(start, bytes);
}
