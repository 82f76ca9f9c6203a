//! `framealloc`: workers publish their lists into the current frame, the main thread seals it, the render thread reads
//! what it was handed by handle and drops the `SealedFrame` when done.

use std::sync::OnceLock;

use framealloc::prelude::{AllocConfig, AllocStats, Budget, FrameHandle, Lease, SealedFrame, SmartAlloc, TrimPolicy};

use super::Variant;
use crate::crew::Input;
use crate::fold::Fold;
use crate::model::{
    BatchHead, CAMERAS, ContactPoint, Draw, EmitterHead, Instance, LightRef, MATERIALS, ManifoldHead, Particle,
    RayHead, RayHit, SPRITES, SortKey, Sprite, VisibleHead, cull, emitter, instance, lights_at, particle, sprite,
    touches,
};
use crate::tally::{Stage, Tally};

/// What the allocator is held to, if anything.
static BUDGET: OnceLock<Budget> = OnceLock::new();

/// Holds the allocator of this process to a budget. The first one stays.
pub fn hold_to(budget: Budget) {
    let _ = BUDGET.set(budget);
}

#[derive(Clone, Copy)]
struct Manifold {
    head: ManifoldHead,
    points: FrameHandle<[ContactPoint]>,
}

#[derive(Clone, Copy)]
struct RayResult {
    head: RayHead,
    hits: FrameHandle<[RayHit]>,
}

#[derive(Clone, Copy)]
struct Emitter {
    head: EmitterHead,
    particles: FrameHandle<[Particle]>,
}

#[derive(Clone, Copy)]
struct Visible {
    head: VisibleHead,
    lights: FrameHandle<[LightRef]>,
}

#[derive(Clone, Copy)]
struct Batch {
    head: BatchHead,
    instances: FrameHandle<[Instance]>,
}

#[derive(Clone, Copy)]
pub struct Part {
    manifolds: FrameHandle<[Manifold]>,
    rays: FrameHandle<[RayResult]>,
    emitters: FrameHandle<[Emitter]>,
    visible: [FrameHandle<[Visible]>; CAMERAS],
    batches: FrameHandle<[Batch]>,
    sprites: [FrameHandle<[Sprite]>; MATERIALS],
}

pub struct Packet {
    sealed: SealedFrame,
    parts: FrameHandle<[Part]>,
    draws: FrameHandle<[Draw]>,
}

impl Packet {
    fn get<T>(&self, list: FrameHandle<[T]>) -> &[T] {
        self.sealed.get(list).expect("a list of this frame")
    }
}

pub struct FrameAlloc {
    alloc: SmartAlloc,
    parts: Vec<Part>,
}

impl FrameAlloc {
    pub fn alloc(&self) -> &SmartAlloc {
        &self.alloc
    }

    /// Ends the open frame, gives back all that can be, and tells what is left.
    pub fn settle(&mut self) -> AllocStats {
        self.alloc.end_frame();
        self.alloc.trim();
        self.alloc.stats()
    }
}

impl Variant for FrameAlloc {
    type Job = Lease;
    type Part = Part;
    type Packet = Packet;
    type Spent = ();

    fn new(threads: usize) -> Self {
        // Half the default window, so that also a game of 60 frames sees its burst's memory go.
        let config = AllocConfig::default().with_trim(TrimPolicy::AfterFrames(15));
        let config = match BUDGET.get() {
            Some(budget) => config.with_governor(budget.clone()),
            None => config,
        };
        Self { alloc: SmartAlloc::new(config), parts: Vec::with_capacity(threads) }
    }

    fn begin(&mut self) {
        self.alloc.begin_frame();
    }

    fn job(&mut self, _worker: usize) -> Lease {
        self.alloc.lease()
    }

    fn build(alloc: Lease, input: &Input<'_>, tally: &mut Tally) -> Part {
        let manifolds = alloc.with_tag("contacts", |a| contacts(a, input, tally));
        let rays = alloc.with_tag("rays", |a| rays(a, input, tally));
        let emitters = alloc.with_tag("particles", |a| particles(a, input, manifolds, tally));
        let (visible, batches, sprites) = alloc.with_tag("render", |a| {
            let visible =
                a.with_tag("visibility", |a| std::array::from_fn(|camera| visibility(a, input, camera, tally)));
            let batches = a.with_tag("batches", |a| batches(a, input, &visible, tally));
            (visible, batches, a.with_tag("sprites", |a| sprites(a, input, emitters, tally)))
        });
        Part { manifolds, rays, emitters, visible, batches, sprites }
    }

    fn take(&mut self, part: Part) {
        self.parts.push(part);
    }

    fn finish(&mut self, tally: &mut Tally) -> Packet {
        let parts = self.alloc.publish_slice_copy(&self.parts);
        let draws = self.alloc.with_tag("render/draws", |a| draw_list(a, &self.parts, tally));
        self.parts.clear();
        Packet { sealed: self.alloc.seal_frame(), parts, draws }
    }

    fn read(packet: &Packet, fold: &mut Fold) {
        let parts = packet.get(packet.parts);
        for part in parts {
            for manifold in packet.get(part.manifolds) {
                fold.manifold(&manifold.head, packet.get(manifold.points));
            }
            for ray in packet.get(part.rays) {
                fold.ray(&ray.head, packet.get(ray.hits));
            }
            for emitter in packet.get(part.emitters) {
                fold.emitter(&emitter.head, packet.get(emitter.particles));
            }
            for visible in part.visible.into_iter().flat_map(|camera| packet.get(camera)) {
                fold.visible(&visible.head, packet.get(visible.lights));
            }
        }
        for draw in packet.get(packet.draws) {
            fold.draw(draw);
            let part = &parts[draw.worker as usize];
            if draw.camera == SPRITES {
                fold.sprites(packet.get(part.sprites[draw.batch as usize]));
            } else {
                fold.instances(packet.get(packet.get(part.batches)[draw.batch as usize].instances));
            }
        }
    }

    fn release(packet: Packet) {
        drop(packet);
    }

    fn recycle(&mut self, (): ()) {}
}

/// A list published earlier in the current frame.
fn get<T>(alloc: &SmartAlloc, list: FrameHandle<[T]>) -> &[T] {
    alloc.get(list).expect("a list of the current frame")
}

fn draw_list(alloc: &SmartAlloc, parts: &[Part], tally: &mut Tally) -> FrameHandle<[Draw]> {
    let frame = alloc.frame();
    let batches = parts.iter().map(|part| get(alloc, part.batches).len() + MATERIALS).sum();
    let mut draws = frame.vec_with_capacity(batches);
    for (worker, part) in (0u32..).zip(parts) {
        draws.extend((0u32..).zip(get(alloc, part.batches)).map(|(batch, Batch { head, instances })| Draw {
            camera: head.camera,
            key: head.key,
            worker,
            batch,
            count: get(alloc, *instances).len() as u32,
        }));
        draws.extend((0u32..).zip(part.sprites).map(|(batch, sprites)| Draw {
            camera: SPRITES,
            key: batch,
            worker,
            batch,
            count: get(alloc, sprites).len() as u32,
        }));
    }
    draws.sort_unstable();
    tally.list::<Draw>(Stage::Batches, draws.len());
    alloc.publish_vec(draws)
}

fn contacts(alloc: &SmartAlloc, input: &Input<'_>, tally: &mut Tally) -> FrameHandle<[Manifold]> {
    let frame = alloc.frame();
    let pairs = input.scene.pairs(input.share);
    let mut manifolds = frame.vec_with_capacity(pairs.len());
    for touch in pairs.flat_map(|pair| touches(input.scene, pair)) {
        tally.list::<ContactPoint>(Stage::Contacts, touch.points().len());
        manifolds.push(Manifold { head: touch.head, points: alloc.publish_slice_fill_iter(touch.points()) });
    }
    tally.manifolds += manifolds.len() as u64;
    tally.list::<ManifoldHead>(Stage::Contacts, manifolds.len());
    alloc.publish_vec(manifolds)
}

fn rays(alloc: &SmartAlloc, input: &Input<'_>, tally: &mut Tally) -> FrameHandle<[RayResult]> {
    let frame = alloc.frame();
    let mut rays = frame.vec_with_capacity(input.rays.len());
    for (head, raw) in input.rays.iter() {
        let mut hits = frame.vec_with_capacity(raw.len());
        hits.extend_from_slice(raw);
        hits.sort_unstable_by(RayHit::by_distance);
        tally.list::<RayHit>(Stage::Rays, hits.len());
        rays.push(RayResult { head, hits: alloc.publish_vec(hits) });
    }
    tally.list::<RayHead>(Stage::Rays, rays.len());
    alloc.publish_vec(rays)
}

fn particles(
    alloc: &SmartAlloc,
    input: &Input<'_>,
    manifolds: FrameHandle<[Manifold]>,
    tally: &mut Tally,
) -> FrameHandle<[Emitter]> {
    let frame = alloc.frame();
    let manifolds = get(alloc, manifolds);
    let mut emitters = frame.vec_with_capacity(manifolds.len());
    for manifold in manifolds {
        let (head, count) = emitter(input.scene, &manifold.head);
        let particles = alloc.publish_slice_fill_with(count, |index| particle(&head, index));
        tally.list::<Particle>(Stage::Particles, count);
        emitters.push(Emitter { head, particles });
    }
    tally.list::<EmitterHead>(Stage::Particles, emitters.len());
    alloc.publish_vec(emitters)
}

fn visibility(alloc: &SmartAlloc, input: &Input<'_>, camera: usize, tally: &mut Tally) -> FrameHandle<[Visible]> {
    let frame = alloc.frame();
    let bodies = input.share.of(input.scene.bodies());
    let mut list = frame.vec_with_capacity(bodies.len());
    for (head, position) in bodies.filter_map(|body| cull(input.scene, camera, body)) {
        let mut lights = frame.vec();
        for light in lights_at(input.scene, position) {
            lights.push(light);
        }
        tally.list::<LightRef>(Stage::Visibility, lights.len());
        list.push(Visible { head, lights: alloc.publish_vec(lights) });
    }
    tally.list::<VisibleHead>(Stage::Visibility, list.len());
    alloc.publish_vec(list)
}

fn batches(
    alloc: &SmartAlloc,
    input: &Input<'_>,
    visible: &[FrameHandle<[Visible]>; CAMERAS],
    tally: &mut Tally,
) -> FrameHandle<[Batch]> {
    let frame = alloc.frame();
    let mut batches = frame.vec();
    for (camera, list) in (0u32..).zip(visible.map(|list| get(alloc, list))) {
        // The sort needs its keys only here.
        let scratch = alloc.scratch();
        let mut keys = scratch.vec_with_capacity::<SortKey>(list.len());
        keys.extend((0u32..).zip(list).map(|(index, visible)| (visible.head.key, index)));
        keys.sort_unstable();
        tally.list::<SortKey>(Stage::Batches, keys.len());
        for run in keys.chunk_by(|a, b| a.0 == b.0) {
            let instances = run.iter().map(|&(_, index)| instance(input.scene, &list[index as usize].head));
            tally.list::<Instance>(Stage::Batches, instances.len());
            let instances = alloc.publish_slice_fill_iter(instances);
            batches.push(Batch { head: BatchHead { camera, key: run[0].0 }, instances });
        }
    }
    tally.list::<BatchHead>(Stage::Batches, batches.len());
    alloc.publish_vec(batches)
}

fn sprites(
    alloc: &SmartAlloc,
    input: &Input<'_>,
    emitters: FrameHandle<[Emitter]>,
    tally: &mut Tally,
) -> [FrameHandle<[Sprite]>; MATERIALS] {
    let frame = alloc.frame();
    let emitters = get(alloc, emitters);
    let mut counts = [0; MATERIALS];
    for emitter in emitters {
        counts[emitter.head.material as usize] += get(alloc, emitter.particles).len();
    }
    let mut sprites = counts.map(|count| frame.vec_with_capacity(count));
    for emitter in emitters {
        let batch = &mut sprites[emitter.head.material as usize];
        batch.extend(get(alloc, emitter.particles).iter().map(|particle| sprite(input.scene, particle)));
    }
    for count in counts {
        tally.list::<Sprite>(Stage::Batches, count);
    }
    sprites.map(|batch| alloc.publish_vec(batch))
}
