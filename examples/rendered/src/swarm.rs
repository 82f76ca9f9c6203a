//! The main world: the swarm moves, and each frame its instances are gathered in batches, which lie in the frame.

use bevy_app::{App, AppExit, Last, Plugin, Startup, Update};
use bevy_ecs::prelude::*;

use framealloc_bevy::prelude::*;

use crate::Options;

pub const WIDTH: u32 = 960;
pub const HEIGHT: u32 = 540;
const AGENTS: usize = 5_000;

/// The colours of the kinds of agents: one batch for each kind.
const KINDS: [[u8; 4]; 5] =
    [[255, 92, 92, 230], [255, 196, 64, 230], [96, 220, 128, 230], [80, 176, 255, 230], [200, 120, 255, 230]];

/// One disc, as the vertex buffer has it. Lengths are in pixels.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Instance {
    pub centre: [f32; 2],
    pub radius: f32,
    pub colour: [u8; 4],
}

/// What a frame draws: each batch is one draw call.
#[derive(Resource, Clone, Copy)]
pub struct FrameBatches {
    /// Counts from 1.
    pub frame: u32,
    pub batches: FrameHandle<[FrameHandle<[Instance]>]>,
}

#[derive(Component)]
struct Agent {
    kind: usize,
    position: [f32; 2],
    velocity: [f32; 2],
    radius: f32,
    agility: f32,
}

/// The frame that the main world is at, from 1.
#[derive(Resource, Default)]
struct Frame(u32);

pub struct SwarmPlugin;

impl Plugin for SwarmPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Frame>()
            .add_systems(Startup, spawn)
            .add_systems(Update, (next_frame, steer, gather).chain())
            .add_systems(Last, stop);
    }
}

fn spawn(mut commands: Commands) {
    let mut seed = 1_u32;
    let mut random = || {
        // xorshift32
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as f32 / u32::MAX as f32
    };
    for i in 0..AGENTS {
        commands.spawn(Agent {
            kind: i % KINDS.len(),
            position: [random() * WIDTH as f32, random() * HEIGHT as f32],
            velocity: [0.0, 0.0],
            radius: 1.5 + 2.5 * random(),
            agility: 0.5 + random(),
        });
    }
}

fn next_frame(mut frame: ResMut<Frame>) {
    frame.0 += 1;
}

/// Each kind circles a goal of its own, which goes around the middle.
fn steer(frame: Res<Frame>, mut agents: Query<&mut Agent>) {
    let goals: [[f32; 2]; KINDS.len()] = std::array::from_fn(|kind| {
        let turn = frame.0 as f32 / 240.0 + kind as f32 / KINDS.len() as f32;
        let (sin, cos) = (turn * std::f32::consts::TAU).sin_cos();
        [WIDTH as f32 * (0.5 + 0.3 * cos), HEIGHT as f32 * (0.5 + 0.2 * sin)]
    });
    for mut agent in &mut agents {
        let goal = goals[agent.kind];
        let to = [goal[0] - agent.position[0], goal[1] - agent.position[1]];
        let distance = to[0].hypot(to[1]).max(1.0);
        for axis in 0..2 {
            // Towards the goal, and across.
            let across = if axis == 0 { -to[1] } else { to[0] };
            let pull = (to[axis] * (distance / 60.0 - 1.0).min(1.0) + across) / distance;
            agent.velocity[axis] = agent.velocity[axis] * 0.92 + pull * agent.agility * 0.6;
            agent.position[axis] += agent.velocity[axis];
        }
    }
}

fn gather(memory: FrameMemory, frame: Res<Frame>, agents: Query<&Agent>, mut commands: Commands) {
    // Five lists that grow side by side: each has room for its share at once, so that none is moved.
    let mut batches = KINDS.map(|_| memory.frame().vec_with_capacity(AGENTS.div_ceil(KINDS.len())));
    for agent in &agents {
        let Agent { kind, position, radius, .. } = *agent;
        batches[kind].push(Instance { centre: position, radius, colour: KINDS[kind] });
    }
    let batches = batches.map(|batch| memory.publish_vec(batch));
    commands.insert_resource(FrameBatches { frame: frame.0, batches: memory.publish_slice_copy(&batches) });
}

/// The last frame is still extracted and rendered: `App::update` asks for the exit after both.
fn stop(frame: Res<Frame>, options: Res<Options>, mut exit: MessageWriter<AppExit>) {
    if frame.0 >= options.frames {
        exit.write(AppExit::Success);
    }
}
