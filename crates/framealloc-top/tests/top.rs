//! The program as its users run it, without a terminal.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use framealloc_budget::bytes::{kib, mib};
use framealloc_budget::{Budget, Limit, LiveConfig};
use framealloc_core::{AllocConfig, SmartAlloc};

fn top(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_framealloc-top")).args(words).output().expect("the program starts")
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn once_prints_a_frame_of_a_running_game() {
    let budget = Budget::new()
        .with_committed(Limit::soft(mib(4)).with_hard(mib(8)))
        .with_tag("physics", Limit::hard(kib(64)))
        .with_tag("physics/contacts", Limit::soft(kib(16)));
    let view = budget.serve_live(LiveConfig::new(anywhere()).with_title("a small game")).unwrap();
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
    let over = AtomicBool::new(false);
    let output = thread::scope(|s| {
        s.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                alloc.with_tag("physics", |a| {
                    a.frame().alloc_slice_fill(kib(8), 0u8);
                    a.with_tag("contacts", |a| a.frame().alloc_slice_fill(kib(24), 0u8).len());
                    // One byte too many.
                    assert!(a.frame().try_alloc_slice_fill(kib(32) + 1, 0u8).is_err());
                });
                alloc.end_frame();
                thread::sleep(Duration::from_millis(2));
            }
        });
        let output = top(&["--once", &view.address().to_string()]);
        over.store(true, Ordering::Relaxed);
        output
    });
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), &*errors), (Some(0), ""), "{said}");
    let row = |name: &str| {
        let line = said.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{said}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(said.starts_with("a small game\nframe "), "{said}");
    assert!(row("physics").starts_with("physics 32.0 KiB H █████░░░░░ 50 % 64.0 KiB"), "{said}");
    assert!(row("contacts").starts_with("contacts 24.0 KiB S ██████████ 150 % ~16.0 KiB"), "{said}");
    assert!(row("frame ").contains("bytes 32.0 KiB") && row("worst").contains("32.0 KiB"), "{said}");
    let committed = row("committed ");
    let last = framealloc_budget::bytes::display(budget.metrics().last().unwrap().committed).to_string();
    assert!(committed.starts_with(&format!("committed {last} n")) && committed.contains("8.00 MiB"), "{said}");
}

#[test]
fn once_without_a_game_is_one_line_and_exit_code_1() {
    let nobody = TcpListener::bind(anywhere()).unwrap().local_addr().unwrap().to_string();
    let output = top(&[&nobody, "--once"]);
    let errors = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.is_empty(), errors.lines().count()), (Some(1), true, 1));
    assert!(errors.starts_with(&format!("error: nobody shows frames at {nobody}: ")), "{errors}");
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let output = top(&[]);
    let errors = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.is_empty(), errors.lines().count()), (Some(1), true, 1));
    assert!(errors.contains("not a terminal") && errors.contains("--once"), "{errors}");
}

#[test]
fn a_bad_argument_is_one_line_and_exit_code_2() {
    let output = top(&["somewhere"]);
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true));
    assert_eq!(text(&output.stderr).lines().count(), 1);
    let output = top(&["--version"]);
    assert_eq!(text(&output.stdout), format!("framealloc-top {}\n", env!("CARGO_PKG_VERSION")));
}
