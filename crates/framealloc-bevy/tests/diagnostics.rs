//! Figures of frames where Bevy's own tools look for them.

#![cfg(feature = "diagnostics")]
#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

mod support;

use std::sync::Mutex;
use std::time::Duration;

use bevy_app::prelude::*;
use bevy_diagnostic::{DiagnosticPath, DiagnosticsPlugin, DiagnosticsStore, LogDiagnosticsPlugin};
use framealloc_bevy::prelude::*;
use support::{MinimalPlugins, app, app_with, take};

fn value(app: &App, path: &DiagnosticPath) -> Option<f64> {
    app.world().resource::<DiagnosticsStore>().get(path)?.value()
}

fn tagged(memory: FrameMemory) {
    memory.with_tag("physics", |a| {
        a.frame().alloc_slice_fill(100, 0u64);
        a.with_tag("contacts", |a| a.frame().alloc_slice_fill(50, 0u64).len());
    });
}

#[test]
fn each_frame_is_measured_under_the_constants_of_the_plugin() {
    let mut app = app();
    app.add_systems(Update, (take(1000), tagged));
    let texture = app.world().resource::<FrameAlloc>().heap_box([0u8; 10_000]);
    app.update();
    assert_eq!(value(&app, &FrameAllocPlugin::FRAME_BYTES), Some(0.0));
    assert_eq!(value(&app, &FrameAllocPlugin::tag_path("physics")), None);
    let committed = app.world().resource::<FrameAlloc>().stats().committed;
    app.update();
    assert_eq!(value(&app, &FrameAllocPlugin::FRAME_BYTES), Some(2200.0));
    assert_eq!(value(&app, &FrameAllocPlugin::tag_path("physics")), Some(1200.0));
    assert_eq!(value(&app, &FrameAllocPlugin::tag_path("contacts")), Some(400.0));
    // Measured between the two updates.
    assert_eq!(value(&app, &FrameAllocPlugin::COMMITTED), Some(committed as f64));
    let live = value(&app, &FrameAllocPlugin::POOL_LIVE).unwrap();
    assert!((10_000.0..12_000.0).contains(&live), "{live}");
    drop(texture);
    app.update();
    assert!(value(&app, &FrameAllocPlugin::POOL_LIVE).unwrap() < 2_000.0);
    #[cfg(feature = "count")]
    assert_eq!(value(&app, &FrameAllocPlugin::ALLOCATIONS), Some(3.0));
    assert_eq!(FrameAllocPlugin::FRAME_BYTES.as_str(), "framealloc/frame_bytes");
    assert_eq!(FrameAllocPlugin::tag_path("a//b/").as_str(), "framealloc/tag/a/b");
    assert_eq!(FrameAllocPlugin::tag_path("").as_str(), "framealloc/tag");
}

#[test]
fn fixed_steps_have_paths_of_their_own() {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, FixedFrameAllocPlugin::default()));
    app.add_systems(bevy_app::FixedUpdate, |memory: FixedFrameMemory| {
        memory.frame().alloc([0u64; 8]);
    });
    app.world_mut().run_schedule(bevy_app::FixedMain);
    app.world_mut().run_schedule(bevy_app::FixedMain);
    assert_eq!(value(&app, &FixedFrameAllocPlugin::FRAME_BYTES), Some(64.0));
    assert!(value(&app, &FixedFrameAllocPlugin::COMMITTED).unwrap() > 0.0);
    assert_eq!(value(&app, &FixedFrameAllocPlugin::POOL_LIVE), Some(0.0));
    assert_eq!(value(&app, &FrameAllocPlugin::FRAME_BYTES), None);
}

#[test]
fn one_that_is_disabled_is_not_measured_and_a_store_that_is_gone_is_missed_by_nobody() {
    let mut app = app();
    app.add_systems(Update, take(64));
    app.update();
    let mut store = app.world_mut().resource_mut::<DiagnosticsStore>();
    let frame_bytes = store.get_mut(&FrameAllocPlugin::FRAME_BYTES).unwrap();
    frame_bytes.is_enabled = false;
    frame_bytes.clear_history();
    app.update();
    assert_eq!(value(&app, &FrameAllocPlugin::FRAME_BYTES), None);
    app.world_mut().remove_resource::<DiagnosticsStore>();
    app.update();
    assert_eq!(support::frame(&app), 4);
}

#[cfg(feature = "budget")]
#[test]
fn each_limit_has_its_headroom() {
    let budget = Budget::new()
        .with_frame(Limit::soft(10_000))
        .with_tag("physics/contacts", Limit::soft(100).with_hard(500))
        .with_tag("later", Limit::hard(64));
    let mut app = app_with(FrameAllocPlugin::default().with_budget(budget));
    app.add_systems(Update, tagged);
    let headroom = |app: &App, account| value(app, &FrameAllocPlugin::headroom_path(&account));
    app.update();
    app.update();
    assert_eq!(headroom(&app, Account::Frame), Some(8_800.0));
    assert_eq!(headroom(&app, Account::tag("physics/contacts")), Some(100.0));
    assert_eq!(headroom(&app, Account::tag("later")), Some(64.0));
    assert_eq!(headroom(&app, Account::Committed), None);
    // A limit that comes and goes.
    let set = |app: &App, limit| app.world().resource::<FrameBudget>().set_limit(Account::Committed, limit).unwrap();
    set(&app, Limit::hard(bytes::mib(64)));
    app.update();
    app.update();
    let left = headroom(&app, Account::Committed).unwrap();
    assert!(left > 60e6, "{left}");
    set(&app, Limit::NONE);
    app.update();
    app.update();
    assert_eq!(headroom(&app, Account::tag("physics/contacts")), Some(100.0));
    assert_eq!(headroom(&app, Account::Committed), None, "nothing is said of a limit that is gone");
    assert_eq!(FrameAllocPlugin::headroom_path(&Account::tag("a/b")).as_str(), "framealloc/headroom/tag/a/b");
}

struct Lines(Mutex<Vec<String>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

static LINES: Lines = Lines(Mutex::new(Vec::new()));

#[test]
fn bevys_log_plugin_shows_them_and_what_is_wrong_is_said_once() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let mut app = app();
    app.add_plugins((
        DiagnosticsPlugin,
        LogDiagnosticsPlugin { wait_duration: Duration::ZERO, ..LogDiagnosticsPlugin::default() },
    ));
    app.add_systems(Update, (take(1000), tagged));
    for _ in 0..5 {
        app.update();
    }
    let lines = std::mem::take(&mut *LINES.0.lock().unwrap());
    for path in ["framealloc/frame_bytes", "framealloc/committed", "framealloc/pool_live", "framealloc/tag/physics"] {
        assert!(lines.iter().any(|line| line.contains(path)), "no line of {path} in {lines:#?}");
    }
    let said = |what: &str| LINES.0.lock().unwrap().iter().filter(|line| line.contains(what)).count();
    let alloc = app.world_mut().remove_resource::<FrameAlloc>().unwrap();
    app.world_mut().resource_mut::<bevy_ecs::schedule::Schedules>().remove(Update);
    for _ in 0..5 {
        app.update();
    }
    assert_eq!(said("there is no `FrameAlloc`, which `FrameAllocPlugin` inserted: no frame ends"), 1);
    let lease = alloc.lease();
    app.insert_resource(alloc);
    for _ in 0..5 {
        app.update();
    }
    assert_eq!(said("leases are out, 1 of them"), 1, "another reason");
    drop(lease);
    app.update();
    let lease = app.world().resource::<FrameAlloc>().lease();
    for _ in 0..5 {
        app.update();
    }
    assert_eq!(said("leases are out, 1 of them"), 2);
    drop(lease);
}
