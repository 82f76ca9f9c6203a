//! A structure of arrays for a frame: one block, each column on cache lines of its own, dropped with the frame.
//! The same wind simulation on an array of structures gives the same bits; the columns move fewer bytes.
#![forbid(unsafe_code)]

use framealloc::prelude::*;

const LEAVES: usize = 20_000;
const STEPS: usize = 50;
const DT: f32 = 1.0 / 60.0;

/// An array of structures carries everything a leaf has through the cache, also what the simulation never looks at.
#[derive(Clone, Copy, Default)]
struct Leaf {
    position: [f32; 3],
    velocity: [f32; 3],
    color: [f32; 4],
    sprite: u32,
    mass: f32,
}

fn start(i: usize) -> Leaf {
    let x = i as f32;
    Leaf {
        position: [x.sin(), 10.0 + x.cos(), x * 0.001],
        velocity: [0.0, 0.0, 0.1],
        color: [0.2, 0.6, 0.1, 1.0],
        sprite: i as u32 % 4,
        mass: 1.0 + (i % 7) as f32,
    }
}

fn blow(position: &mut [f32; 3], velocity: &mut [f32; 3], mass: f32) {
    let push = [1.0 / mass, -0.5, 0.2 / mass];
    for axis in 0..3 {
        velocity[axis] = (velocity[axis] + push[axis] * DT) * 0.99;
        position[axis] += velocity[axis] * DT;
    }
}

/// The positions as bits: equal is equal, not nearly so.
fn checksum<'a>(positions: impl Iterator<Item = &'a [f32; 3]>) -> u64 {
    positions.flatten().fold(0, |sum: u64, x| sum.rotate_left(5) ^ u64::from(x.to_bits()))
}

fn structures(alloc: &SmartAlloc) -> u64 {
    let leaves = alloc.frame().alloc_slice_fill_with(LEAVES, start);
    for _ in 0..STEPS {
        for leaf in leaves.iter_mut() {
            blow(&mut leaf.position, &mut leaf.velocity, leaf.mass);
        }
    }
    assert!(leaves.iter().all(|leaf| leaf.color[3] == 1.0 && leaf.sprite < 4));
    checksum(leaves.iter().map(|leaf| &leaf.position))
}

fn columns(alloc: &SmartAlloc) -> u64 {
    let (mut position, mut velocity, mut color, mut sprite, mut mass) =
        alloc.frame_columns::<([f32; 3], [f32; 3], [f32; 4], u32, f32)>(LEAVES);
    for i in 0..LEAVES {
        let leaf = start(i);
        (position[i], velocity[i], color[i]) = (leaf.position, leaf.velocity, leaf.color);
        (sprite[i], mass[i]) = (leaf.sprite, leaf.mass);
    }
    for _ in 0..STEPS {
        for ((position, velocity), mass) in position.iter_mut().zip(velocity.iter_mut()).zip(mass.iter()) {
            blow(position, velocity, *mass);
        }
    }
    for column in [position.as_ptr().addr(), velocity.as_ptr().addr(), mass.as_ptr().addr()] {
        assert_eq!(column % 64, 0, "every column begins with a cache line");
    }
    assert!(color.iter().all(|color| color[3] == 1.0) && sprite.iter().all(|&sprite| sprite < 4));
    checksum(position.iter())
}

fn main() {
    let mut alloc = SmartAlloc::default();
    alloc.begin_frame();
    let of_structures = structures(&alloc);
    let one = alloc.end_frame();

    alloc.begin_frame();
    let of_columns = columns(&alloc);
    let other = alloc.end_frame();

    assert_eq!(of_structures, of_columns);
    let (one, other) = (one.bytes_allocated, other.bytes_allocated);
    assert!(other < one + 5 * 64, "columns take no more than structures, but for their alignment");
    let used = size_of::<[f32; 3]>() * 2 + size_of::<f32>();
    println!("{LEAVES} leaves, {STEPS} steps: both layouts end at checksum {of_columns:016x}");
    println!(
        "a step reads {} bytes a leaf from structures ({one} in all), {used} from columns ({other})",
        size_of::<Leaf>()
    );
    assert!(used < size_of::<Leaf>());
}
