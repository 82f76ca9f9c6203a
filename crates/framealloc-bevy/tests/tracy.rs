//! What a viewer of Tracy sees of an app: framealloc's frames in a line of their own, systems as tags, and the main line where the app asks
//! for it. This process connects to another one, as the viewer does.

#![cfg(all(feature = "tracy", target_os = "linux"))]
#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

#[path = "../../framealloc-budget/tests/tracy/decoder.rs"]
#[allow(dead_code, reason = "another test looks at more")]
mod decoder;
#[path = "../../framealloc-budget/tests/tracy/viewer.rs"]
#[allow(dead_code, reason = "another test looks at more")]
mod viewer;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bevy_app::FixedMain;
use bevy_app::prelude::*;
use decoder::Event;
use framealloc_bevy::prelude::*;
use tracy_client::Client;
use viewer::{PROTOCOL, Viewer, free_port};

const UPDATES: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);

fn particles(memory: FrameMemory) {
    memory.with_tag("particles", |a| a.frame().alloc_slice_fill(1000, 0u64).len());
}

#[test]
#[ignore = "the process that the other test looks at"]
fn game() {
    let Some(headless) = std::env::var_os("TEST_HEADLESS") else { return };
    // As Bevy's log plugin does.
    let client = Client::start();
    println!("\n> started");
    let update = FrameAllocPlugin::default();
    let update = if headless == "1" { update.with_tracy_frame_mark() } else { update };
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), update, FixedFrameAllocPlugin::default()));
    app.add_systems(Update, particles);
    while !Client::is_connected() {
        std::thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..UPDATES {
        app.update();
        app.world_mut().run_schedule(FixedMain);
        app.world_mut().run_schedule(FixedMain);
    }
    // The last of all, in each of the client's two queues.
    app.update();
    client.secondary_frame_mark(tracy_client::frame_name!("over"));
    std::io::stdin().lines().next();
}

/// Marks by name, and the last value of each plot.
fn look(headless: bool) -> (BTreeMap<String, usize>, BTreeMap<String, f64>) {
    let port = free_port().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["game", "--exact", "--ignored", "--nocapture"])
        .envs([("TRACY_PORT", port.to_string()), ("TRACY_NO_INVARIANT_CHECK", "1".into())])
        .env("TEST_HEADLESS", if headless { "1" } else { "0" })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap() == "> started").unwrap().unwrap();
    let mut viewer = Viewer::connect(port, PROTOCOL, Instant::now() + PATIENCE).unwrap();
    assert_eq!(viewer.pid, u64::from(child.id()));
    let (mut marks, mut plots) = (BTreeMap::<String, usize>::new(), BTreeMap::new());
    let tagged = "framealloc: particles";
    let mut points = 0;
    while !marks.contains_key("over") || points < UPDATES {
        match viewer.next_event().unwrap() {
            Event::FrameMark { name } => {
                let name = if name == 0 { String::new() } else { viewer.frame_name(name).unwrap() };
                *marks.entry(name).or_default() += 1;
            }
            Event::PlotData { name, value } => {
                let name = viewer.plot_name(name).unwrap();
                points += usize::from(name == tagged);
                plots.insert(name, value);
            }
            _ => {}
        }
    }
    drop(viewer);
    writeln!(child.stdin.take().unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
    (marks, plots)
}

#[test]
fn frames_have_a_line_of_their_own_and_the_main_one_only_on_request() {
    for headless in [false, true] {
        let (marks, plots) = look(headless);
        // The first update's end comes before there is a stage that the viewer has seen begin, at most.
        let (updates, steps) = (marks["framealloc"], marks["framealloc_fixed"]);
        assert!((UPDATES..=UPDATES + 1).contains(&updates), "{marks:?}");
        assert!((2 * UPDATES - 1..=2 * UPDATES).contains(&steps), "{marks:?}");
        let main = marks.get("").copied();
        assert_eq!(main, headless.then_some(UPDATES + 1), "{marks:?}");
        assert_eq!(plots["framealloc: particles"], 8000.0);
        assert!(plots["framealloc: committed"] > 0.0);
    }
}
