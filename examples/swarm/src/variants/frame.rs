//! Frame memory. Systems share their lists by handles.

use bevy_ecs::prelude::*;
use framealloc_bevy::prelude::*;

use super::{Crowded, Heard, Scratch, Systems, Worn, in_parts_of};
use crate::heap::ours;
use crate::model::{
    Body, Contact, Grid, Near, PARTS, Reach, hear, is_crowded, is_loud, push, respond, sort_into_cells, steer,
};

#[derive(Resource, Clone, Copy)]
pub struct Shared {
    bodies: FrameHandle<[Body]>,
    starts: FrameHandle<[u32]>,
    sorted: FrameHandle<[Body]>,
    contacts: FrameHandle<[FrameHandle<[Contact]>]>,
}

/// What the handles name.
struct Lists<'w> {
    memory: &'w SmartAlloc,
    bodies: &'w [Body],
    starts: &'w [u32],
    sorted: &'w [Body],
    contacts: &'w [FrameHandle<[Contact]>],
}

impl Shared {
    fn read<'w>(&self, memory: &FrameMemory<'w>) -> Result<Lists<'w>, StaleHandle> {
        Ok(Lists {
            memory: memory.allocator(),
            bodies: memory.get(self.bodies)?,
            starts: memory.get(self.starts)?,
            sorted: memory.get(self.sorted)?,
            contacts: memory.get(self.contacts)?,
        })
    }
}

impl<'w> Lists<'w> {
    fn grid<'a>(&'a self, reach: &'a Reach) -> Grid<'a> {
        Grid { reach, starts: self.starts, sorted: self.sorted }
    }

    fn contacts(&self) -> impl Iterator<Item = &'w Contact> {
        self.contacts.iter().flat_map(|&list| self.memory.get(list).into_iter().flatten())
    }
}

/// What a body sees in this frame.
#[derive(Component, Default)]
pub struct Seen(Option<FrameHandle<[Near]>>);

pub fn systems() -> Systems {
    Systems {
        broad_phase: broad_phase.into_configs(),
        narrow_phase: narrow_phase.into_configs(),
        look: look.into_configs(),
        readers: (solver, sounds, wear, crowds).into_configs(),
        steering: steering.into_configs(),
    }
}

fn broad_phase(memory: FrameMemory, reach: Res<Reach>, query: Query<&Body>, mut shared: ResMut<SharedNow>) {
    ours(|| {
        let frame = memory.frame();
        let mut bodies = frame.vec_with_capacity(query.iter().len());
        bodies.extend(query.iter().copied());
        let mut starts = frame.vec();
        starts.resize(reach.cell_count() + 1, 0);
        let mut sorted = frame.vec_with_capacity(bodies.len());
        sorted.extend_from_slice(&bodies);
        sort_into_cells(&bodies, &reach, &mut starts, &mut sorted);
        shared.0 = Some(Shared {
            bodies: memory.publish_vec(bodies),
            starts: memory.publish_vec(starts),
            sorted: memory.publish_vec(sorted),
            contacts: memory.publish_slice_copy(&[]),
        });
    });
}

/// The handles of this frame.
#[derive(Resource, Default)]
pub struct SharedNow(Option<Shared>);

fn narrow_phase(memory: FrameMemory, reach: Res<Reach>, mut shared: ResMut<SharedNow>) -> Result {
    let shared = shared.0.as_mut().ok_or("no broad phase")?;
    let lists = shared.read(&memory)?;
    let grid = lists.grid(&reach);
    let mut contacts = memory.frame().alloc_box_slice_with(PARTS, |_| None);
    in_parts_of(&mut contacts, |part, list| {
        let mut found = memory.frame().vec();
        grid.contacts(part, |contact| found.push(contact));
        *list = Some(memory.publish_vec(found));
    });
    ours(|| shared.contacts = memory.publish_slice_fill_iter(contacts.iter().copied().flatten()));
    Ok(())
}

fn read<'w>(shared: &SharedNow, memory: &FrameMemory<'w>) -> Result<Lists<'w>> {
    Ok(shared.0.as_ref().ok_or("no broad phase")?.read(memory)?)
}

fn solver(memory: FrameMemory, shared: Res<SharedNow>, mut bodies: Query<&mut Body>) -> Result {
    let lists = read(&shared, &memory)?;
    ours(|| {
        let impulses = memory.frame().alloc_slice_fill(lists.bodies.len(), [0; 2]);
        lists.contacts().for_each(|contact| push(contact, impulses));
        for mut body in &mut bodies {
            let by = impulses[body.id as usize];
            respond(&mut body, by);
        }
    });
    Ok(())
}

fn sounds(memory: FrameMemory, reach: Res<Reach>, shared: Res<SharedNow>, mut heard: ResMut<Heard>) -> Result {
    let lists = read(&shared, &memory)?;
    ours(|| {
        let mut loud = memory.frame().vec();
        loud.extend(lists.contacts().copied().filter(|contact| is_loud(contact, &reach)));
        heard.0 = hear(&mut loud);
    });
    Ok(())
}

fn wear(memory: FrameMemory, shared: Res<SharedNow>, mut worn: ResMut<Worn>) -> Result {
    let lists = read(&shared, &memory)?;
    ours(|| {
        let counts = memory.frame().alloc_slice_fill(lists.bodies.len(), 0u16);
        lists.contacts().flat_map(|contact| contact.bodies).for_each(|id| counts[id as usize] += 1);
        worn.0 = counts.iter().filter(|&&count| count > 3).count() as u64;
    });
    Ok(())
}

fn look(
    memory: FrameMemory,
    reach: Res<Reach>,
    shared: Res<SharedNow>,
    mut bodies: Query<(&Body, &mut Seen)>,
) -> Result {
    let lists = read(&shared, &memory)?;
    let grid = lists.grid(&reach);
    bodies.par_iter_mut().for_each_init(Scratch::default, |Scratch { buffer, pieces }, (body, mut seen)| {
        pieces.ours(|| {
            let mut list = memory.frame().vec();
            grid.neighbours(body, buffer, |near| list.extend_from_slice(near));
            seen.0 = Some(memory.publish_vec(list));
        });
    });
    Ok(())
}

impl Seen {
    /// The list, empty if it is of another frame.
    fn read<'w>(&self, memory: &FrameMemory<'w>) -> &'w [Near] {
        self.0.and_then(|list| memory.get(list).ok()).unwrap_or_default()
    }
}

fn crowds(memory: FrameMemory, bodies: Query<&Seen>, mut crowded: ResMut<Crowded>) {
    crowded.0 = bodies.iter().filter(|seen| is_crowded(seen.read(&memory))).count() as u64;
}

fn steering(memory: FrameMemory, mut bodies: Query<(&mut Body, &Seen)>) {
    bodies.par_iter_mut().for_each(|(mut body, seen)| {
        let by = steer(seen.read(&memory));
        respond(&mut body, by);
    });
}
