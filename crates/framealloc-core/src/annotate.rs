//! Tells a memory checker which bytes may be touched. Compiles to nothing outside a sanitizer build.

#![allow(clippy::inline_always, reason = "these must vanish where they do nothing")]

#[cfg(asan)]
unsafe extern "C" {
    fn __asan_poison_memory_region(address: *const core::ffi::c_void, size: usize);
    fn __asan_unpoison_memory_region(address: *const core::ffi::c_void, size: usize);
}

/// These bytes are free: touching them is an error until they are handed out again.
#[inline(always)]
pub(crate) fn free(start: *mut u8, bytes: usize) {
    #[cfg(asan)]
    // SAFETY: the runtime only marks its shadow of the range, which the caller owns.
    unsafe {
        __asan_poison_memory_region(start.cast(), bytes);
    }
    #[cfg(not(asan))]
    let _ = (start, bytes);
}

/// These bytes are handed out.
#[inline(always)]
pub(crate) fn used(start: *mut u8, bytes: usize) {
    #[cfg(asan)]
    // SAFETY: the runtime only marks its shadow of the range, which the caller owns.
    unsafe {
        __asan_unpoison_memory_region(start.cast(), bytes);
    }
    #[cfg(not(asan))]
    let _ = (start, bytes);
}
