//! A swarm of coloured discs, drawn by a Bevy app without a window into a texture, and written to a PNG.
//!
//! The main world gathers what is to be drawn into frame memory, one batch for each colour. Extraction takes over the handles, the frame is
//! sealed, and the render world uploads from it while the main world fills the next one. No list is copied or kept.

mod draw;
mod swarm;

use std::path::PathBuf;
use std::time::Duration;

use bevy_app::{App, AppExit, ScheduleRunnerPlugin, TaskPoolPlugin};
use bevy_ecs::prelude::*;
use bevy_render::RenderApp;
use bevy_render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy_window::{ExitCondition, WindowPlugin};
use clap::{Parser, value_parser};
use framealloc_bevy::prelude::*;

/// Draws a swarm without a window, from batches that lie in frame memory.
#[derive(Resource, Clone, Parser)]
#[command(name = "rendered")]
pub struct Options {
    /// Frames to render
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u32).range(1..))]
    pub frames: u32,
    /// Render frame N in the main world's time of frame N + 1, on another thread
    #[arg(long)]
    pub pipelined: bool,
    /// Where the last frame goes
    #[arg(long, value_name = "FILE", default_value = "swarm.png")]
    pub out: PathBuf,
}

fn main() -> AppExit {
    let options = Options::parse();
    let pipelined = options.pipelined;

    let mut app = App::new();
    app.insert_resource(options)
        // No window: frames follow each other as fast as they can.
        .add_plugins(ScheduleRunnerPlugin::run_loop(Duration::ZERO))
        // What the renderer wants to be there before it.
        .add_plugins((
            // Without it nobody is told of wgpu's errors.
            bevy_log::LogPlugin::default(),
            TaskPoolPlugin::default(),
            bevy_diagnostic::FrameCountPlugin,
            bevy_time::TimePlugin,
            WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..WindowPlugin::default() },
            bevy_asset::AssetPlugin::default(),
            bevy_image::ImagePlugin::default(),
            bevy_mesh::MeshPlugin,
            bevy_camera::CameraPlugin,
        ))
        .add_plugins(bevy_render::RenderPlugin::default());
    if pipelined {
        app.add_plugins(PipelinedRenderingPlugin);
    }
    // After the renderer, whose extraction is wrapped.
    app.add_plugins((FrameAllocPlugin::default(), RenderHandOffPlugin::new(RenderApp, AllocConfig::default)))
        .add_plugins((swarm::SwarmPlugin, draw::DrawPlugin))
        .run()
}
