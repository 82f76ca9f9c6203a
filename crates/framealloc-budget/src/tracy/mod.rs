//! What a budget sends to Tracy: zones for tags and for the allocator's work, a mark and plots for each frame, blocks as named memory.
//!
//! Promises that only what a viewer is connected for is sent, per frame, scope and block, never per allocation: each memory event and each
//! mark takes one lock of the client, for all threads. The client is the program's to start.

#[allow(unsafe_code, reason = "calls of C that `tracy-client` has no safe form of")]
mod raw;

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use framealloc_core::{HeldBlock, Resource, Stage};
use parking_lot::Mutex;
use tracy_client::{Client, FrameName, PlotConfiguration, PlotFormat, PlotName};

use crate::figures::FrameRecord;
use crate::held::Held;
use crate::tree::{Node, Tree};
pub(crate) use raw::{Place, Zone};

/// Stages in one another that have zones. Two are the rule, and more where callbacks allocate.
const NESTED: usize = 8;

thread_local! {
    /// The stages of this thread that are open. Without a destructor: a thread's last one may allocate.
    static STAGES: Cell<(usize, [Option<Zone>; NESTED])> = const { Cell::new((0, [None; NESTED])) };
}

/// What is named once for a budget. The viewer knows it by its address.
struct Names {
    frame: FrameName,
    bytes: PlotName,
    committed: PlotName,
    pools: PlotName,
    /// Of chunks, slabs and large blocks.
    blocks: [raw::Pool; 3],
    threads: raw::Pool,
}

/// One budget's part of what a viewer sees.
#[derive(Default)]
pub(crate) struct Tracy {
    name: OnceLock<String>,
    names: OnceLock<Names>,
    /// Of tags, by their number, from 1.
    plots: Mutex<Vec<PlotName>>,
}

/// Whether the viewer that looks at this thread's stage has been told of the blocks that are held.
fn is_told(held: &Held) -> bool {
    held.told.is_some() && held.told == connection()
}

/// The number of the connection that this thread's innermost stage is told over.
fn connection() -> Option<u64> {
    let (depth, zones) = STAGES.get();
    let stage = depth.checked_sub(1).and_then(|at| *zones.get(at)?);
    stage.map(Zone::connection)
}

fn plot(name: String) -> PlotName {
    let plot = PlotName::new_leak(name);
    if let Some(client) = Client::running() {
        client.plot_config(plot, PlotConfiguration::default().format(PlotFormat::Memory));
    }
    plot
}

impl Tracy {
    /// Sets the name that all it sends begins with, unless something was sent or named before.
    pub(crate) fn set_name(&self, name: &str) -> bool {
        self.names.get().is_none() && self.name.set(name.to_owned()).is_ok()
    }

    fn name(&self) -> &str {
        self.name.get().map_or("framealloc", String::as_str)
    }

    fn names(&self) -> &Names {
        self.names.get_or_init(|| {
            let name = self.name();
            Names {
                frame: FrameName::new_leak(name.to_owned()),
                bytes: plot(format!("{name}: frame")),
                committed: plot(format!("{name}: committed")),
                pools: plot(format!("{name}: pools")),
                blocks: ["chunks", "slabs", "large blocks"].map(|kind| raw::Pool::new(&format!("{name}: {kind}"))),
                threads: raw::Pool::new(&format!("{name}: frame by thread")),
            }
        })
    }

    fn pool(&self, resource: Resource) -> raw::Pool {
        self.names().blocks[match resource {
            Resource::Chunk => 0,
            Resource::Slab => 1,
            _ => 2,
        }]
    }

    /// A block appears; the viewer would hang up if its address were there already.
    pub(crate) fn taken(&self, held: &Held, block: &HeldBlock) {
        if is_told(held) {
            self.pool(block.resource).allocated(block.address, block.bytes);
        }
    }

    pub(crate) fn giving_back(&self, held: &Held, block: &HeldBlock) {
        if is_told(held) {
            self.pool(block.resource).freed(block.address);
        }
    }

    /// The allocator is gone, and nothing is left of it.
    pub(crate) fn detach(&self, held: &mut Held) {
        if held.told.take().is_some() {
            let names = self.names();
            names.blocks.iter().chain([&names.threads]).for_each(|pool| pool.discard());
        }
    }

    pub(crate) fn enter(stage: Stage) {
        let (depth, mut zones) = STAGES.get();
        if let Some(zone) = zones.get_mut(depth) {
            *zone = Zone::begin(|| place(stage));
        }
        STAGES.set((depth + 1, zones));
    }

    pub(crate) fn leave() {
        let (depth, mut zones) = STAGES.get();
        let depth = depth.saturating_sub(1);
        let zone = zones.get_mut(depth).and_then(Option::take);
        STAGES.set((depth, zones));
        if let Some(zone) = zone {
            zone.end();
        }
    }

    /// The end of a frame, inside its stage.
    pub(crate) fn end_frame(&self, record: &FrameRecord, tree: &Tree, held: &Mutex<Held>) {
        // A stage that began before the viewer came has no zone: then the next frame's end has. Nor has one of a thread that has no
        // queue to the client any more, which plots are sent through as well.
        let (Some(client), Some(connection)) = (Client::running(), connection()) else { return };
        self.greet(connection, &mut held.lock());
        let names = self.names();
        client.secondary_frame_mark(names.frame);
        client.plot(names.bytes, record.bytes as f64);
        client.plot(names.committed, record.committed as f64);
        client.plot(names.pools, record.pools as f64);
        let mut plots = self.plots.lock();
        let new = tree.nodes_from(plots.len() + 1);
        plots.extend(new.iter().map(|node| plot(format!("{}: {}", self.name(), node.path))));
        for (&plot, tag) in plots.iter().zip(record.tags.iter().skip(1)) {
            client.plot(plot, tag.peak as f64);
        }
        drop(plots);
        // What the frame before used goes, as its memory did.
        names.threads.discard();
        for share in record.threads.iter().filter(|share| share.peak != 0) {
            // The arena's number stands for an address: to the viewer it is only a name.
            names.threads.allocated(share.arena + 1, share.peak);
        }
    }

    /// Tells a viewer that is new of all blocks that are held.
    fn greet(&self, connection: u64, held: &mut Held) {
        if held.told == Some(connection) {
            return;
        }
        self.names().blocks.iter().for_each(|pool| pool.discard());
        for block in held.blocks.values() {
            self.pool(block.resource).allocated(block.address, block.bytes);
        }
        held.told = Some(connection);
    }
}

impl Node {
    /// What Tracy knows its scopes by.
    pub(crate) fn place(self: &Arc<Self>) -> &'static Place {
        self.place.get_or_init(|| {
            let name = self.path.rsplit('/').next().unwrap_or_default();
            Place::leak(name, &self.path)
        })
    }
}

fn place(stage: Stage) -> &'static Place {
    macro_rules! places {
        ($($stage:pat => $name:literal),+ $(,)?) => {
            match stage {
                $($stage => {
                    static PLACE: Place = Place::new($name);
                    &PLACE
                })+
                _ => {
                    static OTHER: Place = Place::new(c"framealloc");
                    &OTHER
                }
            }
        };
    }
    places! {
        Stage::BeginFrame => c"begin frame",
        Stage::EndFrame => c"end frame",
        Stage::Take(Resource::Chunk) => c"take chunk",
        Stage::Take(Resource::Slab) => c"take slab",
        Stage::Take(_) => c"take large block",
        Stage::GiveBack(Resource::Chunk) => c"give back chunk",
        Stage::GiveBack(Resource::Slab) => c"give back slab",
        Stage::GiveBack(_) => c"give back large block",
    }
}
