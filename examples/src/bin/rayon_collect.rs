//! Collecting from rayon into the frame: every worker gathers into its own thread's frame memory, freezes the vector into
//! a box (or publishes it), and the parts are combined without a lock.
#![forbid(unsafe_code)]

use framealloc::prelude::*;
use rayon::prelude::*;

const OBJECTS: usize = 200_000;
const PART: usize = 4096;

#[derive(Clone, Copy)]
struct Sphere {
    center: [f32; 3],
    radius: f32,
}

/// The distance to the nearest of the view's planes.
fn distance(sphere: &Sphere) -> f32 {
    const PLANES: [[f32; 4]; 3] = [[0.8, 0.0, 0.6, -5.0], [-0.8, 0.0, 0.6, -5.0], [0.0, 0.0, -1.0, 90.0]];
    let [x, y, z] = sphere.center;
    PLANES.iter().map(|[a, b, c, d]| a * x + b * y + c * z + d).fold(f32::MAX, f32::min)
}

fn visible_in(part: usize, spheres: &[Sphere]) -> impl Iterator<Item = u32> {
    let is_visible = |(_, sphere): &(usize, &Sphere)| distance(sphere) > -sphere.radius;
    spheres.iter().enumerate().filter(is_visible).map(move |(i, _)| (part * PART + i) as u32)
}

/// Boxes: a `FrameBox` is `Send`, so each worker leaves its own in its place of a slice that is itself in the frame.
/// Then every part has its range of one flat list, and they are copied there side by side.
fn by_boxes<'f>(alloc: &'f SmartAlloc, spheres: &[Sphere]) -> &'f [u32] {
    let frame = alloc.frame();
    let mut parts = frame.slice::<Option<FrameBox<'f, [u32]>>>(spheres.len().div_ceil(PART));
    parts.par_iter_mut().zip(spheres.par_chunks(PART)).enumerate().for_each(|(i, (place, part))| {
        *place = Some(alloc.frame_collect(visible_in(i, part)).into_boxed_slice());
    });
    let total = parts.iter().flatten().map(|part| part.len()).sum();
    let flat = frame.alloc_slice_fill(total, 0);
    let (mut rest, mut ranges) = (&mut *flat, frame.vec_with_capacity(parts.len()));
    for part in parts.iter().flatten() {
        let (range, behind) = rest.split_at_mut(part.len());
        ranges.push((range, part));
        rest = behind;
    }
    ranges.par_iter_mut().for_each(|(range, part)| range.copy_from_slice(part));
    drop(ranges);
    flat
}

/// Handles: for those who pass the result on to other systems. Nothing is copied: the list names the workers' vectors.
fn by_handles(alloc: &SmartAlloc, spheres: &[Sphere]) -> FrameHandle<[Option<FrameHandle<[u32]>>]> {
    let mut parts = alloc.frame_slice::<Option<FrameHandle<[u32]>>>(spheres.len().div_ceil(PART));
    parts.par_iter_mut().zip(spheres.par_chunks(PART)).enumerate().for_each(|(i, (place, part))| {
        *place = Some(alloc.publish_vec(alloc.frame_collect(visible_in(i, part))));
    });
    alloc.publish_slice_copy(&parts)
}

fn main() {
    let sphere = |i: usize| Sphere {
        center: [(i % 211) as f32 - 105.0, (i % 17) as f32, (i * 31 % 193) as f32],
        radius: (i % 5) as f32 * 0.5,
    };
    let spheres: Vec<Sphere> = (0..OBJECTS).map(sphere).collect();
    let expected: Vec<u32> = visible_in(0, &spheres).collect();

    rayon::ThreadPoolBuilder::new().num_threads(4).build_global().expect("threads");
    let mut alloc = SmartAlloc::default();
    let mut used = 0;
    for _ in 0..20 {
        alloc.begin_frame();
        assert_eq!(by_boxes(&alloc, &spheres), expected);
        let parts = by_handles(&alloc, &spheres);
        let parts = alloc.get(parts).expect("published in this frame").iter().flatten();
        let listed = parts.flat_map(|&part| alloc.get(part).expect("published in this frame"));
        assert!(listed.eq(&expected));
        used = used.max(alloc.end_frame().threads);
    }
    assert!(used > 1, "the workers have arenas of their own");
    let (count, parts) = (expected.len(), OBJECTS.div_ceil(PART));
    println!("{count} of {OBJECTS} spheres visible, from {parts} parts, equal to the serial result in 20 frames");
    println!("up to {} workers collected in one frame, each into memory of its own", used - 1);
}
