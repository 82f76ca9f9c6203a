//! `vec`: every list a fresh `Vec` from the system allocator, freed when the render thread has read it.

use super::Variant;
use crate::crew::Input;
use crate::fold::Fold;
use crate::model::{
    BatchHead, CAMERAS, ContactPoint, Draw, EmitterHead, Instance, LightRef, MATERIALS, ManifoldHead, Particle,
    RayHead, RayHit, SPRITES, SortKey, Sprite, VisibleHead, cull, emitter, instance, lights_at, particle, sprite,
    touches,
};
use crate::tally::{Stage, Tally};

struct Manifold {
    head: ManifoldHead,
    points: Vec<ContactPoint>,
}

struct RayResult {
    head: RayHead,
    hits: Vec<RayHit>,
}

struct Emitter {
    head: EmitterHead,
    particles: Vec<Particle>,
}

struct Visible {
    head: VisibleHead,
    lights: Vec<LightRef>,
}

struct Batch {
    head: BatchHead,
    instances: Vec<Instance>,
}

pub struct Part {
    manifolds: Vec<Manifold>,
    rays: Vec<RayResult>,
    emitters: Vec<Emitter>,
    visible: [Vec<Visible>; CAMERAS],
    batches: Vec<Batch>,
    sprites: Vec<Vec<Sprite>>,
}

pub struct Packet {
    parts: Vec<Part>,
    draws: Vec<Draw>,
}

pub struct Fresh {
    parts: Vec<Part>,
}

impl Variant for Fresh {
    type Job = ();
    type Part = Part;
    type Packet = Packet;
    type Spent = ();

    fn new(_threads: usize) -> Self {
        Self { parts: Vec::new() }
    }

    fn begin(&mut self) {}

    fn job(&mut self, _worker: usize) {}

    fn build((): (), input: &Input<'_>, tally: &mut Tally) -> Part {
        let manifolds = contacts(input, tally);
        let rays = rays(input, tally);
        let emitters = particles(input, &manifolds, tally);
        let visible = std::array::from_fn(|camera| visibility(input, camera, tally));
        let batches = batches(input, &visible, tally);
        let sprites = sprites(input, &emitters, tally);
        Part { manifolds, rays, emitters, visible, batches, sprites }
    }

    fn take(&mut self, part: Part) {
        self.parts.push(part);
    }

    fn finish(&mut self, tally: &mut Tally) -> Packet {
        let parts = std::mem::take(&mut self.parts);
        let mut draws = Vec::with_capacity(parts.iter().map(|part| part.batches.len() + part.sprites.len()).sum());
        for (worker, part) in (0u32..).zip(&parts) {
            draws.extend((0u32..).zip(&part.batches).map(|(batch, Batch { head, instances })| Draw {
                camera: head.camera,
                key: head.key,
                worker,
                batch,
                count: instances.len() as u32,
            }));
            draws.extend((0u32..).zip(&part.sprites).map(|(batch, sprites)| Draw {
                camera: SPRITES,
                key: batch,
                worker,
                batch,
                count: sprites.len() as u32,
            }));
        }
        draws.sort_unstable();
        tally.list::<Draw>(Stage::Batches, draws.len());
        Packet { parts, draws }
    }

    fn read(packet: &Packet, fold: &mut Fold) {
        for part in &packet.parts {
            part.manifolds.iter().for_each(|manifold| fold.manifold(&manifold.head, &manifold.points));
            part.rays.iter().for_each(|ray| fold.ray(&ray.head, &ray.hits));
            part.emitters.iter().for_each(|emitter| fold.emitter(&emitter.head, &emitter.particles));
            for camera in &part.visible {
                camera.iter().for_each(|visible| fold.visible(&visible.head, &visible.lights));
            }
        }
        for draw in &packet.draws {
            fold.draw(draw);
            let part = &packet.parts[draw.worker as usize];
            if draw.camera == SPRITES {
                fold.sprites(&part.sprites[draw.batch as usize]);
            } else {
                fold.instances(&part.batches[draw.batch as usize].instances);
            }
        }
    }

    fn release(packet: Packet) {
        drop(packet);
    }

    fn recycle(&mut self, (): ()) {}
}

fn contacts(input: &Input<'_>, tally: &mut Tally) -> Vec<Manifold> {
    let pairs = input.scene.pairs(input.share);
    let mut manifolds = Vec::with_capacity(pairs.len());
    for touch in pairs.flat_map(|pair| touches(input.scene, pair)) {
        let points: Vec<ContactPoint> = touch.points().collect();
        tally.list::<ContactPoint>(Stage::Contacts, points.len());
        manifolds.push(Manifold { head: touch.head, points });
    }
    tally.manifolds += manifolds.len() as u64;
    tally.list::<ManifoldHead>(Stage::Contacts, manifolds.len());
    manifolds
}

fn rays(input: &Input<'_>, tally: &mut Tally) -> Vec<RayResult> {
    let mut rays = Vec::with_capacity(input.rays.len());
    for (head, raw) in input.rays.iter() {
        let mut hits = raw.to_vec();
        hits.sort_unstable_by(RayHit::by_distance);
        tally.list::<RayHit>(Stage::Rays, hits.len());
        rays.push(RayResult { head, hits });
    }
    tally.list::<RayHead>(Stage::Rays, rays.len());
    rays
}

fn particles(input: &Input<'_>, manifolds: &[Manifold], tally: &mut Tally) -> Vec<Emitter> {
    let mut emitters = Vec::with_capacity(manifolds.len());
    for manifold in manifolds {
        let (head, count) = emitter(input.scene, &manifold.head);
        let particles: Vec<Particle> = (0..count).map(|index| particle(&head, index)).collect();
        tally.list::<Particle>(Stage::Particles, count);
        emitters.push(Emitter { head, particles });
    }
    tally.list::<EmitterHead>(Stage::Particles, emitters.len());
    emitters
}

fn visibility(input: &Input<'_>, camera: usize, tally: &mut Tally) -> Vec<Visible> {
    let bodies = input.share.of(input.scene.bodies());
    let mut list = Vec::with_capacity(bodies.len());
    for (head, position) in bodies.filter_map(|body| cull(input.scene, camera, body)) {
        let mut lights = Vec::new();
        for light in lights_at(input.scene, position) {
            lights.push(light);
        }
        tally.list::<LightRef>(Stage::Visibility, lights.len());
        list.push(Visible { head, lights });
    }
    tally.list::<VisibleHead>(Stage::Visibility, list.len());
    list
}

fn batches(input: &Input<'_>, visible: &[Vec<Visible>; CAMERAS], tally: &mut Tally) -> Vec<Batch> {
    let mut batches = Vec::new();
    for (camera, list) in (0u32..).zip(visible) {
        let mut keys: Vec<SortKey> = (0u32..).zip(list).map(|(index, visible)| (visible.head.key, index)).collect();
        keys.sort_unstable();
        tally.list::<SortKey>(Stage::Batches, keys.len());
        for run in keys.chunk_by(|a, b| a.0 == b.0) {
            let instances: Vec<Instance> =
                run.iter().map(|&(_, index)| instance(input.scene, &list[index as usize].head)).collect();
            tally.list::<Instance>(Stage::Batches, instances.len());
            batches.push(Batch { head: BatchHead { camera, key: run[0].0 }, instances });
        }
    }
    tally.list::<BatchHead>(Stage::Batches, batches.len());
    batches
}

fn sprites(input: &Input<'_>, emitters: &[Emitter], tally: &mut Tally) -> Vec<Vec<Sprite>> {
    let mut counts = [0; MATERIALS];
    for emitter in emitters {
        counts[emitter.head.material as usize] += emitter.particles.len();
    }
    let mut sprites: Vec<Vec<Sprite>> = counts.iter().map(|&count| Vec::with_capacity(count)).collect();
    for emitter in emitters {
        let batch = &mut sprites[emitter.head.material as usize];
        batch.extend(emitter.particles.iter().map(|particle| sprite(input.scene, particle)));
    }
    for count in counts {
        tally.list::<Sprite>(Stage::Batches, count);
    }
    sprites
}
