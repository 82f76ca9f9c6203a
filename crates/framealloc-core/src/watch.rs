//! Bytes that are watched behind a block, for the features `hardened` and `trace`: written when it is handed out, looked at later.
//!
//! Promises that whoever wrote into them ends the program, with one line.

use core::alloc::Layout;
use core::fmt::{self, Write as _};
use core::ptr::NonNull;

use crate::annotate;

/// Bytes that are watched behind a block, as far as there are as many.
pub(crate) const WATCHED: usize = 16;

/// What watched bytes hold. An overrun that writes this very byte is not seen.
const CANARY: u8 = 0xc5;

/// The watched bytes of memory of which `size` bytes are the user's, and `whole` bytes are there.
#[inline]
fn tail(memory: NonNull<u8>, size: usize, whole: usize) -> (*mut u8, usize) {
    (memory.as_ptr().wrapping_add(size), (whole - size).min(WATCHED))
}

/// Watches what lies behind memory of `size` bytes.
///
/// # Safety
///
/// `whole` bytes are valid, of which those behind `size` are nobody's.
#[inline]
pub(crate) unsafe fn watch(memory: NonNull<u8>, size: usize, whole: usize) {
    let (start, count) = tail(memory, size, whole);
    annotate::passed_on(start, count);
    // SAFETY: the caller's promise.
    unsafe { start.write_bytes(CANARY, count) };
    annotate::withheld(start, count);
}

/// Watches the bytes right before memory.
///
/// # Safety
///
/// [`WATCHED`] bytes before it are valid, and nobody's.
#[cfg(feature = "trace")]
pub(crate) unsafe fn watch_front(memory: NonNull<u8>) {
    // SAFETY: the caller's promise.
    unsafe { watch(memory.sub(WATCHED), 0, WATCHED) };
}

/// Ends the program if what is watched right before memory for `layout` was written to.
///
/// # Safety
///
/// As for [`watch_front`], which was called for this memory.
#[cfg(feature = "trace")]
pub(crate) unsafe fn inspect_front<O: fmt::Display>(
    event: &str,
    memory: NonNull<u8>,
    layout: Layout,
    origin: impl FnOnce() -> Option<O>,
) {
    let start = memory.as_ptr().wrapping_sub(WATCHED);
    annotate::readable(start, WATCHED);
    // SAFETY: written by `watch_front`.
    let bytes = unsafe { start.cast::<[u8; WATCHED]>().read() };
    // The nearest to the block.
    if let Some(at) = bytes.iter().rev().position(|&byte| byte != CANARY) {
        let (byte, before) = (bytes[WATCHED - 1 - at], at + 1);
        let underrun = format_args!("underrun: byte {before} before its start is {byte:#04x} instead of {CANARY:#04x}");
        fail_from(event, memory, layout, underrun, origin());
    }
    annotate::withheld(start, WATCHED);
}

/// Ends the program if what is watched behind memory for `layout` was written to; `origin` says where it came from, if that is known.
///
/// # Safety
///
/// As for [`watch`], which was called for this memory.
#[inline]
pub(crate) unsafe fn inspect<O: fmt::Display>(
    event: &str,
    memory: NonNull<u8>,
    layout: Layout,
    whole: usize,
    origin: impl FnOnce() -> Option<O>,
) {
    let (start, count) = tail(memory, layout.size(), whole);
    annotate::readable(start, count);
    let mut bytes = [CANARY; WATCHED];
    // SAFETY: written by `watch`, and no more than the array has.
    unsafe { start.copy_to_nonoverlapping(bytes.as_mut_ptr(), count) };
    if bytes != [CANARY; WATCHED]
        && let Some(at) = bytes.iter().position(|&byte| byte != CANARY)
    {
        let byte = bytes[at];
        let overrun = format_args!("overrun: byte {at} behind its end is {byte:#04x} instead of {CANARY:#04x}");
        fail_from(event, memory, layout, overrun, origin());
    }
    annotate::withheld(start, count);
}

/// [`fail`], with where the block came from, if that is known.
#[cold]
fn fail_from<O: fmt::Display>(
    event: &str,
    memory: NonNull<u8>,
    layout: Layout,
    fault: fmt::Arguments<'_>,
    origin: Option<O>,
) -> ! {
    match origin {
        Some(origin) => fail(event, memory, layout, format_args!("{fault}; {origin}")),
        None => fail(event, memory, layout, fault),
    }
}

/// Says what is wrong, in one line and one write, and ends the program.
#[cold]
#[inline(never)]
pub(crate) fn fail(event: &str, memory: NonNull<u8>, layout: Layout, fault: fmt::Arguments<'_>) -> ! {
    /// A line without memory of the heap, which may be what is broken.
    struct Line {
        text: [u8; 512],
        len: usize,
    }
    impl fmt::Write for Line {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            // Room is kept for the line's end.
            let count = text.len().min(self.text.len() - 1 - self.len);
            self.text[self.len..][..count].copy_from_slice(&text.as_bytes()[..count]);
            self.len += count;
            Ok(())
        }
    }
    let mut line = Line { text: [0; 512], len: 0 };
    let (size, align) = (layout.size(), layout.align());
    let _ = write!(line, "framealloc: {event} {memory:p} ({size} bytes aligned to {align}): {fault}");
    line.text[line.len] = b'\n';
    let _ = std::io::Write::write_all(&mut std::io::stderr(), &line.text[..=line.len]);
    std::process::abort()
}
