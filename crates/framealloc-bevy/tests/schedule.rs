//! Where a frame begins and ends, in every kind of app, and what becomes of one whose allocator is gone.

#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use bevy_app::prelude::*;
use bevy_ecs::error::{BevyError, ErrorContext};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::SingleThreadedExecutor;
use bevy_ecs::system::{RunSystemOnce, SystemState};
use framealloc_bevy::prelude::*;
use framealloc_bevy::{FrameAllocSettings, FrameAllocSystems};
use support::{MinimalPlugins, Named, app, app_with, frame, last, take};

#[derive(Resource, Default)]
struct Seen(Vec<u64>);

fn note(memory: FrameMemory, mut seen: ResMut<Seen>) {
    seen.0.push(memory.stats().frame);
}

#[test]
fn all_schedules_of_an_update_are_in_one_frame() {
    let mut app = app();
    app.init_resource::<Seen>()
        .add_systems(PreStartup, note)
        .add_systems(Startup, note)
        .add_systems(First, note)
        .add_systems(PreUpdate, note)
        .add_systems(Update, note)
        .add_systems(PostUpdate, note)
        .add_systems(Last, note);
    for update in 1..=3 {
        app.update();
        let seen = std::mem::take(&mut app.world_mut().resource_mut::<Seen>().0);
        assert_eq!(seen.len(), if update == 1 { 7 } else { 5 });
        // What was allocated while the app was built was the first one.
        assert!(seen.iter().all(|&frame| frame == update + 1), "{seen:?}");
    }
}

#[test]
fn memory_of_an_update_is_there_until_the_next_one_begins() {
    let mut app = app();
    app.add_systems(Update, |memory: FrameMemory, mut commands: Commands| {
        commands.insert_resource(Named(memory.publish(memory.stats().frame)));
    });
    app.add_systems(First, |memory: FrameMemory, named: Option<Res<Named<u64>>>| {
        if let Some(named) = named {
            let error = memory.get(named.0).unwrap_err();
            assert_eq!(error.handle_frame() + 1, memory.stats().frame);
        }
    });
    app.add_systems(Last, |memory: FrameMemory, named: Res<Named<u64>>| {
        assert_eq!(memory.get(named.0), Ok(&memory.stats().frame));
    });
    for _ in 0..3 {
        app.update();
        // Extraction to another world comes here.
        let world = app.world();
        assert!(world.resource::<FrameAlloc>().get(world.resource::<Named<u64>>().0).is_ok());
    }
}

#[test]
fn what_start_up_allocates_belongs_to_the_frame_that_ends_next() {
    let mut app = app();
    // While the app is built: no frame of an update.
    app.world().resource::<FrameAlloc>().frame().alloc_slice_fill(100, 0u64);
    app.add_systems(Startup, take(1600));
    app.update();
    assert_eq!(last(&app).bytes_allocated, 800);
    app.update();
    assert_eq!(last(&app).bytes_allocated, 1600);
    app.update();
    assert_eq!(last(&app).bytes_allocated, 0);
}

#[test]
fn frames_may_end_in_last_and_that_may_change() {
    let mut app = app_with(FrameAllocPlugin::default().with_boundary(FrameBoundary::Last));
    app.init_resource::<Seen>();
    app.add_systems(First, note);
    app.add_systems(Last, (note.before(FrameAllocSystems), note.after(FrameAllocSystems)).chain());
    let seen = |app: &mut App| {
        app.update();
        std::mem::take(&mut app.world_mut().resource_mut::<Seen>().0)
    };
    assert_eq!(seen(&mut app), [1, 1, 2]);
    assert_eq!(seen(&mut app), [2, 2, 3]);
    app.world_mut().resource_mut::<FrameAllocSettings>().boundary = FrameBoundary::Top;
    assert_eq!(seen(&mut app), [4, 4, 4]);
    assert_eq!(seen(&mut app), [5, 5, 5]);
    app.world_mut().remove_resource::<FrameAllocSettings>();
    assert_eq!(seen(&mut app), [6, 6, 6]);
}

#[test]
fn systems_may_come_before_and_after_the_boundary() {
    let mut app = app();
    app.init_resource::<Seen>();
    app.add_systems(Main, (note.before(FrameAllocSystems), note.after(FrameAllocSystems).before(Main::run_main)));
    app.update();
    assert_eq!(app.world().resource::<Seen>().0, [1, 2]);
}

#[test]
fn any_app_will_do() {
    // Without plugins, by hand.
    let mut bare = App::new();
    bare.add_plugins((support::task_pools(), FrameAllocPlugin::default())).add_systems(Update, take(64));
    // With one thread for all.
    let mut single = app();
    single.add_systems(Update, take(64));
    single.edit_schedule(Update, |schedule| _ = schedule.set_executor(SingleThreadedExecutor::new()));
    // By its runner, to the end.
    let mut run = app();
    run.add_systems(
        Update,
        (take(64), |mut frames: Local<u32>, mut exit: MessageWriter<AppExit>| {
            *frames += 1;
            if *frames == 5 {
                exit.write(AppExit::Success);
            }
        }),
    );
    for app in [&mut bare, &mut single] {
        for _ in 0..5 {
            app.update();
        }
        assert_eq!((frame(app), last(app).bytes_allocated), (6, 64));
    }
    assert_eq!(run.run(), AppExit::Success);
}

#[test]
fn apps_of_one_process_do_not_see_each_others_frames() {
    let mut apps = [app(), app(), app()];
    for app in &mut apps {
        app.add_systems(Update, |memory: FrameMemory, mut commands: Commands| {
            commands.insert_resource(Named(memory.publish(7u32)));
        });
    }
    for round in 0..4 {
        for at in 0..3 {
            apps[at].update();
            let [this, other] = [at, (at + 1) % 3].map(|at| apps[at].world());
            let handle = this.resource::<Named<u32>>().0;
            assert_eq!(this.resource::<FrameAlloc>().get(handle), Ok(&7));
            assert!(other.resource::<FrameAlloc>().get(handle).unwrap_err().is_foreign());
            if round > 0 {
                // The other one's frame is still there, whatever happens to this one's.
                let theirs = other.resource::<Named<u32>>().0;
                assert_eq!(other.resource::<FrameAlloc>().get(theirs), Ok(&7));
            }
        }
    }
    // One that goes takes nothing of the others with it.
    let [first, mut second, _] = apps;
    drop(first);
    second.update();
    assert_eq!(frame(&second), 6);
}

#[derive(Event)]
struct Hit(u32);

#[test]
fn observers_exclusive_and_one_shot_systems_have_frame_memory() {
    let mut app = app();
    app.add_observer(|hit: On<Hit>, memory: FrameMemory| {
        memory.frame().alloc_slice_fill(hit.0 as usize, 0u64);
    });
    app.add_systems(Update, |mut commands: Commands| commands.trigger(Hit(10)));
    app.add_systems(PostUpdate, |world: &mut World, state: &mut SystemState<FrameMemory>| {
        let memory = state.get(world).unwrap();
        let kept = memory.frame().alloc_slice_fill(20, 1u64);
        assert_eq!(kept.iter().sum::<u64>(), 20);
        // By the resource, too, as long as the world is not needed otherwise.
        world.resource::<FrameAlloc>().frame().alloc(3u64);
    });
    let one_shot = app.register_system(|memory: FrameMemory| memory.frame().alloc_slice_fill(30, 0u64).len());
    app.update();
    assert_eq!(app.world_mut().run_system(one_shot).unwrap(), 30);
    app.world_mut().run_system_once(take(8)).unwrap();
    app.update();
    assert_eq!(last(&app).bytes_allocated, 8 * (10 + 20 + 1 + 30 + 1));
}

#[test]
fn a_frame_is_no_change_of_the_resource() {
    let mut app = app();
    app.add_systems(Update, take(64));
    app.update();
    app.world_mut().clear_trackers();
    app.add_systems(Last, |alloc: Res<FrameAlloc>| assert!(!alloc.is_changed() || alloc.is_added()));
    app.update();
    app.update();
}

static ERRORS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn keep_error(error: BevyError, context: ErrorContext) {
    ERRORS.lock().unwrap().push(format!("{context}: {error}"));
}

#[test]
fn an_allocator_that_is_gone_is_a_clear_error_and_may_come_back() {
    let mut app = app();
    app.set_error_handler(keep_error);
    app.init_resource::<Seen>();
    app.add_systems(Update, note);
    app.add_systems(PostUpdate, |memory: Option<FrameMemory>, mut seen: ResMut<Seen>| {
        seen.0.push(if memory.is_some() { 100 } else { 0 });
    });
    app.update();
    assert_eq!(app.world().resource::<Seen>().0, [2, 100]);
    app.world_mut().remove_resource::<FrameAlloc>();
    app.update();
    app.update();
    assert_eq!(app.world().resource::<Seen>().0, [2, 100, 0, 0]);
    let errors = std::mem::take(&mut *ERRORS.lock().unwrap());
    assert_eq!(errors.len(), 2);
    assert!(errors.iter().all(|error| error.contains("add `FrameAllocPlugin`")), "{errors:?}");
    app.insert_resource(FrameAlloc::default());
    app.update();
    assert_eq!(app.world().resource::<Seen>().0, [2, 100, 0, 0, 2, 100]);
    assert_eq!(ERRORS.lock().unwrap().len(), 0);
}

#[test]
#[should_panic(expected = "add `FrameAllocPlugin`")]
fn without_a_handler_the_error_is_a_panic_that_names_the_plugin() {
    App::new().add_plugins(MinimalPlugins).add_systems(Update, take(1)).update();
}

#[test]
fn a_lease_that_is_out_keeps_the_frame_open_and_the_app_alive() {
    let mut app = app();
    app.add_systems(Update, take(64));
    app.update();
    let lease = app.world().resource::<FrameAlloc>().lease();
    let kept = lease.frame().alloc_slice_fill(100, 9u8);
    for _ in 0..3 {
        app.update();
    }
    assert_eq!(frame(&app), 2);
    assert!(kept.iter().all(|&byte| byte == 9));
    drop(lease);
    app.update();
    assert_eq!((frame(&app), last(&app).bytes_allocated), (3, 4 * 64 + 104));
}

#[test]
fn a_frame_survives_a_panic_in_a_system() {
    let mut app = app();
    app.update();
    // A schedule of its own: what a panic leaves of the app's is Bevy's affair.
    let mut schedule = Schedule::default();
    schedule.add_systems(|memory: FrameMemory, mut runs: Local<u32>| {
        *runs += 1;
        let mut list = memory.frame().vec();
        list.extend((0..1000).map(Box::new));
        let published = memory.publish(String::from("dropped with its frame"));
        assert_eq!(memory.get(published).unwrap().len(), 22);
        memory.with_tag("tag", |a| {
            a.frame().alloc([0u64; 100]);
            assert!((*runs).is_multiple_of(2), "odd run");
        });
    });
    for run in 1..=20 {
        let result = catch_unwind(AssertUnwindSafe(|| schedule.run(app.world_mut())));
        assert_eq!(result.is_ok(), run % 2 == 0);
        app.update();
        let alloc = app.world().resource::<FrameAlloc>();
        assert_eq!(alloc.stats().frame, run + 2);
        assert_eq!((alloc.tags()[0].bytes, alloc.stats().last_frame.destructors), (800, 1));
    }
}

#[test]
fn an_allocator_that_is_there_is_kept() {
    let mut app = App::new();
    app.insert_resource(FrameAlloc::new(AllocConfig::default().with_frames_in_flight(2)));
    app.add_plugins((MinimalPlugins, FrameAllocPlugin::default()));
    let handle = app.world().resource::<FrameAlloc>().publish(7);
    app.update();
    assert_eq!(app.world().resource::<FrameAlloc>().get(handle), Ok(&7));
    app.update();
    assert!(app.world().resource::<FrameAlloc>().get(handle).is_err());
}

#[test]
#[should_panic(expected = "FrameAllocPlugin: the number of frames in flight is 0")]
fn a_configuration_that_is_refused_is_a_panic_that_names_the_value() {
    let _app = app_with(FrameAllocPlugin::new(|| AllocConfig::default().with_frames_in_flight(0)));
}

#[test]
fn the_allocator_may_be_replaced_between_updates() {
    let mut app = app();
    app.add_systems(Update, take(64));
    app.update();
    let handle = app.world().resource::<FrameAlloc>().publish(1);
    *app.world_mut().resource_mut::<FrameAlloc>() = FrameAlloc::default();
    app.update();
    assert!(app.world().resource::<FrameAlloc>().get(handle).unwrap_err().is_foreign());
}

#[test]
fn settings_that_are_there_are_kept() {
    let mut app = App::new();
    let mut settings = FrameAllocSettings::default();
    settings.boundary = FrameBoundary::Last;
    app.insert_resource(settings).add_plugins((MinimalPlugins, FrameAllocPlugin::default()));
    app.update();
    assert_eq!(app.world().resource::<FrameAllocSettings>().boundary, FrameBoundary::Last);
}

#[test]
fn a_destructor_that_panics_is_a_panic_of_the_update_and_the_memory_is_reclaimed() {
    struct Explodes;
    impl Drop for Explodes {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let mut app = app();
    app.world().resource::<FrameAlloc>().publish(Explodes);
    let kept = app.world().resource::<FrameAlloc>().publish(1);
    assert!(catch_unwind(AssertUnwindSafe(|| app.update())).is_err());
    let alloc = app.world().resource::<FrameAlloc>();
    assert!(alloc.get(kept).is_err());
    assert_eq!((alloc.stats().frame, alloc.stats().last_frame.destructors), (2, 1));
}
