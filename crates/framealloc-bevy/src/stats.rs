//! Statistics as a resource that reflects, for inspectors.

use std::marker::PhantomData;

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::reflect::AppTypeRegistry;
use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use framealloc::FrameStats;

use crate::frame_alloc::FrameAlloc;
use crate::period::{EachUpdate, Period};

/// What the last frame used, and what is held: [`FrameStats`] and [`AllocStats`](framealloc::AllocStats) for inspectors. Bytes unless said.
///
/// Written at each frame's end; what is written into it changes nothing.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq, Reflect)]
#[reflect(Resource, Default, where P: Period)]
#[non_exhaustive]
pub struct FrameAllocStats<P: Period = EachUpdate> {
    /// Number of the frame, from 1.
    pub frame: u64,
    /// The frame memory that was handed out: the most at a time, by each thread, summed.
    pub frame_bytes: usize,
    /// The most that any frame was handed out.
    pub peak: usize,
    /// Allocations, with the feature `count`. A number.
    pub allocations: usize,
    /// Threads that allocated. A number.
    pub threads: usize,
    /// Lost at the ends of chunks.
    pub waste: usize,
    /// Requests that were refused. A number.
    pub refused: usize,
    /// Held from the backends, for every purpose.
    pub committed: usize,
    /// The part of it that lies unused in the shared store.
    pub stored: usize,
    /// Pooled objects that are live, or in a thread's cache, and blocks above the pools' sizes.
    pub pool_live: usize,
    #[reflect(ignore)]
    period: PhantomData<fn() -> P>,
}

/// Registers a type where there is a registry: a sub-app may have none.
pub(crate) fn register<T: bevy_reflect::GetTypeRegistration>(app: &mut App) {
    if app.world().contains_resource::<AppTypeRegistry>() {
        app.register_type::<T>();
    }
}

pub(crate) fn update<P: Period>(world: &mut World, frame: &FrameStats) {
    let Some(held) = world.get_resource::<FrameAlloc<P>>().map(|alloc| alloc.stats()) else { return };
    let stats = FrameAllocStats {
        frame: frame.frame,
        frame_bytes: frame.bytes_allocated,
        peak: frame.peak,
        allocations: frame.allocation_count,
        threads: frame.threads,
        waste: frame.waste,
        refused: frame.refused,
        committed: held.committed,
        stored: held.stored,
        pool_live: held.pools.outstanding_bytes + held.pools.large_bytes,
        period: PhantomData,
    };
    if let Some(mut resource) = world.get_resource_mut::<FrameAllocStats<P>>() {
        *resource = stats;
    }
}
