//! Programs that end where a broken one has to: each is a test, which runs itself again.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::ptr::NonNull;

/// SIGABRT, everywhere.
const ABORTED: i32 = 6;

/// Runs `corrupt` in a process of its own. It says which address it frees wrongly, and does so: the process is to abort with one
/// line on stderr, with that address and `fault` in it.
#[track_caller]
pub(crate) fn dies(test: &str, event: &str, fault: &str, corrupt: impl FnOnce(fn(NonNull<u8>))) {
    const MARK: &str = "FRAMEALLOC_TEST_CORRUPTS";
    if std::env::var(MARK).is_ok_and(|running| running == test) {
        return corrupt(|address| println!("frees {address:p}"));
    }
    let child = Command::new(std::env::current_exe().expect("a test binary"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, test)
        .output()
        .expect("the test binary starts");
    let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    let address =
        out.lines().find_map(|line| line.strip_prefix("frees ").or(line.split_once(" frees ").map(|it| it.1)));
    let address = address.unwrap_or_else(|| panic!("{test} did not run: {out}"));
    assert_eq!(child.status.signal(), Some(ABORTED), "{test}: {}\n{err}", child.status);
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.starts_with(&format!("framealloc: {event} {address} (")), "of {address}: {err}");
    assert!(err.contains(fault), "{fault}: {err}");
}
