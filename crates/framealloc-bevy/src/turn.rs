//! A frame's end and the next one's beginning, and what is told of it.
//!
//! Promises that no resource that is missing, and no lease that is out, ends the app: it is logged once for as long as it lasts.

use bevy_app::App;
use bevy_ecs::prelude::*;
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
    /// Inserts the resources that go with the allocator; the configuration with what they need.
    #[allow(clippy::unused_self, unused_variables, reason = "without features there is nothing to insert")]
    pub(crate) fn install<P: Period>(&self, app: &mut App, config: AllocConfig) -> AllocConfig {
        #[cfg(feature = "diagnostics")]
        crate::diagnostics::register::<P>(app);
        #[cfg(feature = "reflect")]
        app.init_resource::<crate::FrameAllocStats<P>>().register_type::<crate::FrameAllocStats<P>>();
        #[cfg(feature = "budget")]
        let config = crate::budget::install::<P>(self, app, config);
        config
    }
}

/// What a turn remembers.
struct Memory<P: Period> {
    #[allow(dead_code, reason = "what is in it are features")]
    extras: Extras,
    /// Whether it was logged that frames cannot end.
    complained: bool,
    #[cfg(feature = "system_tags")]
    tagged: bool,
    #[cfg(feature = "diagnostics")]
    diagnostics: crate::diagnostics::Paths,
    period: std::marker::PhantomData<fn() -> P>,
}

/// The system that ends a frame and begins the next one. It needs the world, since nobody else may be using the allocator; frames are not
/// changes of the resource.
pub(crate) fn turn<P: Period>(extras: Extras) -> impl FnMut(&mut World) + Send + Sync + 'static {
    let mut memory = Memory::<P> {
        extras,
        complained: false,
        #[cfg(feature = "system_tags")]
        tagged: false,
        #[cfg(feature = "diagnostics")]
        diagnostics: crate::diagnostics::Paths::default(),
        period: std::marker::PhantomData,
    };
    move |world: &mut World| memory.turn(world)
}

impl<P: Period> Memory<P> {
    fn turn(&mut self, world: &mut World) {
        #[cfg(feature = "system_tags")]
        if self.extras.system_tags && !std::mem::replace(&mut self.tagged, true) {
            crate::system_tags::tag_all::<P>(world);
        }
        let Some(stats) = self.end_and_begin(world) else { return };
        self.tell(world, &stats);
    }

    fn end_and_begin(&mut self, world: &mut World) -> Option<FrameStats> {
        let Some(mut alloc) = world.get_resource_mut::<FrameAlloc<P>>() else {
            let names = &P::NAMES;
            self.complain(|| {
                format!("there is no `{}`, which `{}` inserted: no frame ends", names.resource, names.plugin)
            });
            return None;
        };
        match alloc.bypass_change_detection().turn() {
            Ok(stats) => {
                self.complained = false;
                Some(stats)
            }
            Err(error) => {
                self.complain(|| format!("`{}`: {error}", P::NAMES.resource));
                None
            }
        }
    }

    fn complain(&mut self, what: impl FnOnce() -> String) {
        if !std::mem::replace(&mut self.complained, true) {
            log::error!("{}", what());
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
