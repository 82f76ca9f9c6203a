//! The program as jobs run it, for a moment.

use std::process::{Command, Output};

fn stress(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stress")).args(words).output().expect("the program starts")
}

#[test]
fn any_number_of_threads_plays() {
    for threads in ["1", "2", "5", "8"] {
        let output = stress(&["--threads", threads, "--frames", "12", "--seed", threads]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.starts_with(&format!("stress: {threads} threads, 12 frames")), "{text}");
        assert!(text.ends_with("all as expected\n"), "{text}");
    }
}

#[test]
fn a_mistake_is_code_2() {
    for mistake in [&["--threads", "0"][..], &["--threads"], &["--frames", "x"], &["--no-such-flag", "1"]] {
        let output = stress(mistake);
        assert_eq!(output.status.code(), Some(2), "{mistake:?}");
        assert!(output.stdout.is_empty());
    }
}
