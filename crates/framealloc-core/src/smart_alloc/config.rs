//! The settings of a `SmartAlloc`, and their bounds.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use std::vec::Vec;

use crate::backend::AllocatorBackend;
use crate::chunk::{Growth, TrimPolicy};
use crate::error::{AllocError, AllocErrorKind};
use crate::governor::{Governor, Ungoverned};

/// The most frames that may be in flight.
const MAX_IN_FLIGHT: usize = 64;

/// Settings of a [`SmartAlloc`](crate::SmartAlloc). What they may be is checked by `SmartAlloc::try_new`.
///
/// ```
/// use framealloc_core::{AllocConfig, SmartAlloc, TrimPolicy};
/// let alloc = SmartAlloc::new(
///     AllocConfig::default()
///         .with_frame_chunk(256 << 10, 4 << 20)
///         .with_frames_in_flight(2)
///         .with_trim(TrimPolicy::AfterFrames(120))
///         .with_prefault(8 << 20),
/// );
/// assert!(alloc.stats().stored >= 8 << 20);
/// ```
pub struct AllocConfig {
    pub(super) backends: Vec<Box<dyn AllocatorBackend>>,
    pub(super) governor: Option<Arc<dyn Governor>>,
    pub(super) growth: Growth,
    chunk: (usize, usize),
    numa_node: Option<u32>,
    pub(super) frames_in_flight: usize,
    pub(super) trim: TrimPolicy,
    pub(super) prefault: usize,
    /// Whether blocks are traced, and their stacks.
    #[cfg(feature = "trace")]
    pub(super) traced: Option<bool>,
}

impl Default for AllocConfig {
    /// Chunks of 64 KiB to 1 MiB from the program's allocator, one frame in flight, surplus given back after 30 frames.
    fn default() -> Self {
        Self {
            backends: Vec::new(),
            governor: None,
            growth: Growth::DEFAULT,
            chunk: (Growth::DEFAULT.min, Growth::DEFAULT.max),
            numa_node: None,
            frames_in_flight: 1,
            trim: TrimPolicy::default(),
            prefault: 0,
            #[cfg(feature = "trace")]
            traced: None,
        }
    }
}

impl AllocConfig {
    /// Takes memory from `backend`. Called again, adds one that is asked when those before answer
    /// [`Fallback`](crate::AllocationResult::Fallback); the program's allocator is always the last.
    #[must_use]
    pub fn with_backend(mut self, backend: Box<dyn AllocatorBackend>) -> Self {
        self.backends.push(backend);
        self
    }

    /// Takes memory on this NUMA node; what cannot be mapped is asked of the backends that were set. Linux only; elsewhere every
    /// node is an error.
    #[must_use]
    pub const fn with_numa_node(mut self, node: u32) -> Self {
        self.numa_node = Some(node);
        self
    }

    /// Sizes of the chunks that arenas bump through, in bytes: the first of `min`, each next one twice as large, up to `max`.
    /// Powers of two from 1 KiB.
    #[must_use]
    pub const fn with_frame_chunk(mut self, min: usize, max: usize) -> Self {
        self.chunk = (min, max);
        self
    }

    /// How many frames are alive at a time, from 1 to 64: with 2, what was published in a frame is readable until the next
    /// one ends.
    #[must_use]
    pub const fn with_frames_in_flight(mut self, frames: usize) -> Self {
        self.frames_in_flight = frames;
        self
    }

    /// When surplus memory goes back.
    #[must_use]
    pub const fn with_trim(mut self, policy: TrimPolicy) -> Self {
        self.trim = policy;
        self
    }

    /// Takes this many bytes of chunks at once and touches every page, so that no frame has to. Surplus is not given back
    /// below this many, unless `trim` is called.
    #[must_use]
    pub const fn with_prefault(mut self, bytes: usize) -> Self {
        self.prefault = bytes;
        self
    }

    /// Asks `governor` before memory is taken, and tells it afterwards.
    #[must_use]
    pub fn with_governor(mut self, governor: impl Governor + 'static) -> Self {
        self.governor = Some(Arc::new(governor));
        self
    }

    /// Whether a governor was set.
    #[must_use]
    pub const fn is_governed(&self) -> bool {
        self.governor.is_some()
    }

    /// Traces where blocks come from, to find leaks and overruns.
    ///
    /// What is live in pools is listed by [`Pool::census`](crate::Pool::census). A byte that is written right behind or before a block of a frame, or
    /// behind one of a pool, ends the program when the block is freed, or the frame ends or is sealed, with a line that names the block and the line that asked
    /// for it; scratch arenas are not watched.
    ///
    /// It takes hundreds of instructions for each block, and memory: in frames each block has 32 bytes more (or 16 and its alignment), which count in
    /// all figures and limits, and none is used again, or grows where it is, before the frame ends.
    #[cfg(feature = "trace")]
    #[must_use]
    pub const fn with_tracing(mut self) -> Self {
        self.traced = Some(matches!(self.traced, Some(true)));
        self
    }

    /// Traces, and notes for each object of a pool who called: tens of thousands of instructions more.
    ///
    /// Not for an allocator on which the program's own stands: the standard library's backtraces are made under a lock of its own, under
    /// which it allocates, so that such a program may come to a stop.
    #[cfg(feature = "trace")]
    #[must_use]
    pub const fn with_traced_stacks(mut self) -> Self {
        self.traced = Some(true);
        self
    }

    pub(super) fn governor(&self) -> Arc<dyn Governor> {
        self.governor.clone().unwrap_or_else(|| Arc::new(Ungoverned))
    }

    /// The configuration with its bounds checked, and the NUMA node's backend in front.
    pub(super) fn check(mut self) -> Result<Self, AllocError> {
        let refuse = |setting, value, bound| Err(AllocError::new(AllocErrorKind::Config { setting, value, bound }));
        self.growth = Growth::new(self.chunk.0, self.chunk.1)?;
        if self.frames_in_flight == 0 || self.frames_in_flight > MAX_IN_FLIGHT {
            return refuse("the number of frames in flight", self.frames_in_flight, "from 1 to 64");
        }
        if self.prefault > isize::MAX as usize {
            return refuse("the number of bytes to prefault", self.prefault, "at most isize::MAX");
        }
        if let Some(node) = self.numa_node {
            #[cfg(target_os = "linux")]
            {
                // What the node has no memory for is asked of the other backends.
                let mappings = crate::backend::MmapBackend::new().with_fallback();
                self.backends.insert(0, Box::new(crate::backend::NumaBackend::new(node)?.with_mappings(mappings)));
            }
            #[cfg(not(target_os = "linux"))]
            return refuse("the NUMA node", node as usize, "unset on this operating system");
        }
        Ok(self)
    }
}

impl fmt::Debug for AllocConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backends: Vec<_> = self.backends.iter().map(AllocatorBackend::name).collect();
        f.debug_struct("AllocConfig")
            .field("backends", &backends)
            .field("governed", &self.governor.is_some())
            .field("chunk", &self.chunk)
            .field("numa_node", &self.numa_node)
            .field("frames_in_flight", &self.frames_in_flight)
            .field("trim", &self.trim)
            .field("prefault", &self.prefault)
            .finish()
    }
}
