//! A budget as a resource, and its pressure as messages and events.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use bevy_app::{App, First};
use bevy_ecs::message::MessageUpdateSystems;
use bevy_ecs::prelude::*;
use framealloc::{AllocConfig, Budget, Pressure};
use parking_lot::Mutex;

use crate::period::{EachUpdate, Period};
use crate::turn::Extras;

/// The [`Budget`] of a world's allocator, as a resource: limits may be moved and metrics read by any system.
///
/// ```
/// use bevy_app::prelude::*;
/// use bevy_ecs::prelude::*;
/// use framealloc_bevy::prelude::*;
///
/// fn low_end(budget: Res<FrameBudget>) -> Result {
///     budget.set_limit(Account::tag("particles"), Limit::hard(bytes::kib(64)))?;
///     Ok(())
/// }
///
/// let budget = Budget::new().with_committed(Limit::hard(bytes::mib(16)));
/// App::new()
///     .add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::default().with_budget(budget)))
///     .add_systems(Startup, low_end)
///     .update();
/// ```
#[derive(Resource)]
pub struct FrameBudget<P: Period = EachUpdate> {
    budget: Budget,
    /// What the frame's end has heard, until it is told to observers.
    heard: Arc<Mutex<Vec<Pressure>>>,
    /// What observers were told, until it is written as messages.
    unwritten: Mutex<Vec<Pressure>>,
    period: PhantomData<fn() -> P>,
}

impl<P: Period> Deref for FrameBudget<P> {
    type Target = Budget;

    fn deref(&self) -> &Budget {
        &self.budget
    }
}

impl<P: Period> fmt::Debug for FrameBudget<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FrameBudget").field(&self.budget).finish()
    }
}

/// An account's level has changed, or lasts: see [`Pressure`], to which this dereferences.
///
/// Triggered for observers when the frame has ended, before the systems of the next one run, and written as a message in `First`, after
/// messages were updated.
///
/// ```
/// use bevy_app::prelude::*;
/// use bevy_ecs::prelude::*;
/// use framealloc_bevy::prelude::*;
///
/// #[derive(Resource, Default)]
/// struct Detail(u32);
///
/// let budget = Budget::new().with_tag("particles", Limit::soft(1000));
/// let mut app = App::new();
/// app.add_plugins((TaskPoolPlugin::default(), FrameAllocPlugin::default().with_budget(budget)))
///     .init_resource::<Detail>()
///     .add_systems(Update, |memory: FrameMemory| {
///         memory.with_tag("particles", |a| a.frame().alloc_slice_fill(5000, 0u8).len());
///     })
///     .add_observer(|pressure: On<FramePressure>, mut detail: ResMut<Detail>| {
///         if pressure.tag() == Some("particles") && pressure.level > Level::Normal {
///             detail.0 += 1; // fewer of them
///         }
///     });
/// app.update();
/// app.update();
/// assert_eq!(app.world().resource::<Detail>().0, 1);
/// ```
#[derive(Message, Event, Clone)]
pub struct FramePressure<P: Period = EachUpdate> {
    /// What changed.
    pub pressure: Pressure,
    period: PhantomData<fn() -> P>,
}

impl<P: Period> Deref for FramePressure<P> {
    type Target = Pressure;

    fn deref(&self) -> &Pressure {
        &self.pressure
    }
}

impl<P: Period> fmt::Debug for FramePressure<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FramePressure").field(&self.pressure).finish()
    }
}

/// Inserts the budget, if there is one, and governs by it the allocator that is to be made.
pub(crate) fn install<P: Period>(extras: &Extras, app: &mut App, config: Option<AllocConfig>) -> Option<AllocConfig> {
    app.add_message::<FramePressure<P>>();
    let config = config?;
    let budget = extras.budget.clone();
    // A viewer of Tracy is told by a budget, which then keeps few frames: each takes memory until there are as many. The program's own
    // governor stays where it is.
    #[cfg(feature = "tracy")]
    let budget = budget
        .or_else(|| (!config.is_governed()).then(|| Budget::new().with_history(60)))
        .map(|budget| budget.with_tracy_name(P::NAMES.alloc));
    let Some(budget) = budget else { return Some(config) };
    let heard: Arc<Mutex<Vec<Pressure>>> = Arc::default();
    // The budget may outlive the resource.
    let ears = Arc::downgrade(&heard);
    let budget = budget.on_pressure(move |pressure| {
        if let Some(ears) = ears.upgrade() {
            ears.lock().push(pressure.clone());
        }
    });
    let config = config.with_governor(budget.clone());
    app.insert_resource(FrameBudget::<P> { budget, heard, unwritten: Mutex::default(), period: PhantomData });
    // Before, they would be one update older than they are.
    app.add_systems(First, write_pressure::<P>.after(MessageUpdateSystems));
    Some(config)
}

fn write_pressure<P: Period>(budget: Option<Res<FrameBudget<P>>>, mut messages: MessageWriter<FramePressure<P>>) {
    if let Some(budget) = budget {
        let unwritten = std::mem::take(&mut *budget.unwritten.lock());
        messages.write_batch(unwritten.into_iter().map(FramePressure::new));
    }
}

impl<P: Period> FramePressure<P> {
    fn new(pressure: Pressure) -> Self {
        Self { pressure, period: PhantomData }
    }
}

/// Tells observers what the frame's end has heard.
pub(crate) fn tell_pressure<P: Period>(world: &mut World) {
    let Some(budget) = world.get_resource::<FrameBudget<P>>() else { return };
    let heard = std::mem::take(&mut *budget.heard.lock());
    if heard.is_empty() {
        return;
    }
    budget.unwritten.lock().extend_from_slice(&heard);
    heard.into_iter().for_each(|pressure| world.trigger(FramePressure::<P>::new(pressure)));
}
