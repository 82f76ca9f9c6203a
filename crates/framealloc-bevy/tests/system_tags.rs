//! What each system takes, under its name.

#![cfg(feature = "system_tags")]
#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use framealloc_bevy::prelude::*;
use support::{MinimalPlugins, app_with};

fn broad_phase(memory: FrameMemory) {
    memory.frame().alloc_slice_fill(100, 0u64);
}

fn narrow_phase(alloc: Res<FrameAlloc>, mut commands: Commands) {
    alloc.with_tag("contacts", |a| a.frame().alloc_slice_fill(10, 0u64).len());
    alloc.frame().alloc_slice_fill(5, 0u64);
    commands.queue(|world: &mut World| {
        world.resource::<FrameAlloc>().frame().alloc(0u64);
    });
}

fn ends_frames(mut alloc: ResMut<FrameAlloc>) {
    // It has the allocator to itself, and so no scope around it.
    alloc.trim();
    alloc.frame().alloc([0u64; 3]);
}

fn exclusive(world: &mut World) {
    world.resource::<FrameAlloc>().frame().alloc([0u64; 4]);
}

fn reads_all(world: &World) {
    world.resource::<FrameAlloc>().frame().alloc([0u64; 6]);
}

fn fails(memory: FrameMemory) -> Result {
    memory.frame().alloc([0u64; 7]);
    Err("as it was meant to".into())
}

fn without(_time: Res<bevy_time::Time>) {}

fn tags(app: &App) -> Vec<(String, usize, usize)> {
    let short = |name: &str| name.rsplit("::").next().unwrap_or_default().to_owned();
    let tags = app.world().resource::<FrameAlloc>().tags().iter();
    let mut tags: Vec<_> = tags.map(|of| (short(of.tag.name()), of.bytes, of.scopes)).collect();
    tags.sort();
    tags
}

#[test]
fn systems_that_read_the_allocator_have_tags_of_their_names() {
    static FAILED: AtomicUsize = AtomicUsize::new(0);
    let mut app = app_with(FrameAllocPlugin::default().with_system_tags());
    app.set_error_handler(|_, _| _ = FAILED.fetch_add(1, Ordering::Relaxed));
    app.add_systems(Update, (broad_phase, narrow_phase, ends_frames, exclusive, fails, without).chain());
    app.add_systems(PostUpdate, reads_all);
    app.add_systems(Startup, broad_phase);
    let expected = |broad: usize| {
        [("broad_phase", 800 * broad, broad), ("contacts", 80, 1), ("fails", 56, 1), ("narrow_phase", 120, 1)]
            .into_iter()
            .chain([("reads_all", 48, 1)])
            .map(|(name, bytes, scopes)| (name.to_owned(), bytes, scopes))
            .collect::<Vec<_>>()
    };
    app.update();
    app.update();
    assert_eq!(tags(&app), expected(2));
    app.update();
    assert_eq!(tags(&app), expected(1));
    // What is in no scope: of the exclusive systems and of the command.
    assert_eq!(support::last(&app).bytes_allocated, 800 + 120 + 56 + 48 + 24 + 32 + 8);
    assert_eq!(FAILED.load(Ordering::Relaxed), 3);
}

#[test]
fn schedules_of_the_first_update_are_tagged_wherever_frames_end() {
    let plugin = FrameAllocPlugin::default().with_boundary(FrameBoundary::Last).with_system_tags();
    let mut app = app_with(plugin);
    app.add_systems(Update, broad_phase);
    app.update();
    assert_eq!(tags(&app), [("broad_phase".to_owned(), 800, 1)]);
    // Nor are they tagged twice when that changes.
    app.world_mut().resource_mut::<FrameAllocSettings>().boundary = FrameBoundary::Top;
    app.update();
    app.update();
    assert_eq!(tags(&app), [("broad_phase".to_owned(), 800, 1)]);
}

#[test]
fn what_runs_while_a_system_waits_is_not_that_systems() {
    use std::sync::atomic::AtomicU32;
    static RAN: AtomicU32 = AtomicU32::new(0);
    fn waits(memory: FrameMemory) {
        memory.frame().alloc([0u64; 2]);
        bevy_tasks::ComputeTaskPool::get().scope(|scope| {
            scope.spawn(async {
                for _ in 0..100_000 {
                    if RAN.load(Ordering::SeqCst) == 8 {
                        break;
                    }
                    bevy_tasks::futures_lite::future::yield_now().await;
                }
            });
        });
    }
    fn small<const N: usize>(memory: FrameMemory) {
        memory.frame().alloc([0u64; 10]);
        RAN.fetch_add(1, Ordering::SeqCst);
    }
    let mut app = app_with(FrameAllocPlugin::default().with_system_tags());
    app.add_systems(Update, (waits, small::<1>, small::<2>, small::<3>, small::<4>));
    app.add_systems(Update, (small::<5>, small::<6>, small::<7>, small::<8>));
    for _ in 0..10 {
        RAN.store(0, Ordering::SeqCst);
        app.update();
        app.update();
        let found = tags(&app);
        assert_eq!(found.iter().find(|(name, ..)| name == "waits").map(|of| of.1), Some(16), "{found:?}");
    }
}

#[test]
fn without_the_option_there_are_none() {
    let mut app = app_with(FrameAllocPlugin::default());
    app.add_systems(Update, broad_phase);
    app.update();
    app.update();
    assert_eq!(tags(&app), []);
}

#[test]
fn a_schedule_that_ran_before_is_left_as_it_is() {
    let mut app = app_with(FrameAllocPlugin::default().with_system_tags());
    app.add_systems(PreUpdate, broad_phase).add_systems(Update, broad_phase);
    app.world_mut().run_schedule(PreUpdate);
    for _ in 0..3 {
        app.update();
    }
    assert_eq!(tags(&app), [("broad_phase".to_owned(), 800, 1)]);
    assert_eq!(support::last(&app).bytes_allocated, 1600);
}

#[test]
fn run_conditions_sets_and_order_stay() {
    #[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
    struct Physics;
    #[derive(Resource, Default)]
    struct Order(Vec<&'static str>);
    fn a(_memory: FrameMemory, mut order: ResMut<Order>) {
        order.0.push("a");
    }
    fn b(_memory: FrameMemory, mut order: ResMut<Order>) {
        order.0.push("b");
    }
    fn never(_memory: FrameMemory, mut order: ResMut<Order>) {
        order.0.push("never");
    }
    let mut app = app_with(FrameAllocPlugin::default().with_system_tags());
    app.init_resource::<Order>();
    app.add_systems(Update, (b.after(a), a.in_set(Physics), never.run_if(|| false)));
    app.add_systems(Update, (|mut order: ResMut<Order>| order.0.push("before")).before(Physics));
    app.update();
    app.update();
    assert_eq!(app.world().resource::<Order>().0, ["before", "a", "b"].repeat(2));
}

#[test]
fn fixed_steps_have_tags_in_their_own_allocator() {
    fn step(steps: FixedFrameMemory, updates: FrameMemory) {
        steps.frame().alloc([0u64; 2]);
        updates.frame().alloc([0u64; 3]);
    }
    let mut app = App::new();
    app.add_plugins((
        MinimalPlugins,
        FrameAllocPlugin::default().with_system_tags(),
        FixedFrameAllocPlugin::default().with_system_tags(),
    ));
    app.add_systems(FixedUpdate, step);
    // One that reads the memory of a step in the update.
    app.add_systems(Update, |steps: FixedFrameMemory| _ = steps.frame().alloc([0u64; 7]));
    app.update();
    app.world_mut().run_schedule(bevy_app::FixedMain);
    app.world_mut().run_schedule(bevy_app::FixedMain);
    app.update();
    let bytes = |tags: &[framealloc::TagStats]| tags.iter().map(|of| (of.bytes, of.scopes)).collect::<Vec<_>>();
    assert_eq!(bytes(app.world().resource::<FrameAlloc>().tags()), [(48, 2)]);
    let steps = bytes(app.world().resource::<FixedFrameAlloc>().tags());
    assert!(steps.contains(&(16, 1)) && steps.len() == 2, "{steps:?}");
}

/// A system that reads the allocator as a component of some entities only: Bevy would run it beside one that writes it in the others, where the
/// resource is.
#[test]
fn a_tagged_system_does_not_run_beside_one_that_writes_the_allocator() {
    use bevy_ecs::schedule::{LogLevel, ScheduleBuildSettings};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[derive(Component)]
    struct Other;
    fn reads(_: Query<&FrameAlloc, With<Other>>) {}
    fn writes(_: Query<&mut FrameAlloc, Without<Other>>) {}
    let conflicts = |plugin: FrameAllocPlugin| {
        let mut app = app_with(plugin);
        app.add_systems(Update, (reads, writes));
        app.edit_schedule(Update, |schedule| {
            let settings = ScheduleBuildSettings { ambiguity_detection: LogLevel::Error, ..Default::default() };
            schedule.set_build_settings(settings);
        });
        catch_unwind(AssertUnwindSafe(|| app.update())).is_err()
    };
    assert!(!conflicts(FrameAllocPlugin::default()));
    assert!(conflicts(FrameAllocPlugin::default().with_system_tags()));
}
