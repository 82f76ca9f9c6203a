//! What a frame is made of, and how each piece is computed from the scene.
//!
//! Every variant stores the same pieces and computes them with the same functions; only *where the lists live* differs.
//! Hence nothing here owns a list.

use rapier3d::prelude::{ContactPair, Pose, TrackedContact};

use crate::scene::{Scene, mix, unit};

pub type V3 = [f32; 3];

/// Cameras that look at the scene: the player's and two for shadows.
pub const CAMERAS: usize = 3;
pub const MATERIALS: usize = 8;
/// The draw list files sprites behind every camera's meshes.
pub const SPRITES: u32 = CAMERAS as u32;

#[derive(Clone, Copy)]
pub struct ContactPoint {
    pub position: V3,
    pub depth: f32,
    pub impulse: f32,
    pub features: [u32; 2],
}

#[derive(Clone, Copy)]
pub struct ManifoldHead {
    pub bodies: [u32; 2],
    pub normal: V3,
    /// Where its first contact point is.
    pub origin: V3,
    pub points: u32,
}

#[derive(Clone, Copy)]
pub struct RayHead {
    pub ray: u32,
    pub origin: V3,
    pub direction: V3,
}

#[derive(Clone, Copy)]
pub struct RayHit {
    pub body: u32,
    pub distance: f32,
    pub normal: V3,
}

#[derive(Clone, Copy)]
pub struct EmitterHead {
    pub origin: V3,
    pub normal: V3,
    pub material: u32,
    pub seed: u32,
}

#[derive(Clone, Copy)]
pub struct Particle {
    pub position: V3,
    pub velocity: V3,
    pub life: f32,
    pub size: f32,
    pub color: u32,
    pub spin: f32,
}

#[derive(Clone, Copy)]
pub struct VisibleHead {
    pub body: u32,
    pub depth: f32,
    pub lod: u32,
    /// Material and mesh, in sorting order.
    pub key: u32,
}

#[derive(Clone, Copy)]
pub struct LightRef {
    pub light: u32,
    pub intensity: f32,
}

#[derive(Clone, Copy)]
pub struct BatchHead {
    pub camera: u32,
    pub key: u32,
}

#[derive(Clone, Copy)]
pub struct Instance {
    pub rows: [[f32; 4]; 3],
    pub body: u32,
    pub tint: u32,
}

#[derive(Clone, Copy)]
pub struct Sprite {
    pub position: V3,
    pub size: f32,
    pub color: u32,
    pub rotation: f32,
    pub fade: f32,
    pub depth: f32,
}

/// One entry of the frame's draw list: a batch (or, under [`SPRITES`], a sprite batch) of one worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Draw {
    pub camera: u32,
    pub key: u32,
    pub worker: u32,
    pub batch: u32,
    pub count: u32,
}

/// What render batches are sorted by: the key, then the place in the camera's visibility list.
pub type SortKey = (u32, u32);

/// A manifold with at least one contact point, still inside the physics engine.
pub struct Touch<'w> {
    pub head: ManifoldHead,
    pose: &'w Pose,
    tracked: &'w [TrackedContact<rapier3d::geometry::ContactData>],
}

impl Touch<'_> {
    /// Its contact points in world space.
    pub fn points(&self) -> impl ExactSizeIterator<Item = ContactPoint> {
        self.tracked.iter().map(|point| ContactPoint {
            position: self.pose.transform_point(point.local_p1).to_array(),
            depth: -point.dist,
            impulse: point.data.impulse,
            features: [point.fid1.0, point.fid2.0],
        })
    }
}

/// The touching manifolds of one contact pair.
pub fn touches<'w>(scene: &'w Scene, pair: &'w ContactPair) -> impl Iterator<Item = Touch<'w>> {
    let bodies = [pair.collider1, pair.collider2].map(|collider| collider.into_raw_parts().0);
    let pose = scene.pose(bodies[0]);
    pair.manifolds().iter().filter(|manifold| !manifold.points.is_empty()).map(move |manifold| Touch {
        head: ManifoldHead {
            bodies,
            normal: pose.transform_vector(manifold.local_n1).to_array(),
            origin: pose.transform_point(manifold.points[0].local_p1).to_array(),
            points: manifold.points.len() as u32,
        },
        pose,
        tracked: &manifold.points,
    })
}

/// The dust a manifold throws up: one to three particles a contact point, many more in the explosion.
pub fn emitter(scene: &Scene, manifold: &ManifoldHead) -> (EmitterHead, usize) {
    let seed = mix(manifold.bodies[0] ^ manifold.bodies[1].rotate_left(16), scene.frame);
    let head =
        EmitterHead { origin: manifold.origin, normal: manifold.normal, material: material(manifold.bodies[0]), seed };
    (head, (manifold.points * (1 + seed % 3) * scene.debris) as usize)
}

pub fn particle(emitter: &EmitterHead, index: usize) -> Particle {
    let seed = mix(emitter.seed, index as u32);
    let sway = [unit(seed) - 0.5, unit(seed.rotate_left(11)) - 0.5, unit(seed.rotate_left(22)) - 0.5];
    Particle {
        position: std::array::from_fn(|axis| emitter.origin[axis] + 0.05 * sway[axis]),
        velocity: std::array::from_fn(|axis| 2.0 * emitter.normal[axis] + 3.0 * sway[axis]),
        life: 0.5 + unit(seed.rotate_left(5)),
        size: 0.01 + 0.03 * unit(seed.rotate_left(17)),
        color: seed | 0xff,
        spin: sway[0] * sway[1],
    }
}

pub fn sprite(scene: &Scene, particle: &Particle) -> Sprite {
    let ahead: V3 = std::array::from_fn(|axis| particle.position[axis] + particle.velocity[axis] / 60.0);
    Sprite {
        position: ahead,
        size: particle.size,
        color: particle.color,
        rotation: particle.spin * scene.frame as f32,
        fade: particle.life.min(1.0),
        depth: dot(sub(ahead, scene.cameras[0].eye), scene.cameras[0].direction),
    }
}

/// Whether a camera sees a body, and how it should be drawn.
pub fn cull(scene: &Scene, camera: usize, body: usize) -> Option<(VisibleHead, V3)> {
    let camera = &scene.cameras[camera];
    let position = scene.pose(body as u32).translation.to_array();
    let towards = sub(position, camera.eye);
    let depth = dot(towards, camera.direction);
    let distance_squared = dot(towards, towards);
    let inside = depth > 0.0 && depth * depth > camera.cos_squared * distance_squared && depth < camera.far;
    inside.then(|| {
        let key = material(body as u32) * 2 + scene.mesh(body);
        let lod = (4.0 * depth / camera.far) as u32;
        (VisibleHead { body: body as u32, depth, lod, key }, position)
    })
}

/// The lights that reach a position, in the order of the scene's lights.
pub fn lights_at(scene: &Scene, position: V3) -> impl Iterator<Item = LightRef> {
    scene.lights.iter().enumerate().filter_map(move |(index, light)| {
        let towards = sub(position, light.position);
        let distance_squared = dot(towards, towards);
        let reach_squared = light.reach * light.reach;
        (distance_squared < reach_squared)
            .then(|| LightRef { light: index as u32, intensity: 1.0 - distance_squared / reach_squared })
    })
}

pub fn instance(scene: &Scene, visible: &VisibleHead) -> Instance {
    let pose = scene.pose(visible.body);
    let [x, y, z, w] = pose.rotation.to_array();
    let [tx, ty, tz] = pose.translation.to_array();
    Instance {
        rows: [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w), tx],
            [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w), ty],
            [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y), tz],
        ],
        body: visible.body,
        tint: mix(visible.key, visible.lod),
    }
}

fn material(body: u32) -> u32 {
    mix(body, 0x6d61_7465) % MATERIALS as u32
}

fn sub(a: V3, b: V3) -> V3 {
    std::array::from_fn(|axis| a[axis] - b[axis])
}

fn dot(a: V3, b: V3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

impl RayHit {
    /// Nearest first; equally far hits by body, so that the order does not depend on the sort.
    pub fn by_distance(&self, other: &Self) -> std::cmp::Ordering {
        self.distance.total_cmp(&other.distance).then(self.body.cmp(&other.body))
    }
}
