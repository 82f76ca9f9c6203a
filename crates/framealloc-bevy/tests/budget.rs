//! A budget in the world: limits in systems, pressure as messages and events, files.

#![cfg(feature = "budget")]
#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

mod support;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use framealloc_bevy::EachFixedStep;
use framealloc_bevy::prelude::*;
use support::{MinimalPlugins, app, app_with};

#[derive(Resource, Default)]
struct Heard {
    messages: Vec<Pressure>,
    events: Vec<Pressure>,
}

fn particles(memory: FrameMemory, wanted: Res<Wanted>) {
    memory.with_tag("particles", |a| {
        let frame = a.frame();
        let made = (0..wanted.0).take_while(|&id| frame.try_alloc(id).is_ok()).count();
        assert!(made <= 1000);
    });
}

#[derive(Resource)]
struct Wanted(u64);

fn heard(budget: Budget) -> App {
    let mut app = app_with(FrameAllocPlugin::default().with_budget(budget));
    app.init_resource::<Heard>().insert_resource(Wanted(0)).add_systems(Update, particles);
    app.add_systems(PreUpdate, |mut messages: MessageReader<FramePressure>, mut heard: ResMut<Heard>| {
        heard.messages.extend(messages.read().map(|told| told.pressure.clone()));
    });
    app.add_observer(|told: On<FramePressure>, mut heard: ResMut<Heard>| heard.events.push(told.pressure.clone()));
    app
}

#[test]
fn pressure_is_a_message_and_an_event_before_the_systems_of_the_next_frame() {
    let policy = PressurePolicy { exit_ratio: 0.9, hysteresis: 2, renotify: 0 };
    let budget = Budget::new().with_pressure(policy).with_tag("particles", Limit::soft(4000).with_hard(8000));
    let mut app = heard(budget);
    let mut step = |wanted: u64| {
        app.insert_resource(Wanted(wanted));
        app.update();
        let heard = std::mem::take(&mut *app.world_mut().resource_mut::<Heard>());
        assert_eq!(heard.messages, heard.events);
        heard.messages.into_iter().map(|told| (told.level, told.used, told.frame)).collect::<Vec<_>>()
    };
    assert_eq!(step(100), []);
    assert_eq!(step(600), []);
    // Of the frame before.
    assert_eq!(step(5000), [(Level::Soft, 4800, 3)]);
    assert_eq!(step(0), [(Level::Hard, 8000, 4)]);
    assert_eq!(step(0), []);
    assert_eq!(step(0), [(Level::Normal, 0, 6)]);
    assert_eq!(step(0), []);
}

#[test]
fn a_system_moves_a_limit_which_holds_from_the_next_frame_on() {
    let mut app = heard(Budget::new().with_tag("particles", Limit::hard(8000)));
    app.insert_resource(Wanted(1000));
    app.add_systems(PostUpdate, |budget: Res<FrameBudget>| {
        budget.set_limit(Account::tag("particles"), Limit::hard(800)).unwrap();
    });
    let used = |app: &App| app.world().resource::<FrameBudget>().metrics().last().unwrap().tags[1].peak;
    app.update();
    app.update();
    assert_eq!(used(&app), 8000);
    app.update();
    assert_eq!(used(&app), 800);
}

#[test]
fn what_the_program_listens_to_itself_it_still_hears() {
    let (tell, told) = std::sync::mpsc::channel();
    let budget = Budget::new()
        .with_tag("particles", Limit::soft(80))
        .on_pressure(move |pressure| tell.send(pressure.clone()).unwrap());
    let mut app = heard(budget);
    app.insert_resource(Wanted(100));
    app.update();
    app.update();
    assert_eq!(told.try_iter().count(), 1);
    assert_eq!(app.world().resource::<Heard>().events.len(), 1);
}

#[test]
fn a_budget_comes_from_a_file_whose_mistakes_are_named() {
    let folder = std::env::temp_dir().join(format!("framealloc-bevy-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (good, bad) = (folder.join("good.toml"), folder.join("bad.toml"));
    fs::write(&good, "[tags.particles]\nhard = \"4 KiB\"\n").unwrap();
    fs::write(&bad, "[tags.particles]\nsoft = \"8 KiB\"\nhard = \"4 KiB\"\n").unwrap();
    let mut app = app_with(FrameAllocPlugin::default().with_budget_file(&good));
    app.add_systems(Update, |memory: FrameMemory| {
        memory.with_tag("particles", |a| {
            assert!(a.frame().try_alloc_slice_fill(4096, 0u8).is_ok());
            assert!(a.frame().try_alloc(0u64).is_err());
        });
    });
    app.update();
    let error = FrameAllocPlugin::default().try_with_budget_file(&bad).unwrap_err();
    assert!(error.file.as_deref() == Some(&*bad) && error.line.is_some(), "{error}");
    let panic = catch_unwind(|| FixedFrameAllocPlugin::default().with_budget_file(folder.join("none")));
    assert!(panic.unwrap_err().downcast_ref::<String>().unwrap().contains("none"));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn fixed_steps_have_a_budget_of_their_own() {
    let mut app = App::new();
    app.add_plugins((
        MinimalPlugins,
        FrameAllocPlugin::default().with_budget(Budget::new().with_frame(Limit::soft(1000))),
        FixedFrameAllocPlugin::default().with_budget(Budget::new().with_frame(Limit::soft(10))),
    ));
    app.init_resource::<Heard>();
    app.add_systems(bevy_app::FixedUpdate, |steps: FixedFrameMemory, updates: FrameMemory| {
        steps.frame().alloc([0u64; 20]);
        updates.frame().alloc([0u64; 20]);
    });
    app.add_observer(|told: On<FramePressure<EachFixedStep>>, mut heard: ResMut<Heard>| {
        heard.events.push(told.pressure.clone());
    });
    app.add_observer(|told: On<FramePressure>| panic!("{told:?}"));
    for _ in 0..3 {
        app.world_mut().run_schedule(bevy_app::FixedMain);
    }
    app.update();
    assert_eq!(app.world().resource::<Heard>().events.len(), 1);
    assert_eq!(app.world().resource::<FrameBudget>().metrics().last().unwrap().bytes, 3 * 160);
}

#[test]
fn one_budget_governs_one_allocator() {
    let budget = Budget::new();
    let first = app_with(FrameAllocPlugin::default().with_budget(budget.clone()));
    let again = || app_with(FrameAllocPlugin::default().with_budget(budget.clone()));
    let second = catch_unwind(AssertUnwindSafe(again));
    let text = second.err().unwrap();
    let text = text.downcast_ref::<String>().unwrap();
    assert!(text.contains("a budget governs one allocator"), "{text}");
    drop(first);
    app_with(FrameAllocPlugin::default().with_budget(budget)).update();
}

#[cfg(not(feature = "tracy"))]
#[test]
fn without_a_budget_there_is_none() {
    let mut app = app();
    app.update();
    assert!(app.world().get_resource::<FrameBudget>().is_none());
}

#[cfg(feature = "tracy")]
#[test]
fn for_tracy_there_is_one_without_limits() {
    let mut app = app();
    app.update();
    app.world().resource::<FrameBudget>().each_limit(|of| panic!("{of:?}"));
}

#[test]
fn a_message_of_pressure_lives_for_two_updates_as_others_do() {
    let mut app = heard(Budget::new().with_tag("particles", Limit::soft(80)));
    // One that looks in every other update only.
    app.add_systems(
        Last,
        |mut messages: MessageReader<FramePressure>, mut updates: Local<u32>, mut late: ResMut<Late>| {
            *updates += 1;
            if (*updates).is_multiple_of(2) {
                late.0 += messages.read().count();
            }
        },
    );
    app.init_resource::<Late>();
    for update in 0..20 {
        app.insert_resource(Wanted(if update < 10 { 0 } else { 100 }));
        app.update();
    }
    assert_eq!((app.world().resource::<Late>().0, app.world().resource::<Heard>().messages.len()), (1, 1));
}

#[derive(Resource, Default)]
struct Late(usize);

#[test]
fn a_budget_for_an_allocator_that_is_there_already_is_a_panic_that_says_so() {
    let mut app = App::new();
    app.add_plugins(MinimalPlugins).insert_resource(FrameAlloc::default());
    let plugin = FrameAllocPlugin::default().with_budget(Budget::new());
    let panic = catch_unwind(AssertUnwindSafe(|| _ = app.add_plugins(plugin))).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("there is a `FrameAlloc` already, which this budget cannot govern"), "{text}");
}

#[test]
fn a_budget_whose_resource_is_gone_is_told_nothing_any_more_and_holds() {
    let mut app = heard(Budget::new().with_tag("particles", Limit::soft(80).with_hard(160)));
    app.insert_resource(Wanted(100));
    let budget = (**app.world().resource::<FrameBudget>()).clone();
    app.world_mut().remove_resource::<FrameBudget>();
    for _ in 0..5 {
        app.update();
    }
    assert_eq!(app.world().resource::<Heard>().events, []);
    assert_eq!(budget.metrics().last().unwrap().tags[1].peak, 160);
}

#[cfg(feature = "system_tags")]
#[test]
fn names_of_systems_leave_the_limits_of_tags_alone() {
    let budget = Budget::new().with_tag("particles", Limit::hard(80));
    let mut app = app_with(FrameAllocPlugin::default().with_system_tags().with_budget(budget));
    app.insert_resource(Wanted(1000)).add_systems(Update, particles);
    for _ in 0..3 {
        app.update();
    }
    let metrics = app.world().resource::<FrameBudget>().metrics();
    assert_eq!(metrics.tags().iter().map(|tag| &**tag).collect::<Vec<_>>(), ["", "particles"]);
    assert_eq!(metrics.last().unwrap().tags[1].peak, 80);
    let tags = app.world().resource::<FrameAlloc>().tags();
    assert!(tags.iter().any(|of| of.tag.name().ends_with("::particles") && of.bytes == 80), "{tags:?}");
}
