//! A fresh `Vec` wherever one is needed.

use bevy_ecs::prelude::*;

use super::{Crowded, Heard, Scratch, Systems, Worn, in_parts};
use crate::heap::ours;
use crate::model::{
    Body, Contact, Grid, Near, Reach, hear, is_crowded, is_loud, push, respond, sort_into_cells, steer,
};

#[derive(Resource, Default)]
pub struct Shared {
    bodies: Vec<Body>,
    starts: Vec<u32>,
    sorted: Vec<Body>,
    contacts: Vec<Vec<Contact>>,
}

impl Shared {
    fn grid<'a>(&'a self, reach: &'a Reach) -> Grid<'a> {
        Grid { reach, starts: &self.starts, sorted: &self.sorted }
    }

    fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.contacts.iter().flatten()
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

fn broad_phase(reach: Res<Reach>, bodies: Query<&Body>, mut shared: ResMut<Shared>) {
    ours(|| {
        let bodies: Vec<Body> = bodies.iter().copied().collect();
        let (mut starts, mut sorted) = (vec![0; reach.cell_count() + 1], bodies.clone());
        sort_into_cells(&bodies, &reach, &mut starts, &mut sorted);
        *shared = Shared { bodies, starts, sorted, contacts: Vec::new() };
    });
}

fn narrow_phase(reach: Res<Reach>, mut shared: ResMut<Shared>) {
    let grid = shared.grid(&reach);
    let contacts = in_parts(|part| {
        let mut found = Vec::new();
        grid.contacts(part, |contact| found.push(contact));
        found
    });
    shared.contacts = contacts;
}

fn solver(shared: Res<Shared>, mut bodies: Query<&mut Body>) {
    ours(|| {
        let mut impulses = vec![[0; 2]; shared.bodies.len()];
        shared.contacts().for_each(|contact| push(contact, &mut impulses));
        for mut body in &mut bodies {
            let by = impulses[body.id as usize];
            respond(&mut body, by);
        }
    });
}

fn sounds(reach: Res<Reach>, shared: Res<Shared>, mut heard: ResMut<Heard>) {
    ours(|| {
        let mut loud: Vec<Contact> = shared.contacts().copied().filter(|contact| is_loud(contact, &reach)).collect();
        heard.0 = hear(&mut loud);
    });
}

fn wear(shared: Res<Shared>, mut worn: ResMut<Worn>) {
    ours(|| {
        let mut counts = vec![0u16; shared.bodies.len()];
        shared.contacts().flat_map(|contact| contact.bodies).for_each(|id| counts[id as usize] += 1);
        worn.0 = counts.iter().filter(|&&count| count > 3).count() as u64;
    });
}

fn look(reach: Res<Reach>, shared: Res<Shared>, mut bodies: Query<(&Body, &mut Seen)>) {
    let grid = shared.grid(&reach);
    bodies.par_iter_mut().for_each_init(Scratch::default, |Scratch { buffer, pieces }, (body, mut seen)| {
        pieces.ours(|| {
            let mut list = Vec::new();
            grid.neighbours(body, buffer, |near| list.extend_from_slice(near));
            seen.0 = list;
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
