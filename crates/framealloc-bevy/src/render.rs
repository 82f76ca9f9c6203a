//! Frames handed over to a render world, or to any other sub-app that is updated beside the main one.
//!
//! Promises that systems of the extraction read the main world's frame while it is open, that after them it is sealed, and that it goes
//! back when the sub-app's update is over. The sub-app has an allocator of its own, since its threads and the main world's run at the same
//! time. Knows nothing of `bevy_render`: a label names the sub-app.

use std::fmt;

use bevy_app::{AppLabel, InternedAppLabel, prelude::*};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{InternedScheduleLabel, ScheduleLabel, SingleThreadedExecutor};
use framealloc::{AllocConfig, AllocError, FrameHandle, SealedFrame, StaleHandle};

use crate::frame_alloc::FrameAlloc;
use crate::plugin::{FrameAllocSettings, FrameBoundary};
use crate::turn::{Complaints, Trouble};

/// Hands each frame of the main world over to a sub-app, which reads it while the next one is filled.
///
/// With Bevy's renderer the label is `RenderApp`. Goes with [`FrameAllocPlugin`](crate::FrameAllocPlugin).
/// What the main world publishes during frame N is read by systems of the extraction through the main world's allocator, as
/// `Extract<Res<FrameAlloc>>`; what they take over is the handles, which are `Copy`. Then the frame is sealed into [`ExtractedFrame`], by which
/// render systems read it, on whatever threads, while the main world fills frame N + 1. When the sub-app's update is over, the memory goes
/// back.
///
/// The sub-app gets a [`FrameAlloc`] of its own, so that [`FrameMemory`](crate::FrameMemory) serves its systems, whose frame ends with
/// the update.
///
/// A frame that was handed over is not among the main world's frames in flight, and while a lease is out none is handed over. There is one
/// such sub-app.
///
/// Like Bevy's renderer it is set up in [`Plugin::finish`], which `App::run` calls. Without such a sub-app it logs a warning and does
/// nothing: then frames end as ever.
///
/// # Panics
///
/// In `finish`, if the configuration of the sub-app's allocator is refused; the text names the value and its bound. An allocator that is a
/// resource of the sub-app already is kept.
///
/// ```
/// use bevy_app::{AppLabel, SubApp, prelude::*};
/// use bevy_ecs::prelude::*;
/// use bevy_ecs::schedule::ScheduleLabel;
/// use framealloc_bevy::prelude::*;
///
/// #[derive(AppLabel, Clone, Debug, PartialEq, Eq, Hash)]
/// struct RenderApp; // Bevy's, in a program that renders
///
/// #[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
/// struct Render;
///
/// #[derive(Resource, Clone, Copy)]
/// struct Batches(FrameHandle<[u32]>);
///
/// fn batch(memory: FrameMemory, mut commands: Commands) {
///     commands.insert_resource(Batches(memory.publish_slice_fill_with(1000, |i| i as u32)));
/// }
///
/// fn draw(frame: Res<ExtractedFrame>, batches: Res<Batches>) {
///     assert_eq!(frame.get(batches.0).unwrap()[999], 999);
/// }
///
/// let mut render = SubApp::new();
/// render.update_schedule = Some(Render.intern());
/// render.add_systems(Render, draw).set_extract(|main, render| {
///     let batches = *main.resource::<Batches>();
///     assert!(main.resource::<FrameAlloc>().get(batches.0).is_ok());
///     render.insert_resource(batches); // the handle, not the data
/// });
///
/// let mut app = App::new();
/// app.insert_sub_app(RenderApp, render);
/// app.add_plugins((
///     TaskPoolPlugin::default(),
///     FrameAllocPlugin::default(),
///     RenderHandOffPlugin::new(RenderApp, AllocConfig::default),
/// ));
/// app.add_systems(Update, batch);
/// app.finish();
/// app.cleanup();
/// for _ in 0..3 {
///     app.update();
/// }
/// ```
pub struct RenderHandOffPlugin {
    label: InternedAppLabel,
    config: Box<dyn Fn() -> AllocConfig + Send + Sync>,
}

impl RenderHandOffPlugin {
    /// To the sub-app of this label, whose own allocator has the configuration that `config` makes.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "labels are passed by value in all of Bevy")]
    pub fn new(label: impl AppLabel, config: impl Fn() -> AllocConfig + Send + Sync + 'static) -> Self {
        Self { label: label.intern(), config: Box::new(config) }
    }
}

impl fmt::Debug for RenderHandOffPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderHandOffPlugin").field("label", &self.label).finish_non_exhaustive()
    }
}

impl Plugin for RenderHandOffPlugin {
    fn build(&self, _app: &mut App) {}

    fn finish(&self, app: &mut App) {
        let label = self.label;
        if app.get_sub_app(label).is_some()
            && let Some(mut settings) = app.world_mut().get_resource_mut::<FrameAllocSettings>()
            && settings.boundary == FrameBoundary::Last
        {
            log::warn!("frames end when they are extracted from, and not in `Last`");
            settings.boundary = FrameBoundary::Top;
        }
        let Some(render) = app.get_sub_app_mut(label) else {
            log::warn!("there is no sub-app {label:?}: frames are not handed over");
            return;
        };
        if !render.world().contains_resource::<FrameAlloc>() {
            match FrameAlloc::try_new((self.config)()) {
                Ok(alloc) => _ = render.insert_resource(alloc),
                Err(error) => panic!("RenderHandOffPlugin: {error}"),
            }
        }
        render.init_resource::<ExtractedFrame>();

        if render.update_schedule == Some(HandOff.intern()) {
            return;
        }
        let mut extract = render.take_extract();
        let mut complaints = Complaints::default();
        render.set_extract(move |main, render| {
            if let Some(extract) = &mut extract {
                extract(main, render);
            }
            hand_over(main, render, &mut complaints);
        });

        let inner = render.update_schedule.replace(HandOff.intern());
        let mut around = Schedule::new(HandOff);
        around.set_executor(SingleThreadedExecutor::new());
        let mut complaints = Complaints::default();
        around.add_systems(move |world: &mut World| update_and_give_back(world, inner, &mut complaints));
        render.add_schedule(around);
    }
}

/// The sub-app's update: its own schedule, and what comes after it.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct HandOff;

/// Seals the main world's frame, which has just been extracted from.
fn hand_over(main: &mut World, render: &mut World, complaints: &mut Complaints) {
    // One that is still there, since a system of the last update panicked, goes back first: its chunks serve the frame that begins now.
    let mut handed = ExtractedFrame::default();
    render.remove_resource::<ExtractedFrame>();
    match main.get_resource_mut::<FrameAlloc>().map(|mut alloc| alloc.bypass_change_detection().hand_over()) {
        Some(Ok(frame)) => {
            complaints.settle();
            handed.frame = Some(frame);
        }
        Some(Err(error)) => {
            complaints.complain(Trouble::Refused, || format!("the frame is not handed over: {error}"));
            handed.refused = Some(error);
        }
        None => complaints.complain(Trouble::Absent, || {
            "there is no `FrameAlloc` in the main world: no frame is handed over".to_owned()
        }),
    }
    render.insert_resource(handed);
}

fn update_and_give_back(world: &mut World, inner: Option<InternedScheduleLabel>, complaints: &mut Complaints) {
    if let Some(label) = inner {
        world.run_schedule(label);
    }
    // Here, and not when the next frame is extracted: that is where both worlds wait for one another.
    let frame = world.get_resource_mut::<ExtractedFrame>().and_then(|mut extracted| extracted.take());
    drop(frame);
    match world.get_resource_mut::<FrameAlloc>().map(|mut alloc| alloc.bypass_change_detection().turn()) {
        Some(Ok(_)) => complaints.settle(),
        Some(Err(error)) => {
            complaints.complain(Trouble::Refused, || format!("the sub-app's frame does not end: {error}"));
        }
        // Its own affair: it gets what is handed over all the same.
        None => {}
    }
}

/// The main world's frame, in the render world: from the extraction until the update is over.
#[derive(Resource, Debug, Default)]
pub struct ExtractedFrame {
    frame: Option<SealedFrame>,
    refused: Option<AllocError>,
}

impl ExtractedFrame {
    /// The value that a handle of the main world names.
    ///
    /// # Errors
    ///
    /// If no frame was handed over, or the handle is of another one.
    #[inline]
    pub fn get<T: ?Sized>(&self, handle: FrameHandle<T>) -> Result<&T, NotExtracted> {
        match &self.frame {
            Some(frame) => frame.get(handle).map_err(NotExtracted::Stale),
            None => Err(NotExtracted::NoFrame(self.refused)),
        }
    }

    /// The frame, if one was handed over.
    #[must_use]
    pub fn frame(&self) -> Option<&SealedFrame> {
        self.frame.as_ref()
    }

    /// Takes the frame, to keep it for longer than the update: until a fence of the GPU says that it has been read, say.
    #[must_use = "dropping the frame gives its memory back"]
    pub fn take(&mut self) -> Option<SealedFrame> {
        self.frame.take()
    }
}

/// Why a handle cannot be read in the render world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotExtracted {
    /// No frame was handed over, or it was taken; with the reason, if sealing it was refused.
    NoFrame(Option<AllocError>),
    /// The handle is of another frame.
    Stale(StaleHandle),
}

impl fmt::Display for NotExtracted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFrame(None) => f.write_str("no frame of the main world is here"),
            Self::NoFrame(Some(error)) => write!(f, "no frame of the main world is here: {error}"),
            Self::Stale(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NotExtracted {}
