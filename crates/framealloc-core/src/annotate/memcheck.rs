//! Valgrind's memcheck: client requests, which are a few instructions that do nothing unless valgrind runs the program.

#[cfg(not(target_arch = "x86_64"))]
compile_error!("`--cfg memcheck` knows the client requests of x86_64 only");

/// The requests of `memcheck.h` that are needed here: the tool's name, `MC`, in the upper half, and a number.
#[derive(Clone, Copy)]
enum Request {
    NoAccess = 0x4d43_0000,
    Undefined = 0x4d43_0001,
    #[cfg(feature = "hardened")]
    Defined = 0x4d43_0002,
}

#[inline]
fn mark(request: Request, start: *mut u8, bytes: usize) {
    let arguments = [request as usize, start.addr(), bytes, 0, 0, 0];
    // SAFETY: the four rotations add up to 128 bits, which leaves `rdi` as it was, and a register exchanged with itself stays
    // as it is: only flags change. Valgrind knows the sequence, reads the arguments at `rax`, and puts its answer into `rdx`.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") 0usize => _,
            options(nostack),
        );
    }
}

#[inline(always)]
pub(super) fn noaccess(start: *mut u8, bytes: usize) {
    mark(Request::NoAccess, start, bytes);
}

#[inline(always)]
pub(super) fn undefined(start: *mut u8, bytes: usize) {
    mark(Request::Undefined, start, bytes);
}

#[cfg(feature = "hardened")]
#[inline(always)]
pub(super) fn defined(start: *mut u8, bytes: usize) {
    mark(Request::Defined, start, bytes);
}
