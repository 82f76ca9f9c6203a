//! Frames handed over to a sub-app: after the extraction, on another thread, and back.

#![cfg(feature = "render")]
#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use bevy_app::{AppLabel, SubApp, prelude::*};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleLabel;
use framealloc_bevy::NotExtracted;
use framealloc_bevy::prelude::*;
use support::{MinimalPlugins, THREADS, app, last};

#[derive(AppLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct RenderApp;

#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct Render;

const INSTANCES: usize = 10_000;

#[derive(Resource, Clone, Copy)]
struct Batches {
    frame: u64,
    all: FrameHandle<[u64]>,
}

/// What the render world drew: frames and sums.
#[derive(Resource, Default)]
struct Drawn(Vec<(u64, u64)>);

/// Counts how many are alive.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Resource, Clone, Default)]
struct Counted(Arc<AtomicUsize>);

fn batch(memory: FrameMemory, counted: Res<Counted>, mut commands: Commands) {
    let frame = memory.stats().frame;
    memory.publish(Alive::new(&counted.0));
    let all = memory.publish_slice_fill_with(INSTANCES, |i| frame * 1_000_000 + i as u64);
    commands.insert_resource(Batches { frame, all });
}

fn sum(frame: u64) -> u64 {
    (0..INSTANCES as u64).map(|i| frame * 1_000_000 + i).sum()
}

fn draw(extracted: Res<ExtractedFrame>, batches: Res<Batches>, own: FrameMemory, mut drawn: ResMut<Drawn>) {
    // Memory of its own, meanwhile.
    let mut sorted = own.frame().vec_with_capacity(INSTANCES);
    sorted.extend(extracted.get(batches.all).unwrap());
    assert!(own.get(batches.all).unwrap_err().is_foreign());
    drawn.0.push((batches.frame, sorted.iter().sum()));
}

/// Extraction, as systems of the render world see it: the main world's frame is still open.
fn extract(main: &mut World, render: &mut World) {
    let batches = *main.resource::<Batches>();
    let alloc = main.resource::<FrameAlloc>();
    assert_eq!(alloc.get(batches.all).unwrap().len(), INSTANCES);
    assert_eq!(alloc.stats().frame, batches.frame);
    render.resource::<FrameAlloc>().frame().alloc_slice_fill(100, 0u64);
    render.insert_resource(batches);
}

fn with_render(mut app: App, systems: impl FnOnce(&mut SubApp)) -> App {
    let mut render = SubApp::new();
    render.update_schedule = Some(Render.intern());
    render.init_resource::<Drawn>().set_extract(extract);
    render.init_schedule(Render);
    systems(&mut render);
    app.insert_sub_app(RenderApp, render);
    app.init_resource::<Counted>().add_systems(Update, batch);
    app.add_plugins(RenderHandOffPlugin::new(RenderApp, AllocConfig::default));
    app.finish();
    app.cleanup();
    app
}

#[test]
fn a_frame_is_extracted_while_open_then_read_sealed_then_given_back() {
    let mut app = with_render(app(), |render| _ = render.add_systems(Render, draw));
    let alive = app.world().resource::<Counted>().0.clone();
    for update in 1..=10 {
        app.update();
        // Back when the sub-app's update is over: what was published is dropped.
        assert_eq!(alive.load(Ordering::SeqCst), 0);
        // The instances, and what counts the living with its destructor's entry.
        assert!((INSTANCES * 8..INSTANCES * 8 + 100).contains(&last(&app).bytes_allocated));
        let render = app.sub_app(RenderApp).world();
        let (frame, drawn) = render.resource::<Drawn>().0[update - 1];
        // Frames are not ended twice: one number each. (The first one was ended by the top of the first update.)
        assert_eq!((frame, drawn), (update as u64 + 1, sum(frame)));
        let own = render.resource::<FrameAlloc>().stats();
        assert_eq!(own.last_frame.bytes_allocated, INSTANCES * 8 + 800);
        assert_eq!(own.frame, update as u64 + 1);
    }
    for _ in 0..100 {
        app.update();
    }
    // Every thread that ran a system keeps what one such frame needs, chunks of 64 and 128 KiB, and nothing piles up.
    assert!(app.world().resource::<FrameAlloc>().stats().committed <= (THREADS + 1) * (192 << 10));
}

#[test]
fn a_handle_of_another_frame_is_an_error() {
    let mut app = with_render(app(), |render| {
        render.add_systems(
            Render,
            |extracted: Res<ExtractedFrame>, batches: Res<Batches>, mut old: Local<Vec<Batches>>| {
                for old in &*old {
                    let Err(NotExtracted::Stale(error)) = extracted.get(old.all) else { panic!("{}", old.frame) };
                    assert_eq!(error.handle_frame(), old.frame);
                }
                assert!(extracted.get(batches.all).is_ok());
                assert_eq!(extracted.frame().unwrap().stats().frame, batches.frame);
                old.push(*batches);
            },
        );
    });
    for _ in 0..5 {
        app.update();
    }
}

#[test]
fn a_frame_may_be_kept_until_a_fence_is_signalled() {
    #[derive(Resource, Default)]
    struct Fence(Vec<SealedFrame>);
    let mut app = with_render(app(), |render| {
        render.init_resource::<Fence>();
        render.add_systems(
            Render,
            |mut extracted: ResMut<ExtractedFrame>, batches: Res<Batches>, mut fence: ResMut<Fence>| {
                fence.0.extend(extracted.take());
                if fence.0.len() > 2 {
                    fence.0.remove(0);
                }
                assert_eq!(extracted.get(batches.all), Err(NotExtracted::NoFrame(None)));
                assert_eq!(fence.0.last().unwrap().get(batches.all).unwrap().len(), INSTANCES);
            },
        );
    });
    let alive = app.world().resource::<Counted>().0.clone();
    for update in 1..10 {
        app.update();
        assert_eq!(alive.load(Ordering::SeqCst), update.min(2));
    }
    app.sub_app_mut(RenderApp).world_mut().resource_mut::<Fence>().0.clear();
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

/// What pipelined rendering does: the sub-app goes to a thread of its own and comes back to be extracted into, so that it renders
/// frame N while the main world makes frame N + 1.
struct Pipelined {
    app: App,
    to: Sender<SubApp>,
    back: Receiver<SubApp>,
}

impl Pipelined {
    fn new(mut app: App) -> (Self, thread::JoinHandle<()>) {
        let (to, work) = channel::<SubApp>();
        let (done, back) = channel();
        let render = app.remove_sub_app(RenderApp).unwrap();
        done.send(render).unwrap();
        let thread = thread::spawn(move || {
            for mut render in work {
                render.update();
                done.send(render).unwrap();
            }
        });
        (Self { app, to, back }, thread)
    }

    fn update(&mut self) {
        self.app.update();
        let mut render = self.back.recv().unwrap();
        render.extract(self.app.world_mut());
        self.to.send(render).unwrap();
    }

    fn finish(self, thread: thread::JoinHandle<()>) -> (App, SubApp) {
        let Self { app, to, back } = self;
        let render = back.recv().unwrap();
        drop(to);
        thread.join().unwrap();
        (app, render)
    }
}

#[test]
fn a_render_world_on_another_thread_reads_a_frame_while_the_next_one_is_made() {
    const FRAMES: u64 = 200;
    let (entered, overlapping) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (at, overlap) = (entered.clone(), overlapping.clone());
    let app = with_render(app(), move |render| {
        render.add_systems(
            Render,
            (
                draw,
                // Whether the main world is making the next frame at this time: it says so when it begins.
                move |extracted: Res<ExtractedFrame>, batches: Res<Batches>| {
                    for _ in 0..200 {
                        if at.load(Ordering::SeqCst) as u64 > batches.frame {
                            overlap.fetch_add(1, Ordering::SeqCst);
                            break;
                        }
                        thread::sleep(std::time::Duration::from_micros(50));
                    }
                    // Read again, after whatever the other world has done to its memory.
                    let all = extracted.get(batches.all).unwrap();
                    assert_eq!(all.iter().sum::<u64>(), sum(batches.frame));
                },
            )
                .chain(),
        );
    });
    let (mut pipelined, thread) = Pipelined::new(app);
    pipelined.app.add_systems(First, move |memory: FrameMemory| {
        entered.store(memory.stats().frame as usize, Ordering::SeqCst);
        // Something else at the place where the last frame's data would be, were it given back too early.
        memory.frame().alloc_slice_fill(INSTANCES, u64::MAX);
    });
    for _ in 0..FRAMES {
        pipelined.update();
    }
    let (app, render) = pipelined.finish(thread);
    let drawn = &render.world().resource::<Drawn>().0;
    assert_eq!(drawn.len() as u64, FRAMES);
    assert!(drawn.iter().all(|&(frame, total)| total == sum(frame)));
    // Most of them; on a machine that is busy otherwise some do not.
    assert!(overlapping.load(Ordering::SeqCst) > FRAMES as usize / 10, "{overlapping:?} of {FRAMES}");
    // Two frames are alive at a time, and no more.
    assert!(app.world().resource::<FrameAlloc>().stats().committed < 4 << 20);
}

#[test]
fn the_main_world_may_go_before_its_last_frame_was_rendered() {
    // As at the end of a pipelined app, whose render thread is waited for late.
    let mut app = with_render(app(), |render| _ = render.add_systems(Render, draw));
    let alive = app.world().resource::<Counted>().0.clone();
    let mut render = app.remove_sub_app(RenderApp).unwrap();
    app.update();
    render.extract(app.world_mut());
    drop(app);
    assert_eq!(alive.load(Ordering::SeqCst), 1);
    render.update();
    assert_eq!(render.world().resource::<Drawn>().0, [(2, sum(2))]);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn without_the_sub_app_frames_end_as_ever() {
    let mut app = app();
    app.init_resource::<Counted>().add_systems(Update, batch);
    app.add_plugins(RenderHandOffPlugin::new(RenderApp, AllocConfig::default));
    app.finish();
    let alive = app.world().resource::<Counted>().0.clone();
    for update in 1..=5 {
        app.update();
        assert_eq!((support::frame(&app), alive.load(Ordering::SeqCst)), (update + 1, 1));
    }
}

#[test]
fn a_frame_that_cannot_be_sealed_stays_with_its_world() {
    let mut app = with_render(app(), |render| {
        render.add_systems(
            Render,
            |extracted: Res<ExtractedFrame>, batches: Res<Batches>, mut drawn: ResMut<Drawn>| match extracted
                .get(batches.all)
            {
                Ok(all) => drawn.0.push((batches.frame, all.iter().sum())),
                Err(error) => {
                    assert!(error.to_string().contains("leases are out, 1 of them"), "{error}");
                    drawn.0.push((batches.frame, 0));
                }
            },
        );
    });
    app.update();
    let lease = app.world().resource::<FrameAlloc>().lease();
    app.update();
    app.update();
    drop(lease);
    app.update();
    let drawn = &app.sub_app(RenderApp).world().resource::<Drawn>().0;
    // The frame stayed open meanwhile, and what was made in it is one.
    assert_eq!(*drawn, [(2, sum(2)), (3, 0), (3, 0), (4, sum(4))]);
}

#[test]
fn beside_it_frames_end_when_they_are_extracted_from_and_not_in_last() {
    let app = support::app_with(FrameAllocPlugin::default().with_boundary(FrameBoundary::Last));
    let mut app = with_render(app, |render| _ = render.add_systems(Render, draw));
    assert_eq!(app.world().resource::<FrameAllocSettings>().boundary, FrameBoundary::Top);
    for _ in 0..3 {
        app.update();
    }
    assert_eq!(app.sub_app(RenderApp).world().resource::<Drawn>().0, [2, 3, 4].map(|frame| (frame, sum(frame))));
}

#[test]
fn a_frame_goes_back_after_a_panic_in_the_render_world() {
    let mut app = with_render(app(), |render| {
        render.add_systems(Render, |mut updates: Local<u32>, mut drawn: ResMut<Drawn>, batches: Res<Batches>| {
            *updates += 1;
            assert!((*updates).is_multiple_of(2), "odd update");
            drawn.0.push((batches.frame, 0));
        });
    });
    let alive = app.world().resource::<Counted>().0.clone();
    let mut render = app.remove_sub_app(RenderApp).unwrap();
    for update in 1..=2 {
        app.update();
        render.extract(app.world_mut());
        assert_eq!(alive.load(Ordering::SeqCst), 1, "that of the update before is gone");
        // Bevy loses the schedule that a panic leaves; the frame is there all the same.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| render.update()));
        assert!(result.is_err() && render.world().resource::<ExtractedFrame>().frame().is_some(), "{update}");
    }
    drop(render);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[cfg(feature = "budget")]
#[test]
fn a_budget_that_refuses_to_seal_keeps_the_frame_with_its_world() {
    let budget = Budget::new().with_sealed(Limit::hard(1000));
    let app = support::app_with(FrameAllocPlugin::default().with_budget(budget));
    let mut app = with_render(app, |render| {
        render.add_systems(
            Render,
            |extracted: Res<ExtractedFrame>, batches: Res<Batches>, mut drawn: ResMut<Drawn>| {
                let error = extracted.get(batches.all).unwrap_err();
                assert!(error.to_string().contains("for a sealed frame were refused"), "{error}");
                drawn.0.push((batches.frame, 0));
            },
        );
    });
    for _ in 0..3 {
        app.update();
    }
    assert_eq!(app.sub_app(RenderApp).world().resource::<Drawn>().0, [(2, 0), (3, 0), (4, 0)]);
}

#[test]
fn finishing_twice_hands_over_once() {
    let mut app = with_render(app(), |render| _ = render.add_systems(Render, draw));
    app.finish();
    app.update();
    app.update();
    assert_eq!(app.sub_app(RenderApp).world().resource::<Drawn>().0, [(2, sum(2)), (3, sum(3))]);
}

#[test]
fn without_an_allocator_in_the_main_world_no_frame_is_handed_over() {
    let mut app = App::new();
    app.add_plugins(MinimalPlugins);
    let mut render = SubApp::new();
    render.update_schedule = Some(Render.intern());
    render.add_systems(Render, |extracted: Res<ExtractedFrame>| assert!(extracted.frame().is_none()));
    app.insert_sub_app(RenderApp, render);
    app.add_plugins(RenderHandOffPlugin::new(RenderApp, AllocConfig::default));
    app.finish();
    app.update();
    app.update();
}

#[test]
#[should_panic(expected = "RenderHandOffPlugin: the number of frames in flight is 65")]
fn a_configuration_that_is_refused_is_a_panic_that_names_the_value() {
    let mut app = app();
    app.insert_sub_app(RenderApp, SubApp::new());
    app.add_plugins(RenderHandOffPlugin::new(RenderApp, || AllocConfig::default().with_frames_in_flight(65)));
    app.finish();
}
