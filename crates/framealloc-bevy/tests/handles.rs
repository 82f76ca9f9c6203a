//! Frame data under handles, through everything that Bevy keeps: messages, commands, components and resources.

#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

mod support;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use framealloc_bevy::prelude::*;
use support::{Named, app, app_with};

#[derive(Message, Clone, Copy)]
struct Found(FrameHandle<[u64]>);

#[derive(Component)]
struct Path(FrameHandle<[u64]>);

#[derive(Resource, Default)]
struct Read(Vec<Result<usize, u64>>);

fn publish(memory: FrameMemory, mut out: MessageWriter<Found>) {
    let mut list = memory.frame().vec();
    list.extend(0..100u64);
    out.write(Found(memory.publish_vec(list)));
}

fn read(memory: FrameMemory, mut found: MessageReader<Found>, mut read: ResMut<Read>) {
    for Found(handle) in found.read() {
        read.0.push(memory.get(*handle).map(<[_]>::len).map_err(|stale| stale.handle_frame()));
    }
}

#[test]
fn a_message_is_read_in_its_frame_and_an_error_after_it() {
    let mut app = app();
    app.add_message::<Found>().init_resource::<Read>();
    app.add_systems(PreUpdate, read).add_systems(Update, (publish, read).chain());
    app.update();
    assert_eq!(app.world().resource::<Read>().0, [Ok(100)]);
    // The reader of the next update finds what was left, whose frame is gone.
    app.update();
    assert_eq!(app.world().resource::<Read>().0, [Ok(100), Err(2), Ok(100)]);
}

#[test]
fn with_a_frame_in_flight_a_message_is_read_in_the_next_update_too() {
    let mut app = app_with(FrameAllocPlugin::new(|| AllocConfig::default().with_frames_in_flight(2)));
    app.add_message::<Found>().init_resource::<Read>();
    app.add_systems(PreUpdate, read).add_systems(Update, publish);
    for _ in 0..4 {
        app.update();
    }
    assert_eq!(app.world().resource::<Read>().0, [Ok(100); 3]);
}

#[test]
fn a_command_reads_what_its_system_published() {
    let mut app = app();
    app.init_resource::<Read>();
    app.add_systems(Update, |memory: FrameMemory, mut commands: Commands| {
        // `'static`, and yet no `Vec` is moved into it.
        let list = memory.publish_slice_fill_with(50, |i| i as u64);
        commands.queue(move |world: &mut World| {
            let sum = world.resource::<FrameAlloc>().get(list).unwrap().iter().sum::<u64>();
            world.resource_mut::<Read>().0.push(Ok(sum as usize));
        });
    });
    app.update();
    assert_eq!(app.world().resource::<Read>().0, [Ok(1225)]);
}

#[test]
fn components_and_resources_keep_handles_that_know_when_they_are_stale() {
    let mut app = app();
    app.add_systems(Startup, |memory: FrameMemory, mut commands: Commands| {
        for len in 1..=10 {
            commands.spawn(Path(memory.publish_slice_fill_with(len, |i| i as u64)));
        }
        commands.insert_resource(Named(memory.publish(String::from("a name with a destructor"))));
    });
    app.init_resource::<Read>();
    app.add_systems(
        Update,
        |memory: FrameMemory, paths: Query<&Path>, named: Res<Named<String>>, mut read: ResMut<Read>| {
            read.0 =
                paths.iter().map(|path| memory.get(path.0).map(<[_]>::len).map_err(|e| e.handle_frame())).collect();
            read.0.push(memory.get(named.0).map(String::len).map_err(|e| e.handle_frame()));
        },
    );
    app.update();
    let mut lengths = std::mem::take(&mut app.world_mut().resource_mut::<Read>().0);
    lengths.sort_unstable();
    assert_eq!(lengths, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 24].map(Ok));
    app.update();
    assert_eq!(app.world().resource::<Read>().0, [Err(2); 11]);
}

#[test]
fn a_handle_in_an_async_task_is_read_when_it_is_back() {
    let mut app = app();
    app.add_systems(Update, |memory: FrameMemory| {
        let list = memory.publish_slice_fill_with(10, |i| i as u64);
        // The handle goes into the task and comes back; the memory is not touched in there.
        let back = bevy_tasks::AsyncComputeTaskPool::get().spawn(async move { list });
        let list = bevy_tasks::block_on(back);
        assert_eq!(memory.get(list).unwrap()[9], 9);
    });
    app.update();
}

#[test]
fn a_task_that_outlives_the_system_has_a_lease() {
    let mut app = app();
    app.add_systems(Update, |memory: FrameMemory| {
        let lease = memory.lease();
        let task = bevy_tasks::AsyncComputeTaskPool::get().spawn(async move {
            let list = lease.frame().alloc_slice_fill_with(1000, |i| i as u64);
            list.iter().sum::<u64>()
        });
        assert_eq!(bevy_tasks::block_on(task), 499_500);
    });
    app.update();
    app.update();
    assert_eq!(support::frame(&app), 3);
}
