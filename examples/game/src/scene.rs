//! The world: bodies that collide in Rapier, and the cameras, lights and rays of the frame.
//!
//! The same seed gives the same frames. What Rapier allocates is Rapier's own and counted apart from the stages.

use std::f32::consts::TAU;

use rapier3d::prelude::{
    ColliderBuilder, ContactPair, PhysicsWorld, Pose, Ray, RigidBodyBuilder, RigidBodyHandle, Vector,
};

use crate::crew::Share;
use crate::model::{CAMERAS, RayHead, RayHit, V3};

/// How much more of everything the burst frame has.
pub const BURST: u32 = 20;
/// Contacts do not multiply in an explosion, so debris makes up for them: a frame's *bytes* grow [`BURST`]-fold.
const BURST_DEBRIS: u32 = 31;
const LIGHTS: u32 = 40;
/// Steps before the first frame: the pile has settled into itself, and the stirrer moves it.
const WARM_UP: u32 = 40;

pub struct Camera {
    pub eye: V3,
    pub direction: V3,
    pub cos_squared: f32,
    pub far: f32,
}

pub struct Light {
    pub position: V3,
    pub reach: f32,
}

pub struct Scene {
    pub physics: PhysicsWorld,
    pub frame: u32,
    pub cameras: [Camera; CAMERAS],
    pub lights: Vec<Light>,
    pub rays: u32,
    /// Factor on every emitter's particles.
    pub debris: u32,
    bodies: Vec<RigidBodyHandle>,
    /// Where every collider is in this frame, by its index: the bodies first, walls and stirrer last.
    poses: Vec<Pose>,
    seed: u32,
    side: f32,
}

/// A hash good enough for dust.
pub fn mix(a: u32, b: u32) -> u32 {
    let mut x = a ^ b.wrapping_mul(0x9e37_79b9);
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// A hash as a number from 0 up to 1.
pub fn unit(hash: u32) -> f32 {
    (hash >> 8) as f32 / (1 << 24) as f32
}

impl Scene {
    /// A walled box full of cubes and balls, with a bar that stirs them for ever.
    pub fn new(bodies: u32, seed: u64) -> Self {
        let seed = mix(seed as u32, (seed >> 32) as u32);
        let columns = (bodies as f32 * 1.2).cbrt().ceil().max(1.0) as u32;
        let side = columns as f32 * 1.02 + 0.1;
        let mut physics = PhysicsWorld::default();
        let handles = (0..bodies)
            .map(|index| {
                let (layer, place) = (index / (columns * columns), index % (columns * columns));
                let jitter = |axis| 0.02 * (unit(mix(seed ^ axis, index)) - 0.5);
                let across = |column: u32| (column as f32 + 0.5) * 1.02 - side / 2.0;
                let at = Vector::new(
                    across(place % columns) + jitter(1),
                    1.0 + layer as f32 * 1.01,
                    across(place / columns) + jitter(2),
                );
                let shape = if mix(seed, index).is_multiple_of(2) {
                    ColliderBuilder::cuboid(0.5, 0.5, 0.5)
                } else {
                    ColliderBuilder::ball(0.5)
                };
                physics.insert(RigidBodyBuilder::dynamic().translation(at).can_sleep(false), shape).0
            })
            .collect();
        enclose(&mut physics, side);
        let stirrer = RigidBodyBuilder::kinematic_velocity_based()
            .translation(Vector::new(0.0, 0.25, 0.0))
            .angvel(Vector::new(0.0, 0.8, 0.0));
        physics.insert(stirrer, ColliderBuilder::cuboid(side * 0.45, 0.2, 0.2));

        let mut scene = Self {
            physics,
            frame: 0,
            cameras: std::array::from_fn(|_| Camera { eye: [0.0; 3], direction: [0.0; 3], cos_squared: 0.0, far: 0.0 }),
            lights: Vec::with_capacity((LIGHTS * BURST) as usize),
            rays: 0,
            debris: 1,
            bodies: handles,
            poses: Vec::new(),
            seed,
            side,
        };
        (0..WARM_UP).for_each(|_| scene.physics.step());
        scene
    }

    /// Rapier's step; the burst throws the pile up first.
    pub fn step(&mut self, burst: bool) {
        if burst {
            for &handle in &self.bodies {
                let body = &mut self.physics.bodies[handle];
                let mass = body.mass();
                body.apply_impulse(Vector::new(0.0, 1.0 * mass, 0.0), true);
            }
        }
        self.physics.step();
    }

    /// Sets what the stages look at beside the bodies.
    pub fn prepare(&mut self, frame: u32, burst: bool) {
        let factor = if burst { BURST } else { 1 };
        self.frame = frame;
        self.poses.clear();
        self.poses.extend(self.physics.colliders.iter().map(|(_, collider)| *collider.position()));
        self.debris = if burst { BURST_DEBRIS } else { 1 };
        self.rays = (self.bodies.len() as u32 * 2 / 5).max(1) * factor;

        let turn = frame as f32 * 0.01;
        let (side, height) = (self.side, self.side * 0.5);
        self.cameras = std::array::from_fn(|index| {
            let angle = turn + index as f32 * TAU / CAMERAS as f32;
            let eye = Vector::new(angle.cos() * side * 1.2, height * 1.5, angle.sin() * side * 1.2);
            let direction = (Vector::new(0.0, height * 0.6, 0.0) - eye).normalize();
            Camera { eye: eye.to_array(), direction: direction.to_array(), cos_squared: 0.86, far: side * 3.0 }
        });

        let seed = self.seed;
        self.lights.clear();
        self.lights.extend((0..LIGHTS * factor).map(|index| {
            let place = mix(seed ^ 0x11, index);
            let angle = turn + TAU * unit(place);
            let out = side * 0.6 * unit(place.rotate_left(9));
            let position = [angle.cos() * out, height * 2.0 * unit(place.rotate_left(18)), angle.sin() * out];
            Light { position, reach: side * (0.25 + 0.15 * unit(place.rotate_left(27))) }
        }));
    }

    pub fn bodies(&self) -> usize {
        self.bodies.len()
    }

    pub fn pose(&self, collider: u32) -> &Pose {
        &self.poses[collider as usize]
    }

    /// 0 for a cube, 1 for a ball.
    pub fn mesh(&self, body: usize) -> u32 {
        mix(self.seed, body as u32) % 2
    }

    /// A worker's share of the narrow phase's contact pairs, touching or merely near.
    pub fn pairs(&self, share: Share) -> impl ExactSizeIterator<Item = &ContactPair> {
        let pairs = self.physics.narrow_phase.contact_graph().raw_graph().raw_edges();
        pairs[share.of(pairs.len())].iter().map(|edge| &edge.weight)
    }

    /// A shot through the pile.
    pub fn ray(&self, ray: u32) -> RayHead {
        let seed = mix(self.seed ^ self.frame.rotate_left(16), ray);
        let place = |hash: u32| self.side * 0.9 * (unit(hash) - 0.5);
        let origin = Vector::new(place(seed), self.side * 1.2, place(seed.rotate_left(11)));
        let towards = Vector::new(place(seed.rotate_left(7)), 0.0, place(seed.rotate_left(22)));
        RayHead { ray, origin: origin.to_array(), direction: (towards - origin).normalize().to_array() }
    }

    /// Everything a shot passes through, in the order Rapier finds it.
    pub fn cast(&self, head: &RayHead, hits: &mut Vec<RayHit>) {
        let ray = Ray::new(Vector::from_array(head.origin), Vector::from_array(head.direction));
        let query = self.physics.query_pipeline();
        hits.extend(query.intersect_ray(ray, self.side * 2.0, true).map(|(collider, _, hit)| RayHit {
            body: collider.into_raw_parts().0,
            distance: hit.time_of_impact,
            normal: hit.normal.to_array(),
        }));
    }
}

fn enclose(physics: &mut PhysicsWorld, side: f32) {
    let half = side / 2.0;
    let tall = side * 1.5;
    let mut wall = |at: Vector, size: Vector| {
        physics.insert(RigidBodyBuilder::fixed().translation(at), ColliderBuilder::cuboid(size.x, size.y, size.z));
    };
    for up in [-0.5, 2.0 * tall] {
        wall(Vector::new(0.0, up, 0.0), Vector::new(half + 1.0, 0.5, half + 1.0));
    }
    for sign in [-1.0, 1.0] {
        wall(Vector::new(sign * (half + 0.5), tall, 0.0), Vector::new(0.5, tall, half + 1.0));
        wall(Vector::new(0.0, tall, sign * (half + 0.5)), Vector::new(half + 1.0, tall, 0.5));
    }
}
