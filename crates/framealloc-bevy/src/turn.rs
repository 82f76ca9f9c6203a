//! A frame's end and the next one's beginning, and what is told of it.
//!
//! Promises that no resource that is missing, and no lease that is out, ends the app: it is logged once for as long as it lasts.

use bevy_app::App;
#[cfg(feature = "system_tags")]
use bevy_app::Main;
use bevy_ecs::prelude::*;
#[cfg(feature = "system_tags")]
use bevy_ecs::schedule::common_conditions::run_once;
use framealloc::{AllocConfig, FrameStats};

use crate::frame_alloc::FrameAlloc;
use crate::period::Period;

/// What a plugin adds to an allocator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    #[cfg(feature = "budget")]
    pub(crate) budget: Option<framealloc::Budget>,
    #[cfg(feature = "system_tags")]
    pub(crate) system_tags: bool,
    #[cfg(feature = "tracy")]
    pub(crate) frame_mark: bool,
}

impl Extras {
    /// Inserts the resources that go with the allocator; the configuration with what they need, if there is none already.
    #[allow(
        clippy::extra_unused_type_parameters,
        clippy::unused_self,
        unused_variables,
        reason = "without features there is nothing to insert"
    )]
    pub(crate) fn install<P: Period>(&self, app: &mut App, config: Option<AllocConfig>) -> Option<AllocConfig> {
        #[cfg(feature = "diagnostics")]
        crate::diagnostics::register::<P>(app);
        #[cfg(feature = "reflect")]
        {
            app.init_resource::<crate::FrameAllocStats<P>>();
            crate::stats::register::<crate::FrameAllocStats<P>>(app);
        }
        #[cfg(feature = "system_tags")]
        if self.system_tags {
            app.add_systems(Main, crate::system_tags::tag_all::<P>.before(Main::run_main).run_if(run_once));
        }
        #[cfg(feature = "budget")]
        let config = crate::budget::install::<P>(self, app, config);
        config
    }
}

/// Why a frame cannot end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There is no allocator.
    Absent,
    /// Leases are out, or a budget refuses.
    Refused,
}

/// Logs what is wrong once, for as long as it lasts.
#[derive(Default)]
pub(crate) struct Complaints(Option<Trouble>);

impl Complaints {
    pub(crate) fn complain(&mut self, why: Trouble, what: impl FnOnce() -> String) {
        if self.0.replace(why) != Some(why) {
            log::error!("{}", what());
        }
    }

    /// It is over.
    pub(crate) fn settle(&mut self) {
        self.0 = None;
    }
}

/// What a turn remembers.
struct Memory<P: Period> {
    #[allow(dead_code, reason = "what is in it are features")]
    extras: Extras,
    complaints: Complaints,
    #[cfg(feature = "diagnostics")]
    diagnostics: crate::diagnostics::Paths,
    period: std::marker::PhantomData<fn() -> P>,
}

/// The system that ends a frame and begins the next one. It needs the world, since nobody else may be using the allocator; frames are not
/// changes of the resource.
pub(crate) fn turn<P: Period>(extras: Extras) -> impl FnMut(&mut World) + Send + Sync + 'static {
    let mut memory = Memory::<P> {
        extras,
        complaints: Complaints::default(),
        #[cfg(feature = "diagnostics")]
        diagnostics: crate::diagnostics::Paths::default(),
        period: std::marker::PhantomData,
    };
    move |world: &mut World| memory.turn(world)
}

impl<P: Period> Memory<P> {
    fn turn(&mut self, world: &mut World) {
        let Some(stats) = self.end_and_begin(world) else { return };
        self.tell(world, &stats);
    }

    fn end_and_begin(&mut self, world: &mut World) -> Option<FrameStats> {
        let Some(mut alloc) = world.get_resource_mut::<FrameAlloc<P>>() else {
            let names = &P::NAMES;
            self.complaints.complain(Trouble::Absent, || {
                format!("there is no `{}`, which `{}` inserted: no frame ends", names.resource, names.plugin)
            });
            return None;
        };
        match alloc.bypass_change_detection().turn() {
            Ok(stats) => {
                self.complaints.settle();
                Some(stats)
            }
            Err(error) => {
                self.complaints.complain(Trouble::Refused, || format!("`{}`: {error}", P::NAMES.resource));
                None
            }
        }
    }

    #[allow(clippy::unused_self, unused_variables, reason = "without features there is nobody to tell")]
    fn tell(&mut self, world: &mut World, stats: &FrameStats) {
        #[cfg(feature = "diagnostics")]
        self.diagnostics.measure::<P>(world, stats);
        #[cfg(feature = "reflect")]
        crate::stats::update::<P>(world, stats);
        #[cfg(feature = "budget")]
        crate::budget::tell_pressure::<P>(world);
        #[cfg(feature = "tracy")]
        if self.extras.frame_mark
            && let Some(client) = tracy_client::Client::running()
        {
            client.frame_mark();
        }
    }
}
