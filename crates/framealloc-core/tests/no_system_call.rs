//! The warm frame makes no system call. A test of its own: after a fork, pages that are written fault.
#![cfg(target_os = "linux")]

mod support;

use framealloc_core::*;
use support::warm::frame_of_3_mb;

#[test]
#[cfg_attr(asan, ignore = "the sanitizer makes system calls of its own")]
fn warm_frame_makes_no_system_call() {
    assert_eq!(where_system_calls_kill(|| ()), Ok(()));
    // The kernel would have told.
    let one_call = || {
        // SAFETY: a call without arguments.
        unsafe { libc::syscall(libc::SYS_getppid) };
    };
    assert_eq!(where_system_calls_kill(one_call), Err(libc::SIGKILL));
}

/// Plays a hundred frames in a process of their own, and then a thousand and `more` in seccomp's strict mode, in which a thread
/// may read, write and exit, and is killed for anything else: seccomp(2). The signal that ended it, if one did.
fn where_system_calls_kill(more: impl FnOnce()) -> Result<(), i32> {
    // SAFETY: the child has this thread only. It uses nothing that another one could have left locked but the heap, which the C
    // library sees to, and does not come back.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut alloc = SmartAlloc::default();
            for frame in 0..1_100 {
                if frame == 100 {
                    // SAFETY: takes rights away, and touches no memory.
                    let refused = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) };
                    assert_eq!(refused, 0, "{}", std::io::Error::last_os_error());
                }
                alloc.begin_frame();
                std::hint::black_box(frame_of_3_mb(&alloc, frame));
                alloc.end_frame();
            }
            more();
            // What it holds goes with the process: giving it back would be calls.
            std::mem::forget(alloc);
        }));
        // SAFETY: ends the thread, which is the only one. `exit_group`, which libraries call, is not allowed.
        unsafe { libc::syscall(libc::SYS_exit, i32::from(played.is_err())) };
    }
    assert!(child > 0, "{}", std::io::Error::last_os_error());
    let mut status = 0;
    // SAFETY: waits for the child, and writes its status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFSIGNALED(status) {
        return Err(libc::WTERMSIG(status));
    }
    assert_eq!(libc::WEXITSTATUS(status), 0, "the child panicked");
    Ok(())
}
