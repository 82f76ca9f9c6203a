//! What the plugin costs an app that does nothing else.

use std::fmt;
use std::time::Instant;

use bevy_app::prelude::*;
use bevy_diagnostic::DiagnosticsStore;
use framealloc_bevy::prelude::*;
use meter::median;

use crate::cli::Plugins;
use crate::game::minimal;

/// Updates of each app in a turn.
const TURN: u32 = 100;

fn app(plugins: Plugins) -> App {
    let mut app = App::new();
    minimal(&mut app, 1);
    if plugins != Plugins::None {
        app.add_plugins(FrameAllocPlugin::default());
    }
    if plugins == Plugins::Quiet {
        app.world_mut().remove_resource::<DiagnosticsStore>();
    }
    app.finish();
    app.cleanup();
    app
}

/// Updates an app so many times.
pub fn run_empty(plugins: Plugins, updates: u32) {
    let mut app = app(plugins);
    for _ in 0..updates {
        app.update();
    }
}

/// Nanoseconds of an update, half of the updates of each app not exceeding it.
pub struct Overhead {
    bare: u64,
    quiet: u64,
    update: u64,
}

pub fn measure(updates: u32) -> Overhead {
    let mut apps = [Plugins::None, Plugins::Quiet, Plugins::Update].map(|plugins| (app(plugins), Vec::new()));
    for _ in 0..updates.div_ceil(TURN) {
        for (app, ns) in &mut apps {
            for _ in 0..TURN {
                let start = Instant::now();
                app.update();
                ns.push(start.elapsed().as_nanos() as u64);
            }
        }
    }
    let [bare, quiet, update] = apps.map(|(_, ns)| median(ns));
    Overhead { bare, quiet, update }
}

impl Overhead {
    /// What the plugin adds, with diagnostics.
    pub fn added(&self) -> u64 {
        self.update.saturating_sub(self.bare)
    }
}

impl fmt::Display for Overhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| an update of an app without systems | p50, ns | more |")?;
        writeln!(f, "|---|---|---|")?;
        writeln!(f, "| Bevy alone | {} | |", self.bare)?;
        writeln!(
            f,
            "| with `FrameAllocPlugin`, no diagnostics | {} | {} |",
            self.quiet,
            self.quiet.saturating_sub(self.bare)
        )?;
        writeln!(f, "| with `FrameAllocPlugin` | {} | {} |", self.update, self.added())
    }
}
