//! The allocator as a resource, and the parameter by which systems use it.
//!
//! Promises that what a system takes from a frame cannot leave the system: it carries the lifetime of the world's borrow, which the
//! frame's end needs exclusively.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use framealloc::{AllocConfig, AllocError, Frame, FrameHandle, FrameStats, SmartAlloc, StaleHandle};

use crate::period::{EachFixedStep, EachUpdate, Period};

/// The allocator of a world, as a resource. Dereferences to [`SmartAlloc`].
///
/// [`FrameAllocPlugin`](crate::FrameAllocPlugin) inserts it and ends its frames; systems mostly take [`FrameMemory`] instead. It is not
/// `Clone`: whoever ends a frame has the only one.
///
/// ```
/// use bevy_app::prelude::*;
/// use bevy_ecs::prelude::*;
/// use framealloc_bevy::prelude::*;
///
/// # fn main() -> Result<(), AllocError> {
/// // A configuration that may be refused: the plugin keeps an allocator that is there already.
/// let alloc = FrameAlloc::try_new(AllocConfig::default().with_prefault(1 << 20))?;
/// let mut app = App::new();
/// app.insert_resource(alloc).add_plugins(FrameAllocPlugin::default());
/// app.update();
/// let alloc = app.world().resource::<FrameAlloc>();
/// assert!(alloc.stats().stored >= 1 << 20);
/// # Ok(()) }
/// ```
#[derive(Resource)]
pub struct FrameAlloc<P: Period = EachUpdate> {
    alloc: SmartAlloc,
    /// Whether the frame was sealed since the last turn, which then has none to end.
    handed_over: bool,
    period: PhantomData<fn() -> P>,
}

/// The allocator whose frames are fixed steps.
pub type FixedFrameAlloc = FrameAlloc<EachFixedStep>;

impl FrameAlloc {
    /// An allocator of this configuration, with a frame begun. One of fixed steps is `FixedFrameAlloc::from(SmartAlloc::new(..))`.
    ///
    /// # Panics
    ///
    /// If a setting is out of its bounds, or memory to prefault is refused: [`try_new`](Self::try_new) returns the error.
    #[must_use]
    #[track_caller]
    pub fn new(config: AllocConfig) -> Self {
        Self::from(SmartAlloc::new(config))
    }

    /// An allocator of this configuration, with a frame begun.
    ///
    /// # Errors
    ///
    /// If a setting is out of its bounds (the text names value and bound), or memory to prefault is refused.
    pub fn try_new(config: AllocConfig) -> Result<Self, AllocError> {
        SmartAlloc::try_new(config).map(Self::from)
    }
}

impl<P: Period> FrameAlloc<P> {
    /// The allocator alone.
    #[must_use]
    pub fn into_inner(self) -> SmartAlloc {
        self.alloc
    }

    /// Ends the frame, unless it was handed over, and begins the next one.
    pub(crate) fn turn(&mut self) -> Result<FrameStats, AllocError> {
        let stats = if std::mem::take(&mut self.handed_over) {
            self.alloc.stats().last_frame
        } else {
            self.alloc.try_end_frame()?
        };
        self.alloc.begin_frame();
        Ok(stats)
    }

    /// Seals the frame for another world, and begins the next one.
    #[cfg(feature = "render")]
    pub(crate) fn hand_over(&mut self) -> Result<framealloc::SealedFrame, AllocError> {
        let sealed = self.alloc.try_seal_frame()?;
        self.handed_over = true;
        self.alloc.begin_frame();
        Ok(sealed)
    }
}

impl<P: Period> From<SmartAlloc> for FrameAlloc<P> {
    fn from(mut alloc: SmartAlloc) -> Self {
        alloc.begin_frame();
        Self { alloc, handed_over: false, period: PhantomData }
    }
}

impl Default for FrameAlloc {
    fn default() -> Self {
        Self::new(AllocConfig::default())
    }
}

impl<P: Period> Deref for FrameAlloc<P> {
    type Target = SmartAlloc;

    #[inline(always)]
    fn deref(&self) -> &SmartAlloc {
        &self.alloc
    }
}

impl<P: Period> DerefMut for FrameAlloc<P> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut SmartAlloc {
        &mut self.alloc
    }
}

impl<P: Period> fmt::Debug for FrameAlloc<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(P::NAMES.resource).field(&self.alloc).finish()
    }
}

/// A system's frame memory: [`frame`](Self::frame) for this thread's memory of the current frame, and all else that a
/// [`SmartAlloc`] has.
///
/// It is `Sync`: closures of `par_iter` and tasks of a scope may hold it, and each thread gets an arena of its own, without a
/// lock. Systems that take it run side by side; only the frame's end excludes them. Allocating while a frame has not begun, in start-up
/// systems say, is fine: it belongs to the frame that ends next.
///
/// What it hands out lives for `'w`, the time in which the system may use the world, and can neither be put into a component, a
/// resource, a message, a command or a `Local`, nor be sent into an async task. A [`FrameHandle`] can: see
/// [`publish`](SmartAlloc::publish). With no frame in flight it is honoured until the frame ends.
///
/// ```
/// use bevy_app::prelude::*;
/// use bevy_ecs::prelude::*;
/// use framealloc_bevy::prelude::*;
///
/// #[derive(Component)]
/// struct Position(f32);
///
/// fn nearest(memory: FrameMemory, bodies: Query<(Entity, &Position)>) {
///     let mut sorted = memory.frame().vec();
///     sorted.extend(&bodies);
///     sorted.sort_by(|a: &(Entity, &Position), b| a.1.0.total_cmp(&b.1.0));
///     assert_eq!(sorted[0].1.0, 0.0);
/// }
///
/// fn each(memory: FrameMemory, bodies: Query<&Position>) {
///     bodies.par_iter().for_each(|position| {
///         // The memory of the thread that runs this task.
///         let path = memory.frame().alloc_slice_fill_with(8, |step| position.0 + step as f32);
///         assert_eq!(path[7], position.0 + 7.0);
///     });
/// }
///
/// let mut app = App::new();
/// app.add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::default())).add_systems(Update, (nearest, each));
/// app.world_mut().spawn_batch((0..100).rev().map(|at| Position(at as f32)));
/// app.update();
/// ```
///
/// # If there is no allocator
///
/// A system with this parameter is not run, and Bevy's error handler is told so; by default that panics, with a text that names the
/// plugin. `Option<FrameMemory>` is `None` instead, and `If<FrameMemory>` skips the system.
#[derive(SystemParam)]
pub struct FrameMemory<'w, P: Period = EachUpdate> {
    #[system_param(validation_message = "this world has no such allocator: add `FrameAllocPlugin` (for fixed steps \
                              `FixedFrameAllocPlugin`), or insert a `FrameAlloc` again if it was removed")]
    alloc: Res<'w, FrameAlloc<P>>,
}

/// A system's memory of the current fixed step.
pub type FixedFrameMemory<'w> = FrameMemory<'w, EachFixedStep>;

impl<'w, P: Period> FrameMemory<'w, P> {
    /// This thread's view of the current frame. Take one outside a loop: each call looks the thread's arena up.
    #[must_use]
    #[inline(always)]
    pub fn frame(&self) -> Frame<'w> {
        self.allocator().frame()
    }

    /// The allocator, for as long as the system may use the world.
    #[must_use]
    #[inline(always)]
    pub fn allocator(&self) -> &'w SmartAlloc {
        &Res::clone(&self.alloc).into_inner().alloc
    }

    /// The value a handle names, if its frame is the current one or in flight.
    ///
    /// # Errors
    ///
    /// If the frame is gone or was sealed, or the handle belongs to another allocator.
    #[inline]
    pub fn get<T: ?Sized>(&self, handle: FrameHandle<T>) -> Result<&'w T, StaleHandle> {
        self.allocator().get(handle)
    }
}

impl<P: Period> Deref for FrameMemory<'_, P> {
    type Target = SmartAlloc;

    #[inline(always)]
    fn deref(&self) -> &SmartAlloc {
        &self.alloc.alloc
    }
}

impl<P: Period> fmt::Debug for FrameMemory<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FrameMemory").field(&*self.alloc).finish()
    }
}
