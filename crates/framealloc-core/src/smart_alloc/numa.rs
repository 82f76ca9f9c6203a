//! One allocator a NUMA node, and the way to the nearest.
#![cfg(target_os = "linux")]

use std::vec::Vec;

use super::{AllocConfig, SmartAlloc};
use crate::backend::{current_node, online_nodes};
use crate::error::AllocError;
use crate::stats::FrameStats;

/// One [`SmartAlloc`] for each NUMA node that is online. Linux only.
///
/// ```
/// use framealloc_core::{AllocConfig, NumaRouter};
/// let mut router = NumaRouter::try_new(|_node| AllocConfig::default())?;
/// router.begin_frame();
/// assert_eq!(*router.local().frame().alloc(7), 7);
/// assert_eq!(router.end_frame().len(), router.nodes().count());
/// # Ok::<(), framealloc_core::AllocError>(())
/// ```
#[derive(Debug)]
pub struct NumaRouter {
    /// By ascending node; never empty.
    allocators: Vec<(u32, SmartAlloc)>,
}

impl NumaRouter {
    /// One allocator for each node, of the configuration that `config` gives for it; its NUMA node is set here.
    ///
    /// # Errors
    ///
    /// If a configuration is refused.
    pub fn try_new(mut config: impl FnMut(u32) -> AllocConfig) -> Result<Self, AllocError> {
        let build = |node| Ok((node, SmartAlloc::try_new(config(node).with_numa_node(node))?));
        Ok(Self { allocators: online_nodes().into_iter().map(build).collect::<Result<_, AllocError>>()? })
    }

    /// The nodes, ascending.
    pub fn nodes(&self) -> impl Iterator<Item = u32> + '_ {
        self.allocators.iter().map(|(node, _)| *node)
    }

    /// The allocator of a node.
    #[must_use]
    pub fn node(&self, node: u32) -> Option<&SmartAlloc> {
        self.allocators.iter().find(|(of, _)| *of == node).map(|(_, alloc)| alloc)
    }

    /// The allocator of the node that this thread runs on at the moment; the first one where that cannot be known.
    #[must_use]
    pub fn local(&self) -> &SmartAlloc {
        current_node().and_then(|node| self.node(node)).unwrap_or(&self.allocators[0].1)
    }

    /// Begins a frame on every node.
    pub fn begin_frame(&mut self) {
        for (_, alloc) in &mut self.allocators {
            alloc.begin_frame();
        }
    }

    /// Ends the frame on every node; what each used, in the order of [`nodes`](Self::nodes).
    ///
    /// # Panics
    ///
    /// If a lease is out on any node: then no node's frame has ended.
    pub fn end_frame(&mut self) -> Vec<FrameStats> {
        self.try_end_frame().unwrap_or_else(|error| error.raise())
    }

    /// Ends the frame on every node; what each used, in the order of [`nodes`](Self::nodes).
    ///
    /// # Errors
    ///
    /// If a lease is out on any node: then no node's frame has ended.
    pub fn try_end_frame(&mut self) -> Result<Vec<FrameStats>, AllocError> {
        if let Some(leases) = self.allocators.iter().map(|(_, alloc)| alloc.stats().leases).find(|&leases| leases > 0) {
            return Err(AllocError::new(crate::error::AllocErrorKind::Leased { leases }));
        }
        self.allocators.iter_mut().map(|(_, alloc)| alloc.try_end_frame()).collect()
    }
}
