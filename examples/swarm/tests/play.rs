//! The whole program, small: all kinds of memory come to one result, and mistakes are one line.

use std::process::{Command, Output};

fn swarm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_swarm")).args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn all_kinds_of_memory_come_to_one_result() {
    let json = std::env::temp_dir().join(format!("swarm-{}.json", std::process::id()));
    let path = json.to_str().unwrap();
    // Long enough for the burst and for what comes after it.
    let output = swarm(&["--frames", "610", "--bodies", "200", "--threads", "2", "--json", path]);
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{complained}\n{said}");
    assert!(said.contains("One checksum: ") && said.contains("| 2 | `FrameMemory` |"), "{said}");
    let figures: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    std::fs::remove_file(&json).unwrap();
    let figures = figures.as_array().unwrap();
    assert_eq!(figures.len(), 5);
    let of = |variant: &str, key: &str| {
        let each = figures.iter().filter(|figures| figures["variant"] == variant);
        each.map(|figures| figures[key].as_i64().unwrap()).collect::<Vec<_>>()
    };
    // The checks can fail: fresh lists do ask the heap, and frame memory does not.
    assert!(of("vec", "calls_p50").iter().all(|&calls| calls > 200));
    assert_eq!(of("framealloc", "calls_p50"), [0]);
    assert_eq!(of("local", "calls_p50"), [0]);
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    assert!(of("local", "held_after").iter().all(|&held| held > 20_000), "{said}");
}

#[test]
fn what_the_plugin_costs_is_printed() {
    let output = swarm(&["--overhead", "1000"]);
    assert!(output.status.success());
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(lines[4].starts_with("| with `FrameAllocPlugin` | "), "{lines:?}");
    assert!(swarm(&["--empty", "10", "--plugins", "update"]).status.success());
}

#[test]
fn a_mistake_is_one_line_and_code_2() {
    let output = swarm(&["--threads", "0"]);
    assert_eq!((output.status.code(), text(&output.stderr).lines().count()), (Some(2), 1));
}
