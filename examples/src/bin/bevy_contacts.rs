//! Bevy: one system finds contacts, three others read them, and nobody copies or keeps a list.
//!
//! The list lies in the frame. What goes through the message is a handle, which knows when it is stale.

#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use framealloc_bevy::prelude::*;

const BODIES: u32 = 2_000;
const UPDATES: u64 = 120;

#[derive(Component)]
struct Body {
    at: f32,
    speed: f32,
}

#[derive(Clone, Copy)]
struct Contact {
    bodies: [Entity; 2],
    depth: f32,
}

/// The contacts of an update.
#[derive(Message, Clone, Copy)]
struct Contacts(FrameHandle<[Contact]>);

/// What the readers make of them, in all updates.
#[derive(Resource, Default)]
struct Solved(u64);
#[derive(Resource, Default)]
struct Heard(u64);
#[derive(Resource, Default)]
struct Worn {
    contacts: u64,
    stale: u64,
}

fn spawn(mut commands: Commands) {
    commands.spawn_batch((0..BODIES).map(|i| Body { at: (i * 7919 % BODIES) as f32, speed: (i % 13) as f32 - 6.0 }));
}

fn advance(mut bodies: Query<&mut Body>) {
    for mut body in &mut bodies {
        body.at = (body.at + 0.01 * body.speed).rem_euclid(BODIES as f32);
    }
}

fn find(memory: FrameMemory, bodies: Query<(Entity, &Body)>, mut out: MessageWriter<Contacts>) {
    let frame = memory.frame();
    let mut sorted = frame.vec_with_capacity(bodies.iter().len());
    sorted.extend(bodies.iter().map(|(entity, body)| (body.at, entity)));
    sorted.sort_unstable_by(|a: &(f32, Entity), b| a.0.total_cmp(&b.0));
    let mut found = frame.vec();
    for pair in sorted.windows(2) {
        let depth = 0.9 - (pair[1].0 - pair[0].0);
        if depth > 0.0 {
            found.push(Contact { bodies: [pair[0].1, pair[1].1], depth });
        }
    }
    // The list itself goes, without a copy; `sorted` stays behind and is gone with the frame.
    out.write(Contacts(memory.publish_vec(found)));
}

fn solve(
    memory: FrameMemory,
    mut contacts: MessageReader<Contacts>,
    mut bodies: Query<&mut Body>,
    mut solved: ResMut<Solved>,
) {
    for list in contacts.read().filter_map(|Contacts(list)| memory.get(*list).ok()) {
        for contact in list {
            if let Ok([mut left, mut right]) = bodies.get_many_mut(contact.bodies) {
                (left.speed, right.speed) = (right.speed, left.speed);
                solved.0 += 1;
            }
        }
    }
}

fn hear(memory: FrameMemory, mut contacts: MessageReader<Contacts>, mut heard: ResMut<Heard>) {
    for list in contacts.read().filter_map(|Contacts(list)| memory.get(*list).ok()) {
        heard.0 += list.iter().filter(|contact| contact.depth > 0.02).count() as u64;
    }
}

/// It begins an update later than the others: what it finds first is the message of the last update, whose list is gone.
fn wear(memory: FrameMemory, mut contacts: MessageReader<Contacts>, mut worn: ResMut<Worn>) {
    for Contacts(list) in contacts.read() {
        match memory.get(*list) {
            Ok(list) => worn.contacts += list.len() as u64,
            Err(_) => worn.stale += 1,
        }
    }
}

fn main() {
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::default()))
        .add_message::<Contacts>()
        .init_resource::<Solved>()
        .init_resource::<Heard>()
        .init_resource::<Worn>()
        .add_systems(Startup, spawn)
        // The readers run side by side, as far as there are threads.
        .add_systems(
            Update,
            (advance, find, (solve, hear, wear.run_if(|mut first: Local<bool>| std::mem::replace(&mut *first, true))))
                .chain(),
        );
    for _ in 0..UPDATES {
        app.update();
    }
    let world = app.world();
    let (solved, heard, worn) = (world.resource::<Solved>().0, world.resource::<Heard>().0, world.resource::<Worn>());
    let stats = world.resource::<FrameAlloc>().stats();
    assert!(0 < heard && heard < solved, "{heard} of {solved}");
    // The message of the first update outlived its list, and was told apart.
    assert_eq!(worn.stale, 1);
    assert!(0 < worn.contacts && worn.contacts < solved, "{} of {solved}", worn.contacts);
    println!("{solved} contacts solved, {heard} heard in {UPDATES} updates, {} stale list told apart", worn.stale);
    println!(
        "{} KiB of frame memory in an update, {} KiB held",
        stats.last_frame.bytes_allocated >> 10,
        stats.committed >> 10
    );
}
