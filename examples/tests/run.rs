//! Runs every example, and looks for the line that says what it showed. An example asserts its own claims.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// None takes more than seconds; one that hangs must not hang the tests.
const LIMIT: Duration = Duration::from_secs(120);

fn run(program: &str, line: &str) {
    let mut child = Command::new(program).stdout(Stdio::piped()).spawn().expect("the example starts");
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().expect("the example can be waited for") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().expect("the example can be ended");
            panic!("{program} still runs after {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    // What an example prints is less than a pipe holds: reading can wait until the end.
    let mut output = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut output).expect("text");
    assert!(status.success(), "{status}, after\n{output}");
    assert!(output.lines().any(|printed| printed.contains(line)), "no line with {line:?} in\n{output}");
}

macro_rules! examples {
    ($($name:ident: $line:literal;)*) => {
        $(#[test]
        fn $name() {
            run(env!(concat!("CARGO_BIN_EXE_", stringify!($name))), $line);
        })*
    };
}

examples! {
    bevy_contacts: "1 stale list told apart";
    game_loop: "no memory was taken after the first";
    job_system: "12611 contacts";
    rayon_collect: "26007 of 200000 spheres visible";
    render_handoff: "none was freed early";
    soa: "both layouts end at checksum";
    custom_backend: "every page came back";
    particles: "all came back";
    from_bumpalo: "the same results from both";
    third_party: "refused inside hashbrown: the backend has no memory for";
}
