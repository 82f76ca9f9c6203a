//! What the render thread does with a frame: reads all of it and folds it into one number.
//!
//! The sum depends on every value and on their order, so equal sums mean that variants stored the same data.

use crate::model::{
    ContactPoint, Draw, EmitterHead, Instance, LightRef, ManifoldHead, Particle, RayHead, RayHit, Sprite, V3,
    VisibleHead,
};

#[derive(Default)]
pub struct Fold(u64);

impl Fold {
    pub fn sum(&self) -> u64 {
        self.0
    }

    fn pair(&mut self, a: u32, b: u32) {
        let word = u64::from(a) | u64::from(b) << 32;
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    fn reals(&mut self, a: f32, b: f32) {
        self.pair(a.to_bits(), b.to_bits());
    }

    /// A vector and one word more.
    fn vector(&mut self, v: V3, w: u32) {
        self.reals(v[0], v[1]);
        self.pair(v[2].to_bits(), w);
    }

    pub fn manifold(&mut self, head: &ManifoldHead, points: &[ContactPoint]) {
        self.pair(head.bodies[0], head.bodies[1]);
        self.vector(head.normal, head.points);
        self.vector(head.origin, points.len() as u32);
        for point in points {
            self.vector(point.position, point.depth.to_bits());
            self.pair(point.features[0], point.features[1]);
            self.pair(point.impulse.to_bits(), 0);
        }
    }

    pub fn ray(&mut self, head: &RayHead, hits: &[RayHit]) {
        self.vector(head.origin, head.ray);
        self.vector(head.direction, hits.len() as u32);
        for hit in hits {
            self.vector(hit.normal, hit.body);
            self.pair(hit.distance.to_bits(), 0);
        }
    }

    pub fn emitter(&mut self, head: &EmitterHead, particles: &[Particle]) {
        self.vector(head.origin, head.material);
        self.vector(head.normal, head.seed);
        for particle in particles {
            self.vector(particle.position, particle.color);
            self.vector(particle.velocity, particle.life.to_bits());
            self.reals(particle.size, particle.spin);
        }
    }

    pub fn visible(&mut self, head: &VisibleHead, lights: &[LightRef]) {
        self.pair(head.body, head.depth.to_bits());
        self.pair(head.lod, head.key);
        for light in lights {
            self.pair(light.light, light.intensity.to_bits());
        }
    }

    pub fn draw(&mut self, draw: &Draw) {
        self.pair(draw.camera, draw.key);
        self.pair(draw.worker, draw.batch);
        self.pair(draw.count, 0);
    }

    pub fn instances(&mut self, instances: &[Instance]) {
        for instance in instances {
            for row in instance.rows {
                self.reals(row[0], row[1]);
                self.reals(row[2], row[3]);
            }
            self.pair(instance.body, instance.tint);
        }
    }

    pub fn sprites(&mut self, sprites: &[Sprite]) {
        for sprite in sprites {
            self.vector(sprite.position, sprite.color);
            self.reals(sprite.size, sprite.rotation);
            self.reals(sprite.fade, sprite.depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Fold;
    use crate::model::LightRef;

    #[test]
    fn the_order_of_a_list_shows_in_the_sum() {
        let lights = [1, 2].map(|light| LightRef { light, intensity: 0.5 });
        let head = crate::model::VisibleHead { body: 1, depth: 2.0, lod: 0, key: 3 };
        let sum = |lights: &[LightRef]| {
            let mut fold = Fold::default();
            fold.visible(&head, lights);
            fold.sum()
        };
        assert_ne!(sum(&lights), sum(&[lights[1], lights[0]]));
    }
}
