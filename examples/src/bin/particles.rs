//! Particle effects in pools: each outlives the frame it was born in, and is freed on another thread when it is over.
//! The pool is also the allocator of every effect's particles and of the map that knows the effects by their names.
#![forbid(unsafe_code)]

use std::sync::mpsc;
use std::thread;

use allocator_api2::vec::Vec as VecIn;
use framealloc::prelude::*;
use hashbrown::{DefaultHashBuilder, HashMap};

const TICKS: u32 = 1_000;
const BORN_PER_TICK: u32 = 4;

#[derive(Clone, Copy)]
struct Particle {
    position: [f32; 3],
    velocity: [f32; 3],
    life: u16,
}

struct Effect {
    id: u32,
    particles: VecIn<Particle, Pool>,
}

type Effects = HashMap<u32, PoolBox<Effect>, DefaultHashBuilder, Pool>;

fn spark(id: u32, i: u32) -> Particle {
    let angle = (id * 31 + i) as f32;
    Particle { position: [0.0; 3], velocity: [angle.cos(), 3.0, angle.sin()], life: (10 + (id + i * 7) % 50) as u16 }
}

fn ignite(alloc: &SmartAlloc, id: u32) -> PoolBox<Effect> {
    let mut particles = VecIn::new_in(alloc.pool().clone());
    particles.extend((0..8 + id % 90).map(|i| spark(id, i)));
    alloc.pool_box(Effect { id, particles })
}

fn advance(effect: &mut Effect) {
    effect.particles.retain_mut(|particle| {
        particle.velocity[1] -= 0.05;
        for axis in 0..3 {
            particle.position[axis] += particle.velocity[axis] * 0.016;
        }
        particle.life -= 1;
        particle.life > 0
    });
}

/// What is drawn this frame is frame memory: gone with the frame, while the effects stay. The number of vertices.
fn draw(alloc: &SmartAlloc, effects: &Effects) -> usize {
    let sparks = effects.values().flat_map(|effect| effect.particles.iter());
    let vertices = alloc.frame_collect(sparks.map(|particle| particle.position));
    assert!(vertices.iter().flatten().all(|x| x.is_finite()));
    vertices.len()
}

fn main() {
    let mut alloc = SmartAlloc::default();
    // A bounded channel: not more than so many effects wait to be freed.
    let (bury, buried) = mpsc::sync_channel::<PoolBox<Effect>>(16);
    let undertaker =
        thread::spawn(move || buried.into_iter().inspect(|effect| assert!(effect.particles.is_empty())).count());

    let mut effects: Effects = HashMap::new_in(alloc.pool().clone());
    let (mut born, mut most, mut drawn, mut warm) = (0, 0, 0, 0);
    for tick in 0..TICKS {
        alloc.begin_frame();
        for _ in 0..BORN_PER_TICK {
            effects.insert(born, ignite(&alloc, born));
            born += 1;
        }
        effects.values_mut().for_each(|effect| advance(effect));
        for (id, effect) in effects.extract_if(|_, effect| effect.particles.is_empty()) {
            assert_eq!(id, effect.id);
            bury.send(effect).expect("the undertaker is there");
        }
        most = most.max(effects.len());
        drawn += draw(&alloc, &effects);
        alloc.end_frame();
        let pools = alloc.stats().pools;
        if tick == TICKS / 2 {
            warm = pools.slab_bytes;
        }
    }
    let pools = alloc.stats().pools;
    assert_eq!(pools.large_blocks, 1, "everything but the table of the map fits the size classes");
    // How many slabs it takes hangs on when the other thread runs, but it does not grow with time.
    assert!(pools.slab_bytes <= 2 * warm, "{} bytes of slabs, {warm} at half-time", pools.slab_bytes);

    let alive = effects.len();
    drop(effects);
    drop(bury);
    let freed_elsewhere = undertaker.join().expect("the undertaker finishes");
    assert_eq!(freed_elsewhere + alive, born as usize);
    alloc.trim();
    assert_eq!(alloc.stats().pools.slab_bytes, 0, "both threads gave everything back");
    println!("{born} effects, at most {most} at a time, {freed_elsewhere} of them freed on another thread");
    println!("{drawn} vertices drawn; {} KiB of slabs served all, and all came back", pools.slab_bytes >> 10);
}
