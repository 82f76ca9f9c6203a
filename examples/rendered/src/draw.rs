//! The render world: takes over the handles of a frame's batches, uploads them from the sealed frame, draws them into a texture, and writes the
//! last frame's texture to a PNG.

use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::time::{Duration, Instant};

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_render::renderer::{RenderAdapterInfo, RenderDevice, RenderQueue};
use bevy_render::{Extract, ExtractSchedule, Render, RenderApp, RenderStartup, RenderSystems};
use framealloc_bevy::prelude::*;

use crate::Options;
use crate::swarm::{FrameBatches, HEIGHT, Instance, WIDTH};

/// Not an sRGB format: colours go through as they are, into the PNG too.
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
const SIZE: wgpu::Extent3d = wgpu::Extent3d { width: WIDTH, height: HEIGHT, depth_or_array_layers: 1 };

pub struct DrawPlugin;

impl Plugin for DrawPlugin {
    fn build(&self, app: &mut App) {
        let options = app.world().resource::<Options>().clone();
        app.sub_app_mut(RenderApp)
            .insert_resource(options)
            .init_resource::<Times>()
            .add_systems(RenderStartup, create)
            .add_systems(ExtractSchedule, take_batches)
            .add_systems(
                Render,
                (
                    upload.in_set(RenderSystems::PrepareResources),
                    draw.in_set(RenderSystems::Render),
                    save.in_set(RenderSystems::Cleanup),
                ),
            );
    }
}

#[derive(Resource)]
struct Gpu {
    pipeline: wgpu::RenderPipeline,
    target: wgpu::Texture,
    instances: wgpu::Buffer,
    /// Where each batch is in `instances`.
    batches: Vec<Range<u32>>,
}

/// How long each frame took from the start of its upload to the end of its drawing.
#[derive(Resource, Default)]
struct Times {
    started: Option<Instant>,
    frames: Vec<Duration>,
}

fn instance_buffer(device: &wgpu::Device, size: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("instances"),
        size,
        usage: wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

/// `RenderStartup` runs when there is a device, before the first extraction.
fn create(mut commands: Commands, device: Res<RenderDevice>) {
    let device = device.wgpu_device();
    let shader = device.create_shader_module(wgpu::include_wgsl!("discs.wgsl"));
    let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("discs"),
        layout: None, // no bindings
        vertex: wgpu::VertexState {
            module: &shader,
            entry_point: Some("vertex"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[("width", WIDTH.into()), ("height", HEIGHT.into())],
                ..Default::default()
            },
            buffers: &[Some(wgpu::VertexBufferLayout {
                array_stride: size_of::<Instance>() as u64,
                step_mode: wgpu::VertexStepMode::Instance,
                attributes: &wgpu::vertex_attr_array![
                    0 => Float32x2, 1 => Float32, 2 => Unorm8x4
                ],
            })],
        },
        primitive: wgpu::PrimitiveState { topology: wgpu::PrimitiveTopology::TriangleStrip, ..Default::default() },
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &shader,
            entry_point: Some("fragment"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(wgpu::ColorTargetState {
                format: FORMAT,
                blend: Some(wgpu::BlendState::ALPHA_BLENDING),
                write_mask: wgpu::ColorWrites::ALL,
            })],
        }),
        multiview_mask: None,
        cache: None,
    });
    let target = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("target"),
        size: SIZE,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: FORMAT,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    });
    let instances = instance_buffer(device, size_of::<Instance>() as u64);
    commands.insert_resource(Gpu { pipeline, target, instances, batches: Vec::new() });
}

/// The handles only: the batches stay where they are, and their frame comes after them. The main world's is still open here.
fn take_batches(alloc: Extract<Res<FrameAlloc>>, made: Extract<Res<FrameBatches>>, mut commands: Commands) {
    assert!(alloc.get(made.batches).is_ok(), "the frame is open while it is extracted from");
    commands.insert_resource(**made);
}

fn upload(
    frame: Res<ExtractedFrame>,
    made: Res<FrameBatches>,
    device: Res<RenderDevice>,
    queue: Res<RenderQueue>,
    mut gpu: ResMut<Gpu>,
    mut times: ResMut<Times>,
) -> Result {
    times.started = Some(Instant::now());

    let batches = frame.get(made.batches)?;
    let count = batches.iter().map(|&batch| frame.get(batch).map(<[_]>::len)).sum::<Result<usize, _>>()?;
    let size = (count * size_of::<Instance>()) as u64;
    if gpu.instances.size() < size {
        gpu.instances = instance_buffer(device.wgpu_device(), size.next_power_of_two());
    }

    gpu.batches.clear();
    let mut first = 0;
    for &batch in batches {
        let batch = frame.get(batch)?;
        let offset = u64::from(first) * size_of::<Instance>() as u64;
        queue.write_buffer(&gpu.instances, offset, bytemuck::cast_slice(batch));
        let end = first + batch.len() as u32;
        gpu.batches.push(first..end);
        first = end;
    }
    Ok(())
}

fn draw(device: Res<RenderDevice>, queue: Res<RenderQueue>, gpu: Res<Gpu>, mut times: ResMut<Times>) {
    let view = gpu.target.create_view(&wgpu::TextureViewDescriptor::default());
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        label: Some("discs"),
        color_attachments: &[Some(wgpu::RenderPassColorAttachment {
            view: &view,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations {
                load: wgpu::LoadOp::Clear(wgpu::Color { r: 0.06, g: 0.07, b: 0.12, a: 1.0 }),
                store: wgpu::StoreOp::Store,
            },
        })],
        ..Default::default()
    });
    pass.set_pipeline(&gpu.pipeline);
    pass.set_vertex_buffer(0, gpu.instances.slice(..));
    for batch in &gpu.batches {
        pass.draw(0..4, batch.clone());
    }
    drop(pass);
    queue.submit([encoder.finish()]);

    // Without a window nothing else holds the frames back: wait for this one.
    device.poll(wgpu::PollType::wait_indefinitely()).expect("the frame is drawn");
    let time = times.started.expect("`upload` ran before").elapsed();
    times.frames.push(time);
}

fn save(
    options: Res<Options>,
    made: Res<FrameBatches>,
    extracted: Res<ExtractedFrame>,
    device: Res<RenderDevice>,
    queue: Res<RenderQueue>,
    adapter: Res<RenderAdapterInfo>,
    gpu: Res<Gpu>,
    mut times: ResMut<Times>,
) {
    if made.frame < options.frames {
        return;
    }

    // Rows in the buffer are padded.
    let row = WIDTH as usize * 4;
    let padded = RenderDevice::align_copy_bytes_per_row(row);
    let buffer = device.wgpu_device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("readback"),
        size: (padded * HEIGHT as usize) as u64,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_texture_to_buffer(
        gpu.target.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &buffer,
            layout: wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(padded as u32), rows_per_image: None },
        },
        SIZE,
    );
    queue.submit([encoder.finish()]);
    buffer.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("the buffer is mapped"));
    device.poll(wgpu::PollType::wait_indefinitely()).expect("the texture is copied");

    let mapped = buffer.get_mapped_range(..).expect("the buffer is mapped");
    let pixels: Vec<u8> = mapped.chunks(padded).flat_map(|line| &line[..row]).copied().collect();
    let file = File::create(&options.out).expect("the PNG can be created");
    let mut png = png::Encoder::new(BufWriter::new(file), WIDTH, HEIGHT);
    png.set_color(png::ColorType::Rgba);
    png.set_depth(png::BitDepth::Eight);
    png.write_header().and_then(|mut png| png.write_image_data(&pixels)).expect("the PNG can be written");

    let count = gpu.batches.last().map_or(0, |batch| batch.end);
    println!("adapter: {} ({:?}, {})", adapter.name, adapter.backend, adapter.driver_info);
    println!("frames: {}, {count} instances in {} batches", made.frame, gpu.batches.len());
    if let Some(frame) = extracted.frame() {
        println!("the last frame: {} bytes, sealed", frame.stats().bytes_allocated);
    }
    let first = times.frames[0];
    times.frames.sort_unstable();
    let (median, longest) = (times.frames[times.frames.len() / 2], times.frames.last().unwrap());
    println!("upload and draw: first {first:.1?}, median {median:.1?}, longest {longest:.1?}");
    println!("wrote {}", options.out.display());
}
