//! `Parallel<Vec>`s, one `Vec` a thread, in `Local`s: Bevy's own way to gather from tasks. What is gathered is drained into one list, whose
//! order is another one each time.

use bevy_ecs::prelude::*;
use bevy_utils::Parallel;

use super::{Crowded, Heard, Systems, Worn, in_parts};
use crate::heap::ours;
use crate::model::{
    Body, Buffer, Contact, Grid, Near, Reach, hear, is_crowded, is_loud, push, respond, sort_into_cells, steer,
};

#[derive(Resource, Default)]
pub struct Shared {
    bodies: Vec<Body>,
    starts: Vec<u32>,
    sorted: Vec<Body>,
    contacts: Vec<Contact>,
}

impl Shared {
    fn grid<'a>(&'a self, reach: &'a Reach) -> Grid<'a> {
        Grid { reach, starts: &self.starts, sorted: &self.sorted }
    }
}

/// What a body sees.
#[derive(Component, Default)]
pub struct Seen(Vec<Near>);

pub fn systems() -> Systems {
    Systems {
        broad_phase: broad_phase.into_configs(),
        narrow_phase: narrow_phase.into_configs(),
        look: look.into_configs(),
        readers: (solver, sounds, wear, crowds).into_configs(),
        steering: steering.into_configs(),
    }
}

fn broad_phase(reach: Res<Reach>, query: Query<&Body>, mut shared: ResMut<Shared>) {
    ours(|| {
        let Shared { bodies, starts, sorted, .. } = &mut *shared;
        bodies.clear();
        bodies.extend(&query);
        starts.resize(reach.cell_count() + 1, 0);
        // Only the length matters: all of it is written.
        sorted.clone_from(bodies);
        sort_into_cells(bodies, &reach, starts, sorted);
    });
}

fn narrow_phase(reach: Res<Reach>, mut shared: ResMut<Shared>, mut found: Local<Parallel<Vec<Contact>>>) {
    let grid = shared.grid(&reach);
    in_parts(|part| {
        let mut found = found.borrow_local_mut();
        grid.contacts(part, |contact| found.push(contact));
    });
    ours(|| {
        shared.contacts.clear();
        found.drain_into(&mut shared.contacts);
    });
}

fn solver(shared: Res<Shared>, mut bodies: Query<&mut Body>, mut impulses: Local<Vec<[i32; 2]>>) {
    ours(|| {
        impulses.clear();
        impulses.resize(shared.bodies.len(), [0; 2]);
        shared.contacts.iter().for_each(|contact| push(contact, &mut impulses));
        for mut body in &mut bodies {
            let by = impulses[body.id as usize];
            respond(&mut body, by);
        }
    });
}

fn sounds(reach: Res<Reach>, shared: Res<Shared>, mut heard: ResMut<Heard>, mut loud: Local<Vec<Contact>>) {
    ours(|| {
        loud.clear();
        loud.extend(shared.contacts.iter().copied().filter(|contact| is_loud(contact, &reach)));
        heard.0 = hear(&mut loud);
    });
}

fn wear(shared: Res<Shared>, mut worn: ResMut<Worn>, mut counts: Local<Vec<u16>>) {
    ours(|| {
        counts.clear();
        counts.resize(shared.bodies.len(), 0);
        shared.contacts.iter().flat_map(|contact| contact.bodies).for_each(|id| counts[id as usize] += 1);
        worn.0 = counts.iter().filter(|&&count| count > 3).count() as u64;
    });
}

fn look(reach: Res<Reach>, shared: Res<Shared>, mut bodies: Query<(&Body, &mut Seen)>) {
    let grid = shared.grid(&reach);
    bodies.par_iter_mut().for_each_init(Buffer::default, |buffer, (body, mut seen)| {
        ours(|| {
            seen.0.clear();
            grid.neighbours(body, buffer, |near| seen.0.extend_from_slice(near));
        });
    });
}

fn crowds(bodies: Query<&Seen>, mut crowded: ResMut<Crowded>) {
    crowded.0 = bodies.iter().filter(|seen| is_crowded(&seen.0)).count() as u64;
}

fn steering(mut bodies: Query<(&mut Body, &Seen)>) {
    bodies.par_iter_mut().for_each(|(mut body, seen)| {
        let by = steer(&seen.0);
        respond(&mut body, by);
    });
}
