//! `bumpalo`: one `Bump` a thread, kept by hand, two sets of them for the hand-over.
//!
//! A part borrows from its own `Bump`. `self_cell` keeps the two together while they travel to the render thread, which
//! resets the `Bump` and sends it back.

use bumpalo::Bump;
use bumpalo::collections::{CollectIn, Vec as BumpVec};
use self_cell::self_cell;

use super::{FRAMES_IN_FLIGHT, Variant};
use crate::crew::Input;
use crate::fold::Fold;
use crate::model::{
    BatchHead, CAMERAS, ContactPoint, Draw, EmitterHead, Instance, LightRef, MATERIALS, ManifoldHead, Particle,
    RayHead, RayHit, SPRITES, SortKey, Sprite, VisibleHead, cull, emitter, instance, lights_at, particle, sprite,
    touches,
};
use crate::tally::{Stage, Tally};

struct Manifold<'b> {
    head: ManifoldHead,
    points: &'b [ContactPoint],
}

struct RayResult<'b> {
    head: RayHead,
    hits: &'b [RayHit],
}

struct Emitter<'b> {
    head: EmitterHead,
    particles: &'b [Particle],
}

struct Visible<'b> {
    head: VisibleHead,
    lights: &'b [LightRef],
}

struct Batch<'b> {
    head: BatchHead,
    instances: &'b [Instance],
}

pub struct Lists<'b> {
    manifolds: &'b [Manifold<'b>],
    rays: &'b [RayResult<'b>],
    emitters: &'b [Emitter<'b>],
    visible: [&'b [Visible<'b>]; CAMERAS],
    batches: &'b [Batch<'b>],
    sprites: [&'b [Sprite]; MATERIALS],
}

type DrawList<'b> = &'b [Draw];

self_cell!(
    pub struct Part {
        owner: Bump,
        #[covariant]
        dependent: Lists,
    }
);

self_cell!(
    pub struct Draws {
        owner: Bump,
        #[covariant]
        dependent: DrawList,
    }
);

pub struct Packet {
    parts: Vec<Part>,
    draws: Draws,
    /// The emptied list the bumps return in.
    bumps: Vec<Bump>,
}

/// The bumps of one frame, the main thread's first, and the list their parts travel in.
#[derive(Default)]
pub struct Set {
    bumps: Vec<Bump>,
    parts: Vec<Part>,
}

pub struct Bumpalo {
    sets: Vec<Set>,
    current: Set,
}

impl Variant for Bumpalo {
    type Job = Bump;
    type Part = Part;
    type Packet = Packet;
    type Spent = Set;

    fn new(threads: usize) -> Self {
        let set = || Set { bumps: (0..=threads).map(|_| Bump::new()).collect(), parts: Vec::with_capacity(threads) };
        Self { sets: (0..FRAMES_IN_FLIGHT).map(|_| set()).collect(), current: Set::default() }
    }

    fn begin(&mut self) {
        self.current = self.sets.pop().expect("the render thread returns a set before it is needed again");
    }

    fn job(&mut self, _worker: usize) -> Bump {
        self.current.bumps.pop().expect("a set has a bump for every thread")
    }

    fn build(bump: Bump, input: &Input<'_>, tally: &mut Tally) -> Part {
        Part::new(bump, |bump| {
            let manifolds = contacts(bump, input, tally);
            let rays = rays(bump, input, tally);
            let emitters = particles(bump, input, manifolds, tally);
            let visible = std::array::from_fn(|camera| visibility(bump, input, camera, tally));
            let batches = batches(bump, input, &visible, tally);
            let sprites = sprites(bump, input, emitters, tally);
            Lists { manifolds, rays, emitters, visible, batches, sprites }
        })
    }

    fn take(&mut self, part: Part) {
        self.current.parts.push(part);
    }

    fn finish(&mut self, tally: &mut Tally) -> Packet {
        let Set { mut bumps, parts } = std::mem::take(&mut self.current);
        let own = bumps.pop().expect("the main thread's bump is left");
        let draws = Draws::new(own, |bump| draw_list(bump, &parts, tally));
        Packet { parts, draws, bumps }
    }

    fn read(packet: &Packet, fold: &mut Fold) {
        for part in packet.parts.iter().map(Part::borrow_dependent) {
            part.manifolds.iter().for_each(|manifold| fold.manifold(&manifold.head, manifold.points));
            part.rays.iter().for_each(|ray| fold.ray(&ray.head, ray.hits));
            part.emitters.iter().for_each(|emitter| fold.emitter(&emitter.head, emitter.particles));
            for camera in part.visible {
                camera.iter().for_each(|visible| fold.visible(&visible.head, visible.lights));
            }
        }
        for draw in *packet.draws.borrow_dependent() {
            fold.draw(draw);
            let part = packet.parts[draw.worker as usize].borrow_dependent();
            if draw.camera == SPRITES {
                fold.sprites(part.sprites[draw.batch as usize]);
            } else {
                fold.instances(part.batches[draw.batch as usize].instances);
            }
        }
    }

    fn release(packet: Packet) -> Set {
        let Packet { mut parts, draws, mut bumps } = packet;
        // Jobs take bumps from the back, so the last worker's goes in first and each keeps its own.
        bumps.push(draws.into_owner());
        bumps.extend(parts.drain(..).rev().map(Part::into_owner));
        bumps.iter_mut().for_each(Bump::reset);
        Set { bumps, parts }
    }

    fn recycle(&mut self, spent: Set) {
        self.sets.push(spent);
    }
}

fn draw_list<'b>(bump: &'b Bump, parts: &[Part], tally: &mut Tally) -> DrawList<'b> {
    let batches = parts.iter().map(|part| part.borrow_dependent().batches.len() + MATERIALS).sum();
    let mut draws = BumpVec::with_capacity_in(batches, bump);
    for (worker, part) in (0u32..).zip(parts.iter().map(Part::borrow_dependent)) {
        draws.extend((0u32..).zip(part.batches).map(|(batch, Batch { head, instances })| Draw {
            camera: head.camera,
            key: head.key,
            worker,
            batch,
            count: instances.len() as u32,
        }));
        draws.extend((0u32..).zip(part.sprites).map(|(batch, sprites)| Draw {
            camera: SPRITES,
            key: batch,
            worker,
            batch,
            count: sprites.len() as u32,
        }));
    }
    draws.sort_unstable();
    tally.list::<Draw>(Stage::Batches, draws.len());
    draws.into_bump_slice()
}

fn contacts<'b>(bump: &'b Bump, input: &Input<'_>, tally: &mut Tally) -> &'b [Manifold<'b>] {
    let pairs = input.scene.pairs(input.share);
    let mut manifolds = BumpVec::with_capacity_in(pairs.len(), bump);
    for touch in pairs.flat_map(|pair| touches(input.scene, pair)) {
        let points = bump.alloc_slice_fill_iter(touch.points());
        tally.list::<ContactPoint>(Stage::Contacts, points.len());
        manifolds.push(Manifold { head: touch.head, points });
    }
    tally.manifolds += manifolds.len() as u64;
    tally.list::<ManifoldHead>(Stage::Contacts, manifolds.len());
    manifolds.into_bump_slice()
}

fn rays<'b>(bump: &'b Bump, input: &Input<'_>, tally: &mut Tally) -> &'b [RayResult<'b>] {
    let mut rays = BumpVec::with_capacity_in(input.rays.len(), bump);
    for (head, raw) in input.rays.iter() {
        let hits = bump.alloc_slice_copy(raw);
        hits.sort_unstable_by(RayHit::by_distance);
        tally.list::<RayHit>(Stage::Rays, hits.len());
        rays.push(RayResult { head, hits });
    }
    tally.list::<RayHead>(Stage::Rays, rays.len());
    rays.into_bump_slice()
}

fn particles<'b>(
    bump: &'b Bump,
    input: &Input<'_>,
    manifolds: &[Manifold<'b>],
    tally: &mut Tally,
) -> &'b [Emitter<'b>] {
    let mut emitters = BumpVec::with_capacity_in(manifolds.len(), bump);
    for manifold in manifolds {
        let (head, count) = emitter(input.scene, &manifold.head);
        let particles = bump.alloc_slice_fill_with(count, |index| particle(&head, index));
        tally.list::<Particle>(Stage::Particles, count);
        emitters.push(Emitter { head, particles });
    }
    tally.list::<EmitterHead>(Stage::Particles, emitters.len());
    emitters.into_bump_slice()
}

fn visibility<'b>(bump: &'b Bump, input: &Input<'_>, camera: usize, tally: &mut Tally) -> &'b [Visible<'b>] {
    let bodies = input.share.of(input.scene.bodies());
    let mut list = BumpVec::with_capacity_in(bodies.len(), bump);
    for (head, position) in bodies.filter_map(|body| cull(input.scene, camera, body)) {
        let mut lights = BumpVec::new_in(bump);
        for light in lights_at(input.scene, position) {
            lights.push(light);
        }
        tally.list::<LightRef>(Stage::Visibility, lights.len());
        list.push(Visible { head, lights: lights.into_bump_slice() });
    }
    tally.list::<VisibleHead>(Stage::Visibility, list.len());
    list.into_bump_slice()
}

fn batches<'b>(
    bump: &'b Bump,
    input: &Input<'_>,
    visible: &[&'b [Visible<'b>]; CAMERAS],
    tally: &mut Tally,
) -> &'b [Batch<'b>] {
    let mut batches = BumpVec::new_in(bump);
    for (camera, list) in (0u32..).zip(visible) {
        let keys = (0u32..).zip(*list).map(|(index, visible)| (visible.head.key, index));
        let mut keys: BumpVec<'_, SortKey> = keys.collect_in(bump);
        keys.sort_unstable();
        tally.list::<SortKey>(Stage::Batches, keys.len());
        for run in keys.chunk_by(|a, b| a.0 == b.0) {
            let instances = run.iter().map(|&(_, index)| instance(input.scene, &list[index as usize].head));
            let instances = bump.alloc_slice_fill_iter(instances);
            tally.list::<Instance>(Stage::Batches, instances.len());
            batches.push(Batch { head: BatchHead { camera, key: run[0].0 }, instances });
        }
    }
    tally.list::<BatchHead>(Stage::Batches, batches.len());
    batches.into_bump_slice()
}

fn sprites<'b>(
    bump: &'b Bump,
    input: &Input<'_>,
    emitters: &[Emitter<'b>],
    tally: &mut Tally,
) -> [&'b [Sprite]; MATERIALS] {
    let mut counts = [0; MATERIALS];
    for emitter in emitters {
        counts[emitter.head.material as usize] += emitter.particles.len();
    }
    let mut sprites = counts.map(|count| BumpVec::with_capacity_in(count, bump));
    for emitter in emitters {
        let batch = &mut sprites[emitter.head.material as usize];
        batch.extend(emitter.particles.iter().map(|particle| sprite(input.scene, particle)));
    }
    for count in counts {
        tally.list::<Sprite>(Stage::Batches, count);
    }
    sprites.map(|batch| batch.into_bump_slice() as &[Sprite])
}
