//! Defects that allocators of this kind had in the field, each by a test named after it.
//!
//! What cannot be written is in `compile/`: then the test here names the programs, and `compile.rs` runs them.

#![cfg(feature = "std")]

#[path = "defects/arenas.rs"]
mod arenas;
#[path = "defects/budgets.rs"]
mod budgets;
#[path = "defects/pools.rs"]
mod pools;
mod support;

use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use framealloc_core::AllocConfig;

fn small() -> AllocConfig {
    AllocConfig::default().with_frame_chunk(1024, 4096)
}

/// Runs `f` on a thread of its own: what waits for a lock for ever is a failure.
#[track_caller]
fn in_time(f: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let worker = thread::spawn(move || {
        f();
        done.send(()).unwrap();
    });
    match is_done.recv_timeout(Duration::from_secs(60)) {
        Ok(()) => worker.join().unwrap(),
        Err(mpsc::RecvTimeoutError::Disconnected) => resume_unwind(worker.join().unwrap_err()),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a lock is waited for"),
    }
}

/// That each program is among those that must not compile, and fails with the error that starts so.
#[track_caller]
fn does_not_compile(programs: &[(&str, &str)]) {
    for (name, error) in programs {
        let read = |file: &str| {
            let path = format!("{}/tests/compile/{name}/{file}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let text = read("fail.stderr");
        assert!(text.lines().any(|line| line.starts_with(error)), "{name} does not fail with {error:?}:\n{text}");
        assert!(read("fail.rs").contains("fn main") && read("pass.rs").contains("fn main"), "{name} has no main");
    }
}

const BORROWED: &str = "error[E0502]";
const MOVED: &str = "error[E0505]";
const ESCAPES: &str = "error[E0521]";
const NOT_SEND: &str = "error[E0277]";
const LIFETIME: &str = "error: lifetime may not live long enough";
