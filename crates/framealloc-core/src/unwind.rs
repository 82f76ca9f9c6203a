//! User code that unwinds in the middle of a job: what is left of the job is done first.
//!
//! Promises that no panic is thrown while another one is under way, which would end the process, and that payloads whose own
//! destructors panic do no harm. Without `std` nothing can be caught: a panic ends the job.

#[cfg(feature = "std")]
use std::boxed::Box;
#[cfg(feature = "std")]
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What was thrown, to be thrown again when the rest is done.
#[cfg(feature = "std")]
pub(crate) type Panic = Box<dyn core::any::Any + Send>;
#[cfg(not(feature = "std"))]
pub(crate) type Panic = core::convert::Infallible;

/// Runs `f`; false if it unwound. The first panic is kept, later ones are dropped.
pub(crate) fn attempt(first: &mut Option<Panic>, f: impl FnOnce()) -> bool {
    #[cfg(feature = "std")]
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        match first {
            None => *first = Some(payload),
            Some(_) => discard(payload),
        }
        return false;
    }
    #[cfg(not(feature = "std"))]
    {
        let _ = first;
        f();
    }
    true
}

/// Runs `f`, and drops what it throws.
#[cfg(feature = "std")]
pub(crate) fn quietly(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        discard(payload);
    }
}

/// Throws the panic that was kept, if there is one and none is under way.
pub(crate) fn resume(first: Option<Panic>) {
    #[cfg(feature = "std")]
    if let Some(payload) = first {
        if std::thread::panicking() {
            discard(payload);
        } else {
            resume_unwind(payload);
        }
    }
    #[cfg(not(feature = "std"))]
    let _ = first;
}

/// Drops a payload, whose destructor may panic in its turn, with a payload that may do so as well: the last of a few is forgotten.
#[cfg(feature = "std")]
fn discard(mut payload: Panic) {
    for _ in 0..8 {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(worse) => payload = worse,
        }
    }
    core::mem::forget(payload);
}
