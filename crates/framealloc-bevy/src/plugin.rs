//! The plugins: an allocator in the world, and its frames' ends in the schedule.

use std::fmt;

use bevy_app::{FixedMain, prelude::*};
use bevy_ecs::prelude::*;
use framealloc::{AllocConfig, SmartAlloc};

use crate::frame_alloc::FrameAlloc;
use crate::period::{EachFixedStep, EachUpdate, Period};
use crate::turn::{Extras, turn};

/// The system that ends frames and begins them, for whoever wants to come before or after it: in [`Main`] before all of its
/// schedules, in [`Last`] if [`FrameBoundary::Last`] is chosen, and in [`FixedMain`] for fixed steps.
#[derive(SystemSet, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FrameAllocSystems;

/// Where in an update a frame ends and the next one begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "reflect", derive(bevy_reflect::Reflect))]
pub enum FrameBoundary {
    /// At the top of the update, before start-up systems and `First`: a frame is all of an update and what follows it, extraction to a
    /// render world among it.
    #[default]
    Top,
    /// In `Last`, unordered among its systems but for [`FrameAllocSystems`]: what was published cannot be extracted. Not beside
    /// `RenderHandOffPlugin`, with which frames end when they are extracted from.
    Last,
}

/// What may be changed while the app runs.
///
/// ```
/// use bevy_app::prelude::*;
/// use framealloc_bevy::{FrameAllocPlugin, FrameAllocSettings, FrameBoundary};
///
/// let mut app = App::new();
/// app.add_plugins(FrameAllocPlugin::default());
/// app.update();
/// app.world_mut().resource_mut::<FrameAllocSettings>().boundary = FrameBoundary::Last;
/// app.update();
/// assert_eq!(app.world().resource::<framealloc_bevy::FrameAlloc>().stats().frame, 3);
/// ```
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "reflect", derive(bevy_reflect::Reflect), reflect(Resource))]
#[non_exhaustive]
pub struct FrameAllocSettings {
    /// Where frames of updates end. An update in which that changes may have two ends, or none, and is then one frame with the next.
    pub boundary: FrameBoundary,
}

type MakeConfig = dyn Fn() -> AllocConfig + Send + Sync;

/// What both plugins are made of.
struct Setup {
    config: Box<MakeConfig>,
    extras: Extras,
}

impl Setup {
    fn new(config: impl Fn() -> AllocConfig + Send + Sync + 'static) -> Self {
        Self { config: Box::new(config), extras: Extras::default() }
    }

    #[track_caller]
    fn build<P: Period>(&self, app: &mut App) {
        let there = app.world().contains_resource::<FrameAlloc<P>>();
        #[cfg(feature = "budget")]
        assert!(
            !(there && self.extras.budget.is_some()),
            "{}: there is a `{}` already, which this budget cannot govern any more: give it to its configuration, by `with_governor`",
            P::NAMES.plugin,
            P::NAMES.resource
        );
        let config = self.extras.install::<P>(app, if there { None } else { Some((self.config)()) });
        if let Some(config) = config {
            match SmartAlloc::try_new(config) {
                Ok(alloc) => _ = app.insert_resource(FrameAlloc::<P>::from(alloc)),
                Err(error) => panic!("{}: {error}", P::NAMES.plugin),
            }
        }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("extras", &self.extras).finish_non_exhaustive()
    }
}

/// Both plugins' settings, word for word.
macro_rules! settings {
    ($plugin:ident) => {
        impl $plugin {
            /// Counts what each system allocates under the system's name, as a tag: of systems that have [`FrameMemory`](crate::FrameMemory)
            /// or `Res<FrameAlloc>` among their parameters, and are in a schedule, other than `Main`, before the first update. What tasks of
            /// `par_iter` allocate on other threads is not the system's, nor is what other systems do that run while it waits. Budgets are not told
            /// of these tags ([`with_label`](framealloc::SmartAlloc::with_label)). Each costs some dozens of instructions.
            ///
            /// ```
            /// use bevy_app::prelude::*;
            /// use framealloc_bevy::prelude::*;
            ///
            /// fn steering(memory: FrameMemory) {
            ///     memory.frame().alloc_slice_fill(100, 0u64);
            /// }
            ///
            /// let mut app = App::new();
            /// app.add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::default().with_system_tags()));
            /// app.add_systems(Update, steering);
            /// app.update();
            /// app.update();
            /// let tags = app.world().resource::<FrameAlloc>().tags();
            /// assert!(tags[0].tag.name().ends_with("steering"));
            /// assert_eq!(tags[0].bytes, 800);
            /// ```
            #[cfg(feature = "system_tags")]
            #[must_use]
            pub fn with_system_tags(mut self) -> Self {
                self.setup.extras.system_tags = true;
                self
            }

            /// Governs the allocator by this budget, and inserts it as [`FrameBudget`](crate::FrameBudget). A governor of the configuration is
            /// replaced. One budget governs one allocator: adding the plugin is a panic if it governs another one, or if there is a `FrameAlloc`
            /// already.
            #[cfg(feature = "budget")]
            #[must_use]
            pub fn with_budget(mut self, budget: framealloc::Budget) -> Self {
                self.setup.extras.budget = Some(budget);
                self
            }

            /// Governs the allocator by the budget in this file, TOML or JSON.
            ///
            /// # Panics
            ///
            /// If the file cannot be read or understood: [`try_with_budget_file`](Self::try_with_budget_file) returns the error.
            #[cfg(feature = "budget")]
            #[must_use]
            #[track_caller]
            pub fn with_budget_file(self, path: impl AsRef<std::path::Path>) -> Self {
                self.try_with_budget_file(path).unwrap_or_else(|error| panic!("{error}"))
            }

            /// Governs the allocator by the budget in this file, TOML or JSON.
            ///
            /// # Errors
            ///
            /// If the file cannot be read or understood; the text names file, line and key.
            #[cfg(feature = "budget")]
            pub fn try_with_budget_file(
                self,
                path: impl AsRef<std::path::Path>,
            ) -> Result<Self, framealloc::ConfigError> {
                framealloc::Budget::load(path).map(|budget| self.with_budget(budget))
            }
        }
    };
}

/// Puts a [`FrameAlloc`] into the world, and ends its frame once per update.
///
/// Built from a closure, since each app needs an allocator of its own: `FrameAllocPlugin::new(AllocConfig::default)`. An allocator
/// that is a resource already is kept, and its configuration with it; so are [`FrameAllocSettings`].
///
/// It is for the main app, or another one that runs [`Main`]. In a sub-app with a schedule of its own insert a [`FrameAlloc`], and call
/// [`end_frame`](framealloc::SmartAlloc::end_frame) in a system with `ResMut<FrameAlloc>`.
///
/// # Panics
///
/// When it is added, if the configuration is refused; the text names the value and its bound. [`FrameAlloc::try_new`] returns the error.
/// In an update, if the destructor of something that was published panics.
///
/// ```
/// use bevy_app::prelude::*;
/// use framealloc_bevy::prelude::*;
///
/// let mut app = App::new();
/// app.add_plugins((
///     TaskPoolPlugin::default(),
///     FrameAllocPlugin::new(|| AllocConfig::default().with_frames_in_flight(2)).with_boundary(FrameBoundary::Last),
/// ));
/// app.update();
/// // One frame has ended, and is still in flight.
/// assert_eq!(app.world().resource::<FrameAlloc>().stats().frames_in_flight, 1);
/// ```
#[derive(Debug)]
pub struct FrameAllocPlugin {
    setup: Setup,
    boundary: FrameBoundary,
}

impl FrameAllocPlugin {
    /// With allocators of the configuration that `config` makes.
    #[must_use]
    pub fn new(config: impl Fn() -> AllocConfig + Send + Sync + 'static) -> Self {
        Self { setup: Setup::new(config), boundary: FrameBoundary::default() }
    }

    /// Where frames end; at the top of the update unless set.
    #[must_use]
    pub fn with_boundary(mut self, boundary: FrameBoundary) -> Self {
        self.boundary = boundary;
        self
    }

    /// Marks the frames of Tracy's main time line, too, at each frame's end: for apps that render nothing. Those that do have Bevy's marks, and
    /// framealloc's in a line of their own.
    #[cfg(feature = "tracy")]
    #[must_use]
    pub fn with_tracy_frame_mark(mut self) -> Self {
        self.setup.extras.frame_mark = true;
        self
    }
}

settings!(FrameAllocPlugin);

impl Default for FrameAllocPlugin {
    fn default() -> Self {
        Self::new(AllocConfig::default)
    }
}

impl Plugin for FrameAllocPlugin {
    fn build(&self, app: &mut App) {
        self.setup.build::<EachUpdate>(app);
        if !app.world().contains_resource::<FrameAllocSettings>() {
            app.insert_resource(FrameAllocSettings { boundary: self.boundary });
        }
        #[cfg(feature = "reflect")]
        crate::stats::register::<FrameAllocSettings>(app);
        let at = |boundary| {
            move |settings: Option<Res<FrameAllocSettings>>| {
                settings.map_or(FrameBoundary::default(), |settings| settings.boundary) == boundary
            }
        };
        let turn = || turn::<EachUpdate>(self.setup.extras.clone());
        app.add_systems(Main, turn().in_set(FrameAllocSystems).before(Main::run_main).run_if(at(FrameBoundary::Top)));
        app.add_systems(Last, turn().in_set(FrameAllocSystems).run_if(at(FrameBoundary::Last)));
    }
}

/// Puts a [`FixedFrameAlloc`](crate::FixedFrameAlloc) into the world, whose frames are fixed steps: what a step allocates is gone when the
/// next one begins, also where an update has many.
///
/// # Panics
///
/// When it is added, if the configuration is refused; the text names the value and its bound. `FixedFrameAlloc::from(SmartAlloc::try_new(..)?)`
/// returns the error, and is kept if it is inserted before. In a step, if the destructor of something that was published panics.
///
/// ```
/// use std::time::Duration;
///
/// use bevy_app::prelude::*;
/// use bevy_ecs::prelude::*;
/// use bevy_time::{TimePlugin, TimeUpdateStrategy};
/// use framealloc_bevy::prelude::*;
///
/// fn step(memory: FixedFrameMemory) {
///     let forces = memory.frame().alloc_slice_fill(1000, 0f32);
///     forces[7] = 1.0;
/// }
///
/// let mut app = App::new();
/// app.add_plugins((TaskPoolPlugin::default(), TimePlugin, FixedFrameAllocPlugin::new(AllocConfig::default)))
///     .insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_millis(100)))
///     .add_systems(FixedUpdate, step);
/// app.update();
/// app.update();
/// // Six steps of a 64th of a second: each but the last has ended.
/// let stats = app.world().resource::<FixedFrameAlloc>().stats();
/// assert_eq!((stats.frame, stats.last_frame.bytes_allocated), (7, 4000));
/// ```
#[derive(Debug)]
pub struct FixedFrameAllocPlugin {
    setup: Setup,
}

impl FixedFrameAllocPlugin {
    /// With allocators of the configuration that `config` makes.
    #[must_use]
    pub fn new(config: impl Fn() -> AllocConfig + Send + Sync + 'static) -> Self {
        Self { setup: Setup::new(config) }
    }
}

settings!(FixedFrameAllocPlugin);

impl Default for FixedFrameAllocPlugin {
    fn default() -> Self {
        Self::new(AllocConfig::default)
    }
}

impl Plugin for FixedFrameAllocPlugin {
    fn build(&self, app: &mut App) {
        self.setup.build::<EachFixedStep>(app);
        let turn = turn::<EachFixedStep>(self.setup.extras.clone());
        app.add_systems(FixedMain, turn.in_set(FrameAllocSystems).before(FixedMain::run_fixed_main));
    }
}
