//! The figures a frame leaves behind.

/// What one frame used, as returned when it ended. Bytes unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameStats {
    /// Number of the frame that ended, from 1.
    pub frame: u64,
    /// The most bytes handed out at a time, padding to the alignment included, by each thread, summed. What was freed and
    /// used again within the frame counts once. Of a block that has a chunk of its own its size counts.
    pub bytes_allocated: usize,
    /// Allocations made, by all threads: each bump of a cursor counts one. 0 unless the feature `count` is on, since
    /// counting costs what little an allocation costs.
    pub allocation_count: usize,
    /// The most that `bytes_allocated` has been in any frame so far.
    pub peak: usize,
    /// Bytes lost at the ends of chunks that were left for the next one.
    pub waste: usize,
    /// Chunks that were used.
    pub chunks: usize,
    /// Threads that allocated.
    pub threads: usize,
    /// Bytes of frame and scratch chunks held from the backend after the frame ended.
    pub committed: usize,
    /// Bytes scratch arenas handed out at most at one time, summed over the threads.
    pub scratch_peak: usize,
    /// Published values whose destructors ran.
    pub destructors: usize,
    /// Requests that were refused.
    pub refused: usize,
}

#[cfg(feature = "std")]
impl FrameStats {
    /// Adds one thread's share.
    #[inline(always)]
    pub(crate) fn add(&mut self, share: &ThreadStats, refused: usize) {
        self.bytes_allocated += share.peak;
        self.allocation_count += share.allocation_count;
        self.waste += share.waste;
        self.chunks += share.chunks;
        self.refused += refused;
        self.threads += 1;
    }
}

/// One thread's share of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadStats {
    /// Number of the thread's arena in its allocator, from 0. An arena serves one thread at a time, and another one when that is gone.
    pub arena: usize,
    /// Bytes handed out to this thread and not given back.
    pub bytes_allocated: usize,
    /// The most that `bytes_allocated` has been.
    pub peak: usize,
    /// Allocations made; 0 unless the feature `count` is on.
    pub allocation_count: usize,
    /// Bytes lost at the ends of chunks.
    pub waste: usize,
    /// Chunks that were used.
    pub chunks: usize,
    /// Bytes of these chunks.
    pub chunk_bytes: usize,
    /// Requests that were refused.
    pub refused: usize,
}

/// The state of an allocator, readable at any time: figures of the last frame's end, and counters kept on cold paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllocStats {
    /// Number of the frame that is open, from 1.
    pub frame: u64,
    /// The last frame that ended.
    pub last_frame: FrameStats,
    /// Bytes held from the backends now, for every purpose.
    pub committed: usize,
    /// Bytes of chunks that lie unused in the shared store.
    pub stored: usize,
    /// Memory taken from a backend, number of times since the start.
    pub backend_allocations: u64,
    /// Memory given back to a backend, number of times since the start.
    pub backend_releases: u64,
    /// Arenas of threads: as many as threads have allocated between two boundaries, at most. Those of dead threads serve new ones
    /// from the next boundary on; where there never is one, each thread that allocates leaves its arena behind.
    pub threads: usize,
    /// Leases that are out.
    pub leases: usize,
    /// Sealed frames kept in flight by `end_frame`.
    pub frames_in_flight: usize,
    /// The pools.
    pub pools: PoolStats,
}

/// What a frame's end tells a governor.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FrameEnd<'a> {
    /// The frame's figures.
    pub stats: &'a FrameStats,
    /// Each thread's share.
    pub threads: &'a [ThreadStats],
    /// The allocator's pools, whose figures may be asked for.
    pub pool: &'a crate::Pool,
}

/// Bytes of a slab of pooled objects.
pub(crate) const SLAB_BYTES: usize = 64 << 10;

/// How many sizes pooled objects have.
pub const POOL_SIZES: usize = 18;

/// Pooled objects of one size. Numbers of objects unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Bytes of an object.
    pub size: usize,
    /// What there is room for in the slabs.
    pub slots: usize,
    /// Live, or in a thread's cache.
    pub outstanding: usize,
    /// Free in the shared depot, for any thread.
    pub free: usize,
}

/// The slabs that hold pooled objects of one size. Slabs unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlabStats {
    /// Bytes of an object.
    pub size: usize,
    /// Objects that are handed out.
    pub outstanding: usize,
    /// Slabs of which no object is handed out: [`trim`](crate::Pool::trim) gives them back.
    pub free: usize,
    /// The others, by the share of their objects that is handed out: up to a quarter, a half, three quarters, and more.
    pub quarters: [usize; 4],
}

impl SlabStats {
    /// Counts a slab with room for so many objects.
    #[cfg(feature = "std")]
    pub(crate) fn add(&mut self, outstanding: usize, slots: usize) {
        self.outstanding += outstanding;
        match outstanding {
            0 => self.free += 1,
            _ => self.quarters[(outstanding * 4).div_ceil(slots) - 1] += 1,
        }
    }

    /// Slabs that an object keeps.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.quarters.iter().sum()
    }
}

/// How pooled objects are spread over their slabs: see [`Pool::survey`](crate::Pool::survey).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolSurvey {
    /// Each size of objects, the smallest first.
    pub sizes: [SlabStats; POOL_SIZES],
}

impl PoolSurvey {
    /// Bytes of slabs of which no object is handed out, which a [`trim`](crate::Pool::trim) gives back.
    #[must_use]
    pub fn trimmable_bytes(&self) -> usize {
        self.sizes.iter().map(|of| of.free).sum::<usize>() * SLAB_BYTES
    }

    /// The part of the other slabs, from 0 to 1, in which there is no object that is handed out: memory that neither serves another
    /// size nor goes back.
    #[must_use]
    pub fn fragmentation(&self) -> f64 {
        let kept = self.sizes.iter().map(SlabStats::kept).sum::<usize>() * SLAB_BYTES;
        let used: usize = self.sizes.iter().map(|of| of.outstanding * of.size).sum();
        if kept == 0 { 0.0 } else { 1.0 - used as f64 / kept as f64 }
    }
}

impl core::fmt::Display for PoolSurvey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        writeln!(f, "   object  outstanding  slabs free  to 1/4  to 1/2  to 3/4    more")?;
        for of in self.sizes.iter().filter(|of| of.free + of.kept() != 0) {
            let [first, second, third, last] = of.quarters;
            let SlabStats { size, outstanding, free, .. } = of;
            writeln!(f, "{size:>9} {outstanding:>12} {free:>11} {first:>7} {second:>7} {third:>7} {last:>7}")?;
        }
        let (part, bytes) = (100.0 * self.fragmentation(), self.trimmable_bytes());
        write!(f, "fragmentation {part:.1} %, a trim would give back {bytes} bytes")
    }
}

/// The state of the pools. Objects in threads' caches count as handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Bytes of slabs held from the backends.
    pub slab_bytes: usize,
    /// Number of slabs.
    pub slabs: usize,
    /// Bytes of objects that are live or in a thread's cache.
    pub outstanding_bytes: usize,
    /// Bytes of free objects in the shared depot.
    pub depot_bytes: usize,
    /// Bytes of blocks above the largest size class.
    pub large_bytes: usize,
    /// Number of those blocks.
    pub large_blocks: usize,
}
