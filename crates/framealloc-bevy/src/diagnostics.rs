//! Figures of each frame among Bevy's diagnostics, where logs and overlays find them.
//!
//! Promises that a frame asks for no memory for them, once its tags and limits are known.

use std::time::Instant;

use bevy_app::App;
use bevy_diagnostic::{Diagnostic, DiagnosticMeasurement, DiagnosticPath, DiagnosticsStore, RegisterDiagnostic};
use bevy_ecs::prelude::*;
use framealloc::{FrameStats, Tag, TagStats};

use crate::frame_alloc::FrameAlloc;
use crate::period::Period;
use crate::plugin::{FixedFrameAllocPlugin, FrameAllocPlugin};

const FRAME_BYTES: &str = "frame_bytes";
#[cfg(feature = "count")]
const ALLOCATIONS: &str = "allocations";
const COMMITTED: &str = "committed";
const POOL_LIVE: &str = "pool_live";

/// A plugin's constants.
macro_rules! paths {
    ($plugin:ident, $alloc:literal) => {
        impl $plugin {
            /// The frame memory that was handed out in a frame, in bytes: the most at a time, by each thread, summed.
            pub const FRAME_BYTES: DiagnosticPath = DiagnosticPath::const_new(concat!($alloc, "/frame_bytes"));
            /// Allocations in a frame: with the feature `count`.
            #[cfg(feature = "count")]
            pub const ALLOCATIONS: DiagnosticPath = DiagnosticPath::const_new(concat!($alloc, "/allocations"));
            /// Everything that is held from the backends, in bytes.
            pub const COMMITTED: DiagnosticPath = DiagnosticPath::const_new(concat!($alloc, "/committed"));
            /// Pooled objects that are live, or in a thread's cache, and blocks above the pools' sizes, in bytes.
            pub const POOL_LIVE: DiagnosticPath = DiagnosticPath::const_new(concat!($alloc, "/pool_live"));

            /// The bytes that scopes of a tag were handed out in a frame, those inside included.
            #[must_use]
            pub fn tag_path(tag: &str) -> DiagnosticPath {
                path($alloc, &["tag", tag])
            }

            /// What a frame left below the account's hard limit, or, where it has none, the soft one, in bytes.
            #[cfg(feature = "budget")]
            #[must_use]
            pub fn headroom_path(account: &framealloc::Account) -> DiagnosticPath {
                headroom_path($alloc, account)
            }
        }
    };
}

paths!(FrameAllocPlugin, "framealloc");
paths!(FixedFrameAllocPlugin, "framealloc_fixed");

/// Names with a `/` in them are several components, and empty ones none.
fn path(alloc: &str, names: &[&str]) -> DiagnosticPath {
    let parts = names.iter().flat_map(|name| name.split('/')).filter(|name| !name.is_empty());
    DiagnosticPath::from_components([alloc].into_iter().chain(parts))
}

#[cfg(feature = "budget")]
fn headroom_path(alloc: &str, account: &framealloc::Account) -> DiagnosticPath {
    match account {
        framealloc::Account::Tag(tag) => path(alloc, &["headroom", "tag", tag]),
        plain => path(alloc, &["headroom", &plain.to_string()]),
    }
}

fn bytes(path: DiagnosticPath) -> Diagnostic {
    Diagnostic::new(path).with_suffix(" B")
}

/// The diagnostics that are there from the beginning.
pub(crate) fn register<P: Period>(app: &mut App) {
    for name in [FRAME_BYTES, COMMITTED, POOL_LIVE] {
        app.register_diagnostic(bytes(path(P::NAMES.alloc, &[name])));
    }
    #[cfg(feature = "count")]
    app.register_diagnostic(Diagnostic::new(path(P::NAMES.alloc, &[ALLOCATIONS])));
}

/// Paths of what is measured, in the order in which it is found in a frame.
#[derive(Default)]
pub(crate) struct Paths {
    plain: Vec<DiagnosticPath>,
    tags: Vec<(Tag, DiagnosticPath)>,
    /// What tags used; kept for its capacity.
    used: Vec<TagStats>,
    #[cfg(feature = "budget")]
    limits: Vec<(framealloc::Account, DiagnosticPath)>,
}

/// The path of the `at`th of those that are known, or made, and its diagnostic with it.
fn known<'a, K: PartialEq + Clone>(
    paths: &'a mut Vec<(K, DiagnosticPath)>,
    at: usize,
    key: &K,
    store: &mut DiagnosticsStore,
    make: impl FnOnce() -> DiagnosticPath,
) -> &'a DiagnosticPath {
    if paths.get(at).is_none_or(|(known, _)| known != key) {
        let path = make();
        if store.get(&path).is_none() {
            store.add(bytes(path.clone()));
        }
        forget(paths, at, store);
        paths.push((key.clone(), path));
    }
    &paths[at].1
}

/// Clears those from `at` on: they are measured anew, or not any more.
fn forget<K>(paths: &mut Vec<(K, DiagnosticPath)>, at: usize, store: &mut DiagnosticsStore) {
    for (_, path) in paths.drain(at.min(paths.len())..) {
        if let Some(diagnostic) = store.get_mut(&path) {
            diagnostic.clear_history();
        }
    }
}

impl Paths {
    pub(crate) fn measure<P: Period>(&mut self, world: &mut World, stats: &FrameStats) {
        let names = &P::NAMES;
        if !world.contains_resource::<DiagnosticsStore>() {
            return;
        }
        // Copied before the store is borrowed: taking one of the two out of the world would cost more.
        let Some(alloc) = world.get_resource::<FrameAlloc<P>>() else { return };
        let held = alloc.stats();
        self.used.clear();
        self.used.extend_from_slice(alloc.tags());
        #[cfg(feature = "budget")]
        let budget = world.get_resource::<crate::FrameBudget<P>>().map(|budget| (**budget).clone());
        let Some(mut store) = world.get_resource_mut::<DiagnosticsStore>() else { return };
        let store = &mut *store;
        let time = Instant::now();
        let add = |store: &mut DiagnosticsStore, path: &DiagnosticPath, value: usize| {
            if let Some(diagnostic) = store.get_mut(path).filter(|diagnostic| diagnostic.is_enabled) {
                diagnostic.add_measurement(DiagnosticMeasurement { time, value: value as f64 });
            }
        };
        let plain = [
            (FRAME_BYTES, stats.bytes_allocated),
            #[cfg(feature = "count")]
            (ALLOCATIONS, stats.allocation_count),
            (COMMITTED, held.committed),
            (POOL_LIVE, held.pools.outstanding_bytes + held.pools.large_bytes),
        ];
        if self.plain.is_empty() {
            self.plain.extend(plain.map(|(name, _)| path(names.alloc, &[name])));
        }
        for ((_, value), path) in plain.into_iter().zip(&self.plain) {
            add(store, path, value);
        }
        for (at, of) in self.used.iter().enumerate() {
            let path = known(&mut self.tags, at, &of.tag, store, || path(names.alloc, &["tag", of.tag.name()]));
            add(store, path, of.bytes);
        }
        #[cfg(feature = "budget")]
        if let Some(budget) = budget {
            let mut at = 0;
            budget.each_limit(|of| {
                let make = || headroom_path(names.alloc, &of.account);
                let path = known(&mut self.limits, at, &of.account, store, make);
                add(store, path, of.headroom());
                at += 1;
            });
            forget(&mut self.limits, at, store);
        }
    }
}
