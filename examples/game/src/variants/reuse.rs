//! `reuse`: buffers kept by hand, as an engine without a frame allocator would.
//!
//! Nested lists are flattened: one array of elements, and heads with a range into it. Two sets of buffers alternate, so
//! that the render thread reads one while the workers fill the other. Buffers only ever grow.

use std::ops::Range;

use super::{FRAMES_IN_FLIGHT, Variant};
use crate::crew::Input;
use crate::fold::Fold;
use crate::model::{
    BatchHead, CAMERAS, ContactPoint, Draw, EmitterHead, Instance, LightRef, MATERIALS, ManifoldHead, Particle,
    RayHead, RayHit, SPRITES, SortKey, Sprite, VisibleHead, cull, emitter, instance, lights_at, particle, sprite,
    touches,
};
use crate::tally::{Stage, Tally};

/// Many lists in two arrays.
struct Lists<H, T> {
    heads: Vec<(H, Range<u32>)>,
    items: Vec<T>,
}

impl<H, T> Default for Lists<H, T> {
    fn default() -> Self {
        Self { heads: Vec::new(), items: Vec::new() }
    }
}

impl<H, T> Lists<H, T> {
    fn clear(&mut self) {
        self.heads.clear();
        self.items.clear();
    }

    /// Appends a list; returns it for finishing touches.
    fn push(&mut self, head: H, items: impl Iterator<Item = T>) -> &mut [T] {
        let start = self.items.len();
        self.items.extend(items);
        self.heads.push((head, start as u32..self.items.len() as u32));
        &mut self.items[start..]
    }

    fn len(&self) -> usize {
        self.heads.len()
    }

    fn list(&self, index: usize) -> (&H, &[T]) {
        let (head, range) = &self.heads[index];
        (head, &self.items[range.start as usize..range.end as usize])
    }

    fn iter(&self) -> impl Iterator<Item = (&H, &[T])> {
        (0..self.len()).map(|index| self.list(index))
    }
}

/// One worker's buffers of one frame.
#[derive(Default)]
pub struct Buffers {
    manifolds: Lists<ManifoldHead, ContactPoint>,
    rays: Lists<RayHead, RayHit>,
    emitters: Lists<EmitterHead, Particle>,
    visible: [Lists<VisibleHead, LightRef>; CAMERAS],
    keys: Vec<SortKey>,
    batches: Lists<BatchHead, Instance>,
    sprites: [Vec<Sprite>; MATERIALS],
}

/// All buffers of one frame.
#[derive(Default)]
pub struct Set {
    parts: Vec<Buffers>,
    draws: Vec<Draw>,
}

pub struct Reuse {
    sets: Vec<Set>,
    /// Buffers of the current set that no worker has yet.
    waiting: Vec<Buffers>,
    current: Set,
}

impl Variant for Reuse {
    type Job = Buffers;
    type Part = Buffers;
    type Packet = Set;
    type Spent = Set;

    fn new(threads: usize) -> Self {
        let set = || Set { parts: (0..threads).map(|_| Buffers::default()).collect(), draws: Vec::new() };
        Self {
            sets: (0..FRAMES_IN_FLIGHT).map(|_| set()).collect(),
            waiting: Vec::with_capacity(threads),
            current: Set::default(),
        }
    }

    fn begin(&mut self) {
        self.current = self.sets.pop().expect("the render thread returns a set before it is needed again");
        self.waiting.extend(self.current.parts.drain(..).rev());
    }

    fn job(&mut self, _worker: usize) -> Buffers {
        self.waiting.pop().expect("a set has buffers for every worker")
    }

    fn build(mut buffers: Buffers, input: &Input<'_>, tally: &mut Tally) -> Buffers {
        buffers.contacts(input, tally);
        buffers.rays(input, tally);
        buffers.particles(input, tally);
        (0..CAMERAS).for_each(|camera| buffers.visibility(input, camera, tally));
        buffers.batches(input, tally);
        buffers.sprites(input, tally);
        buffers
    }

    fn take(&mut self, part: Buffers) {
        self.current.parts.push(part);
    }

    fn finish(&mut self, tally: &mut Tally) -> Set {
        let mut set = std::mem::take(&mut self.current);
        set.draws.clear();
        for (worker, part) in (0u32..).zip(&set.parts) {
            set.draws.extend((0u32..).zip(part.batches.iter()).map(|(batch, (head, instances))| Draw {
                camera: head.camera,
                key: head.key,
                worker,
                batch,
                count: instances.len() as u32,
            }));
            set.draws.extend((0u32..).zip(&part.sprites).map(|(batch, sprites)| Draw {
                camera: SPRITES,
                key: batch,
                worker,
                batch,
                count: sprites.len() as u32,
            }));
        }
        set.draws.sort_unstable();
        tally.list::<Draw>(Stage::Batches, set.draws.len());
        set
    }

    fn read(set: &Set, fold: &mut Fold) {
        for part in &set.parts {
            part.manifolds.iter().for_each(|(head, points)| fold.manifold(head, points));
            part.rays.iter().for_each(|(head, hits)| fold.ray(head, hits));
            part.emitters.iter().for_each(|(head, particles)| fold.emitter(head, particles));
            for camera in &part.visible {
                camera.iter().for_each(|(head, lights)| fold.visible(head, lights));
            }
        }
        for draw in &set.draws {
            fold.draw(draw);
            let part = &set.parts[draw.worker as usize];
            if draw.camera == SPRITES {
                fold.sprites(&part.sprites[draw.batch as usize]);
            } else {
                fold.instances(part.batches.list(draw.batch as usize).1);
            }
        }
    }

    fn release(set: Set) -> Set {
        set
    }

    fn recycle(&mut self, spent: Set) {
        self.sets.push(spent);
    }
}

impl Buffers {
    fn contacts(&mut self, input: &Input<'_>, tally: &mut Tally) {
        let manifolds = &mut self.manifolds;
        manifolds.clear();
        for touch in input.scene.pairs(input.share).flat_map(|pair| touches(input.scene, pair)) {
            let points = manifolds.push(touch.head, touch.points());
            tally.list::<ContactPoint>(Stage::Contacts, points.len());
        }
        tally.manifolds += manifolds.len() as u64;
        tally.list::<ManifoldHead>(Stage::Contacts, manifolds.len());
    }

    fn rays(&mut self, input: &Input<'_>, tally: &mut Tally) {
        self.rays.clear();
        for (head, raw) in input.rays.iter() {
            let hits = self.rays.push(head, raw.iter().copied());
            hits.sort_unstable_by(RayHit::by_distance);
            tally.list::<RayHit>(Stage::Rays, hits.len());
        }
        tally.list::<RayHead>(Stage::Rays, self.rays.len());
    }

    fn particles(&mut self, input: &Input<'_>, tally: &mut Tally) {
        self.emitters.clear();
        for (manifold, _) in &self.manifolds.heads {
            let (head, count) = emitter(input.scene, manifold);
            self.emitters.push(head, (0..count).map(|index| particle(&head, index)));
            tally.list::<Particle>(Stage::Particles, count);
        }
        tally.list::<EmitterHead>(Stage::Particles, self.emitters.len());
    }

    fn visibility(&mut self, input: &Input<'_>, camera: usize, tally: &mut Tally) {
        let list = &mut self.visible[camera];
        list.clear();
        let bodies = input.share.of(input.scene.bodies());
        for (head, position) in bodies.filter_map(|body| cull(input.scene, camera, body)) {
            let lights = list.push(head, lights_at(input.scene, position));
            tally.list::<LightRef>(Stage::Visibility, lights.len());
        }
        tally.list::<VisibleHead>(Stage::Visibility, list.len());
    }

    fn batches(&mut self, input: &Input<'_>, tally: &mut Tally) {
        self.batches.clear();
        for (camera, list) in (0u32..).zip(&self.visible) {
            self.keys.clear();
            self.keys.extend((0u32..).zip(&list.heads).map(|(index, (head, _))| (head.key, index)));
            self.keys.sort_unstable();
            tally.list::<SortKey>(Stage::Batches, self.keys.len());
            for run in self.keys.chunk_by(|a, b| a.0 == b.0) {
                let instances = run.iter().map(|&(_, index)| instance(input.scene, &list.heads[index as usize].0));
                self.batches.push(BatchHead { camera, key: run[0].0 }, instances);
                tally.list::<Instance>(Stage::Batches, run.len());
            }
        }
        tally.list::<BatchHead>(Stage::Batches, self.batches.len());
    }

    fn sprites(&mut self, input: &Input<'_>, tally: &mut Tally) {
        self.sprites.iter_mut().for_each(Vec::clear);
        for (head, particles) in self.emitters.iter() {
            let batch = &mut self.sprites[head.material as usize];
            batch.extend(particles.iter().map(|particle| sprite(input.scene, particle)));
        }
        for batch in &self.sprites {
            tally.list::<Sprite>(Stage::Batches, batch.len());
        }
    }
}
