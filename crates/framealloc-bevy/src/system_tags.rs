//! The names of systems as tags.
//!
//! A system that reads the allocator is put into another one, which labels what it takes. Promises that it reads what Bevy's
//! executor has granted it: its access is that of the inner system and that of `Res<FrameAlloc>`.

use std::any::TypeId;
use std::marker::PhantomData;
use std::mem;
use std::sync::OnceLock;

use bevy_ecs::change_detection::{CheckChangeTicks, Tick};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{InternedSystemSet, Schedules, SystemWithAccess};
use bevy_ecs::system::{RunSystemError, SystemAccess, SystemIn, SystemStateFlags};
use bevy_ecs::world::{DeferredWorld, unsafe_world_cell::UnsafeWorldCell};
use framealloc::Tag;
use parking_lot::Mutex;

use crate::frame_alloc::FrameAlloc;
use crate::period::Period;

/// Tags all systems that are in a schedule and have not been initialised.
pub(crate) fn tag_all<P: Period>(world: &mut World) {
    let Some(mut schedules) = world.get_resource_mut::<Schedules>() else { return };
    for (_, schedule) in schedules.iter_mut() {
        let systems = &mut schedule.graph_mut().systems;
        let keys: Vec<_> = systems.iter().map(|(key, ..)| key).collect();
        for key in keys {
            // One that was initialised, and has access, could not tell Bevy of it again.
            if let Some(node) = systems.get_mut(key).filter(|node| node.access().is_none()) {
                let system = mem::replace(node, SystemWithAccess::new(Box::new(IntoSystem::into_system(|| {}))));
                *node = SystemWithAccess::new(Box::new(Tagged::<P>::new(system)));
            }
        }
    }
}

/// A tag of this name, which stays for as long as the program does: each name takes memory once.
fn tag_named(name: &str) -> Tag {
    static NAMES: OnceLock<Mutex<Vec<&'static str>>> = OnceLock::new();
    let mut names = NAMES.get_or_init(Mutex::default).lock();
    let known = names.iter().copied().find(|known| *known == name);
    Tag::new(known.unwrap_or_else(|| {
        let name: &'static str = Box::leak(Box::from(name));
        names.push(name);
        name
    }))
}

/// What a system of one parameter accesses.
fn access_of<M>(system: impl IntoSystem<(), (), M>, world: &mut World) -> SystemAccess {
    IntoSystem::into_system(system).initialize(world)
}

/// A system that is labelled by its name.
struct Tagged<P: Period> {
    system: SystemWithAccess,
    /// Set if the access that was told when it was initialised has the allocator in it, shared.
    tag: Option<Tag>,
    period: PhantomData<fn() -> P>,
}

impl<P: Period> Tagged<P> {
    fn new(system: SystemWithAccess) -> Self {
        Self { system, tag: None, period: PhantomData }
    }
}

impl<P: Period> System for Tagged<P> {
    type In = ();
    type Out = ();

    fn name(&self) -> bevy_utils::prelude::DebugName {
        self.system.name()
    }

    fn system_type(&self) -> TypeId {
        self.system.system_type()
    }

    fn flags(&self) -> SystemStateFlags {
        self.system.flags()
    }

    unsafe fn run_unsafe(&mut self, input: SystemIn<'_, Self>, world: UnsafeWorldCell) -> Result<(), RunSystemError> {
        if let Some(tag) = self.tag
            // SAFETY: `initialize` told Bevy of shared access to the resource, which the caller therefore grants; the system inside
            // has no exclusive one, which would have been a conflict.
            && let Some(alloc) = unsafe { world.get_resource::<FrameAlloc<P>>() }
        {
            // SAFETY: the caller's promise, which is about all that `initialize` returned, that of the system inside among it.
            return alloc.with_label(tag, |_| unsafe { self.system.run_unsafe(input, world) });
        }
        // SAFETY: the caller's promise.
        unsafe { self.system.run_unsafe(input, world) }
    }

    #[cfg(feature = "hotpatching")]
    fn refresh_hotpatch(&mut self) {
        self.system.refresh_hotpatch();
    }

    fn apply_deferred(&mut self, world: &mut World) {
        self.system.apply_deferred(world);
    }

    fn queue_deferred(&mut self, world: DeferredWorld) {
        self.system.queue_deferred(world);
    }

    fn initialize(&mut self, world: &mut World) -> SystemAccess {
        let mut access = self.system.initialize(world);
        let reads = access_of(|_: Res<FrameAlloc<P>>| {}, world);
        let writes = access_of(|_: ResMut<FrameAlloc<P>>| {}, world);
        // It reads the allocator, and does not write it. Others are left as they are: one access more is one conflict more.
        if access.is_shared() && !access.is_compatible(&writes) && access.is_compatible(&reads) {
            access.extend(reads);
            self.tag = Some(tag_named(&self.system.name()));
        }
        access
    }

    fn check_change_tick(&mut self, check: CheckChangeTicks) {
        self.system.check_change_tick(check);
    }

    fn default_system_sets(&self) -> Vec<InternedSystemSet> {
        self.system.default_system_sets()
    }

    fn get_last_run(&self) -> Tick {
        self.system.get_last_run()
    }

    fn set_last_run(&mut self, last_run: Tick) {
        self.system.set_last_run(last_run);
    }
}
