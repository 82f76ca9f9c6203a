//! `Vec`s that are kept and reused: in `Local`s, and, where systems share them, in a resource and in components. Left as they are, or shrunk by hand where
//! they are much too large.

use bevy_ecs::prelude::*;

use super::{Crowded, Heard, Scratch, Systems, Worn, in_parts_of};
use crate::heap::ours;
use crate::model::{
    Body, Contact, Grid, Near, PARTS, Reach, hear, is_crowded, is_loud, push, respond, sort_into_cells, steer,
};

#[derive(Resource)]
pub struct Shared {
    bodies: Vec<Body>,
    pub starts: Vec<u32>,
    pub sorted: Vec<Body>,
    pub contacts: [Vec<Contact>; PARTS],
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            bodies: Vec::new(),
            starts: Vec::new(),
            sorted: Vec::new(),
            contacts: std::array::from_fn(|_| Vec::new()),
        }
    }
}

impl Shared {
    fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.contacts.iter().flatten()
    }
}

/// What a careful program does with a list that it keeps.
fn shrink<T>(list: &mut Vec<T>) {
    if list.capacity() > 4 * list.len().max(16) {
        list.shrink_to(2 * list.len());
    }
}

/// What a body sees.
#[derive(Component, Default)]
pub struct Seen(Vec<Near>);

pub fn systems<const SHRUNK: bool>() -> Systems {
    Systems {
        broad_phase: broad_phase.into_configs(),
        narrow_phase: narrow_phase::<SHRUNK>.into_configs(),
        look: look::<SHRUNK>.into_configs(),
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

fn narrow_phase<const SHRUNK: bool>(reach: Res<Reach>, mut shared: ResMut<Shared>) {
    let Shared { starts, sorted, contacts, .. } = &mut *shared;
    let grid = Grid { reach: &reach, starts, sorted };
    in_parts_of(contacts, |part, found| {
        found.clear();
        grid.contacts(part, |contact| found.push(contact));
        if SHRUNK {
            shrink(found);
        }
    });
}

fn solver(shared: Res<Shared>, mut bodies: Query<&mut Body>, mut impulses: Local<Vec<[i32; 2]>>) {
    ours(|| {
        impulses.clear();
        impulses.resize(shared.bodies.len(), [0; 2]);
        shared.contacts().for_each(|contact| push(contact, &mut impulses));
        for mut body in &mut bodies {
            let by = impulses[body.id as usize];
            respond(&mut body, by);
        }
    });
}

fn sounds(reach: Res<Reach>, shared: Res<Shared>, mut heard: ResMut<Heard>, mut loud: Local<Vec<Contact>>) {
    ours(|| {
        loud.clear();
        loud.extend(shared.contacts().copied().filter(|contact| is_loud(contact, &reach)));
        heard.0 = hear(&mut loud);
    });
}

fn wear(shared: Res<Shared>, mut worn: ResMut<Worn>, mut counts: Local<Vec<u16>>) {
    ours(|| {
        counts.clear();
        counts.resize(shared.bodies.len(), 0);
        shared.contacts().flat_map(|contact| contact.bodies).for_each(|id| counts[id as usize] += 1);
        worn.0 = counts.iter().filter(|&&count| count > 3).count() as u64;
    });
}

fn look<const SHRUNK: bool>(reach: Res<Reach>, shared: Res<Shared>, mut bodies: Query<(&Body, &mut Seen)>) {
    let grid = Grid { reach: &reach, starts: &shared.starts, sorted: &shared.sorted };
    bodies.par_iter_mut().for_each_init(Scratch::default, |Scratch { buffer, pieces }, (body, mut seen)| {
        pieces.ours(|| {
            seen.0.clear();
            grid.neighbours(body, buffer, |near| seen.0.extend_from_slice(near));
            if SHRUNK {
                shrink(&mut seen.0);
            }
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
