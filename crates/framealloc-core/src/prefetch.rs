//! Asks for lines of memory before they are needed. Compiles to nothing on processors where that was not measured.

#![allow(clippy::inline_always, reason = "a prefetch that is called comes late")]

/// Asks for the line at `address`, which is needed in a while. Any address will do, also one that is no memory's.
///
/// Not as [`to_write`], which costs a loop of 64-byte values a tenth where a cache has the memory.
#[inline(always)]
pub(crate) fn ahead(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint, which changes nothing that a program can see and faults at no address.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// Asks for the line at `address`, to be written: for what may lie in another core's cache.
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn to_write(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: as in `ahead`; processors that lack the instruction take it for none.
    unsafe {
        core::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}
