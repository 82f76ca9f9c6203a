//! Frames in flight: the simulation fills frame N+1 while the render thread reads frame N through a `SealedFrame`.
//! The renderer keeps each sealed frame until the GPU's fence says that its uploads have been read, and only then drops it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use framealloc::prelude::*;

const FRAMES: u64 = 200;
const DRAWS: usize = 500;
/// The GPU signals a frame when it was given this many newer ones.
const GPU_LATENCY: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Draw {
    mesh: u32,
    depth: f32,
}

/// The number of the last frame that the GPU has finished.
#[derive(Default)]
struct Fence(AtomicU64);

impl Fence {
    fn has_passed(&self, frame: u64) -> bool {
        self.0.load(Ordering::Acquire) >= frame
    }
}

/// What the GPU reads until the frame's fence is signalled; it counts those that went too early.
struct Upload {
    frame: u64,
    fence: Arc<Fence>,
    too_early: Arc<AtomicU64>,
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.too_early.fetch_add(u64::from(!self.fence.has_passed(self.frame)), Ordering::Relaxed);
    }
}

/// What the simulation sends along with a frame: names of what lies in it.
struct Packet {
    sealed: SealedFrame,
    draws: FrameHandle<[Draw]>,
    upload: FrameHandle<Upload>,
}

fn depth_of(frame: u64, mesh: usize) -> f32 {
    ((frame as usize * 31 + mesh * 7) % 1000) as f32
}

fn simulate(alloc: &SmartAlloc, frame: u64, upload: Upload) -> (FrameHandle<[Draw]>, FrameHandle<Upload>) {
    let mut draws =
        alloc.frame_collect((0..DRAWS).map(|mesh| Draw { mesh: mesh as u32, depth: depth_of(frame, mesh) }));
    draws.sort_unstable_by(|a, b| a.depth.total_cmp(&b.depth));
    (alloc.publish_vec(draws), alloc.publish(upload))
}

/// Signals the frames that it is given in order, the latest of them with a delay, and all of them in the end.
fn gpu(fence: &Fence, submitted: &mpsc::Receiver<u64>) {
    let mut pending = VecDeque::new();
    for frame in submitted {
        pending.push_back(frame);
        if pending.len() > GPU_LATENCY {
            fence.0.store(pending.pop_front().unwrap_or(0), Ordering::Release);
        }
    }
    fence.0.store(pending.pop_back().unwrap_or(0), Ordering::Release);
}

/// Draws every frame; returns how many draws there were, and how many frames it had to keep at a time.
fn render(packets: &mpsc::Receiver<Packet>, fence: &Arc<Fence>) -> (usize, usize) {
    let (submit, submitted) = mpsc::channel();
    let gpu = {
        let fence = Arc::clone(fence);
        thread::spawn(move || gpu(&fence, &submitted))
    };
    let mut kept = VecDeque::new();
    let (mut drawn, mut most_kept) = (0, 0);
    for Packet { sealed, draws, upload } in packets {
        let frame = sealed.frame();
        let draws = sealed.get(draws).expect("the frame's own handle");
        assert!(draws.iter().all(|draw| draw.depth == depth_of(frame, draw.mesh as usize)));
        assert!(draws.is_sorted_by(|a, b| a.depth <= b.depth));
        assert_eq!(sealed.get(upload).expect("the frame's own handle").frame, frame);
        drawn += draws.len();
        submit.send(frame).expect("the GPU is there");
        kept.push_back(sealed);
        most_kept = most_kept.max(kept.len());
        // With a queue full of frames a renderer waits for its GPU.
        while kept.len() > GPU_LATENCY + 1 && kept.front().is_some_and(|oldest| !fence.has_passed(oldest.frame())) {
            thread::yield_now();
        }
        while kept.pop_front_if(|oldest| fence.has_passed(oldest.frame())).is_some() {}
    }
    drop(submit);
    gpu.join().expect("the GPU finishes");
    assert!(kept.iter().all(|sealed| fence.has_passed(sealed.frame())));
    (drawn, most_kept)
}

fn main() {
    let mut alloc = SmartAlloc::default();
    let (fence, too_early) = (Arc::new(Fence::default()), Arc::new(AtomicU64::new(0)));
    let (send, packets) = mpsc::sync_channel(1);
    let renderer = {
        let fence = Arc::clone(&fence);
        thread::spawn(move || render(&packets, &fence))
    };
    for _ in 0..FRAMES {
        let frame = alloc.begin_frame();
        let upload = Upload { frame, fence: Arc::clone(&fence), too_early: Arc::clone(&too_early) };
        let (draws, upload) = simulate(&alloc, frame, upload);
        let sealed = alloc.seal_frame();
        assert!(alloc.get(draws).is_err(), "a sealed frame is read through the seal only");
        send.send(Packet { sealed, draws, upload }).expect("the renderer is there");
    }
    drop(send);
    let (drawn, most_kept) = renderer.join().expect("the renderer finishes");
    let committed = alloc.end_frame().committed;

    assert_eq!(drawn, FRAMES as usize * DRAWS);
    assert_eq!(too_early.load(Ordering::Relaxed), 0, "no upload goes before its fence");
    assert_eq!(Arc::strong_count(&fence), 1, "every published value was dropped");
    // One being filled, one in the channel, one at hand, and what the GPU still reads.
    assert!(committed <= (GPU_LATENCY + 5) * (64 << 10), "{committed} bytes");
    println!("{drawn} draws in {FRAMES} frames; at most {most_kept} frames waited for the GPU, none was freed early");
    println!("{} KiB served all of it", committed >> 10);
}
