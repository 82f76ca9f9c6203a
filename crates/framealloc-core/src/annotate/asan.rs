//! The address sanitizer: marks its shadow of the address space. It knows nothing of undefined bytes.

unsafe extern "C" {
    fn __asan_poison_memory_region(address: *const core::ffi::c_void, size: usize);
    fn __asan_unpoison_memory_region(address: *const core::ffi::c_void, size: usize);
}

#[inline(always)]
pub(super) fn noaccess(start: *mut u8, bytes: usize) {
    // SAFETY: the runtime marks its shadow of the range, and touches nothing in it.
    unsafe { __asan_poison_memory_region(start.cast(), bytes) }
}

#[inline(always)]
pub(super) fn undefined(start: *mut u8, bytes: usize) {
    // SAFETY: as above.
    unsafe { __asan_unpoison_memory_region(start.cast(), bytes) }
}

#[cfg(feature = "hardened")]
#[inline(always)]
pub(super) fn defined(start: *mut u8, bytes: usize) {
    undefined(start, bytes);
}
