//! Takes samples: draws intervals, and sums up what samples stand for.

use std::collections::HashMap;
use std::panic::Location;

use framealloc_core::Sample;

use super::{Estimate, Site, Sites, SizeEstimate};
use crate::limit::BudgetError;
use crate::tree::{NodeId, Tree};

/// Sites that are told apart: programs do not have as many, but stacks may.
const MOST_SITES: usize = 16 << 10;

/// The longest interval.
const MOST_BYTES: usize = 1 << 30;

/// Callers that a backtrace has at most.
#[cfg(feature = "backtrace")]
const MOST_CALLERS: usize = 48;

/// How samples of frame memory are taken.
///
/// ```
/// use framealloc_budget::{Sampling, bytes::kib};
/// let sampling = Sampling::every(kib(64));
/// assert_eq!(sampling.interval(), 65_536);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    interval: usize,
    seed: Option<u64>,
    #[cfg(feature = "backtrace")]
    backtraces: bool,
}

impl Sampling {
    /// A sample every so many bytes of frame memory on average, from 1 to 1 GiB.
    #[must_use]
    pub const fn every(interval: usize) -> Self {
        Self {
            interval,
            seed: None,
            #[cfg(feature = "backtrace")]
            backtraces: false,
        }
    }

    /// Bytes between two samples, on average.
    #[must_use]
    pub const fn interval(&self) -> usize {
        self.interval
    }

    /// Draws intervals from this seed, so that a program of one thread has the same samples each time.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Notes with each sample who called. That takes some microseconds each time, and names are looked up when somebody reads them.
    #[cfg(feature = "backtrace")]
    #[must_use]
    pub const fn with_backtraces(mut self) -> Self {
        self.backtraces = true;
        self
    }

    pub(crate) const fn check(&self) -> Result<(), BudgetError> {
        if self.interval == 0 || self.interval > MOST_BYTES {
            return Err(BudgetError::Sampling { interval: self.interval, most: MOST_BYTES });
        }
        Ok(())
    }
}

/// An amount, and the variance of its estimate.
#[derive(Clone, Copy, Default)]
struct Sum {
    value: f64,
    variance: f64,
}

impl Sum {
    /// Adds what a sample has of it, which was taken with this probability, independently of all others.
    fn add(&mut self, amount: f64, probability: f64) {
        self.value += amount / probability;
        self.variance += (amount / probability).powi(2) * (1.0 - probability);
    }

    fn estimate(&self) -> Estimate {
        Estimate { value: self.value, error: self.variance.sqrt() }
    }
}

/// Samples that have something in common.
#[derive(Clone, Copy, Default)]
struct Tally {
    samples: u64,
    bytes: Sum,
    lost: Sum,
    blocks: Sum,
    largest: usize,
}

impl Tally {
    fn add(&mut self, sample: &Sample, probability: f64) {
        let size = sample.layout.size();
        self.samples += 1;
        self.bytes.add(sample.bytes as f64, probability);
        // Less than nothing where a block grows into what it had lost before.
        self.lost.add(sample.bytes as f64 - (size - sample.grown_from) as f64, probability);
        if sample.grown_from == 0 {
            self.blocks.add(1.0, probability);
        }
        self.largest = self.largest.max(size);
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// `None` for what came after all others that there is room for.
    site: Option<&'static Location<'static>>,
    tag: NodeId,
    /// Return addresses, the innermost first.
    stack: Box<[usize]>,
}

/// What has been sampled.
pub(crate) struct Sampler {
    sampling: Option<Sampling>,
    random: fastrand::Rng,
    /// Frames that began and ended since.
    frames: u64,
    /// Whether a frame was under way when sampling began, of which the threads that had their chunks are not sampled.
    in_part: bool,
    all: Tally,
    /// By the number of bits that a size less one has.
    sizes: [Tally; usize::BITS as usize + 1],
    sites: HashMap<Key, Tally>,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            sampling: None,
            random: fastrand::Rng::with_seed(0),
            frames: 0,
            in_part: false,
            all: Tally::default(),
            sizes: [Tally::default(); usize::BITS as usize + 1],
            sites: HashMap::new(),
        }
    }
}

impl Sampler {
    /// Begins anew.
    pub(crate) fn start(sampling: Option<Sampling>, under_way: bool) -> Self {
        let random = match sampling.and_then(|sampling| sampling.seed) {
            Some(seed) => fastrand::Rng::with_seed(seed),
            None => fastrand::Rng::new(),
        };
        Self { sampling, random, in_part: under_way, ..Self::default() }
    }

    /// Whether samples want the stack, if any are taken.
    pub(crate) fn wants_stack(&self) -> Option<bool> {
        #[cfg(feature = "backtrace")]
        return self.sampling.map(|sampling| sampling.backtraces);
        #[cfg(not(feature = "backtrace"))]
        self.sampling.map(|_| false)
    }

    /// Bytes to the next sample: from an exponential distribution, so that what comes does not depend on what came.
    pub(crate) fn interval(&mut self) -> Option<usize> {
        let mean = self.sampling?.interval as f64;
        // Never 0, whose logarithm has no end.
        let even = 1.0 - self.random.f64();
        // The nearest that there is for what is larger than all: once in e to the 2^34.
        Some((-mean * even.ln()) as usize)
    }

    pub(crate) fn add(&mut self, sample: &Sample, tag: NodeId, stack: Box<[usize]>) {
        let Some(sampling) = self.sampling else { return };
        let probability = -(-(sample.bytes as f64) / sampling.interval as f64).exp_m1();
        self.all.add(sample, probability);
        let bits = usize::BITS - sample.layout.size().saturating_sub(1).leading_zeros();
        self.sizes[bits as usize].add(sample, probability);
        let key = Key { site: Some(sample.site), tag, stack };
        let key = if self.sites.len() < MOST_SITES || self.sites.contains_key(&key) {
            key
        } else {
            Key { site: None, tag, stack: Box::default() }
        };
        self.sites.entry(key).or_default().add(sample, probability);
    }

    pub(crate) fn end_frame(&mut self) {
        self.frames += u64::from(!std::mem::take(&mut self.in_part));
    }

    /// What there is to be summed up, without the lock.
    pub(crate) fn copy(&self) -> Option<Copied> {
        let sampling = self.sampling?;
        let sites = self.sites.iter().map(|(key, tally)| (key.clone(), *tally)).collect();
        Some(Copied { sampling, frames: self.frames, all: self.all, sizes: self.sizes, sites })
    }
}

/// A copy of what has been sampled.
pub(crate) struct Copied {
    sampling: Sampling,
    frames: u64,
    all: Tally,
    sizes: [Tally; usize::BITS as usize + 1],
    sites: Vec<(Key, Tally)>,
}

impl Copied {
    pub(crate) fn sum_up(self, tree: &Tree) -> Sites {
        let nodes = tree.nodes_from(0);
        let path = |id: NodeId| nodes.get(id as usize).map_or_else(String::new, |node| node.path.to_string());
        let sizes = self.sizes.iter().enumerate().filter(|(_, of)| of.samples != 0).map(|(bits, of)| SizeEstimate {
            up_to: 1_usize.checked_shl(bits as u32).unwrap_or(usize::MAX),
            samples: of.samples,
            bytes: of.bytes.estimate(),
            blocks: of.blocks.estimate(),
        });
        let sizes = sizes.collect();
        let sites = self.sites.into_iter().map(|(key, of)| Site {
            file: key.site.map_or_else(String::new, |site| site.file().to_owned()),
            line: key.site.map_or(0, Location::line),
            column: key.site.map_or(0, Location::column),
            tag: path(key.tag),
            stack: names(&key.stack),
            samples: of.samples,
            bytes: of.bytes.estimate(),
            lost: of.lost.estimate(),
            blocks: of.blocks.estimate(),
            largest: of.largest,
        });
        let mut sites: Vec<_> = sites.collect();
        sites.sort_by(|a, b| {
            let place = |site: &Site| (site.file.clone(), site.line, site.column, site.tag.clone(), site.stack.clone());
            b.bytes.value.total_cmp(&a.bytes.value).then_with(|| place(a).cmp(&place(b)))
        });
        Sites {
            interval: self.sampling.interval,
            frames: self.frames,
            samples: self.all.samples,
            bytes: self.all.bytes.estimate(),
            lost: self.all.lost.estimate(),
            blocks: self.all.blocks.estimate(),
            sizes,
            sites,
        }
    }
}

/// The return addresses of this thread's stack.
#[cfg(feature = "backtrace")]
pub(crate) fn stack() -> Box<[usize]> {
    // Above the program's callers lie this crate, the core, and the tracer itself.
    const OURS: usize = 24;
    let mut stack = Vec::with_capacity(MOST_CALLERS + OURS);
    backtrace::trace(|frame| {
        stack.push(frame.ip().addr());
        stack.len() < MOST_CALLERS + OURS
    });
    stack.into()
}

/// The functions of a stack, as far as they have names, without those of the allocator at its end.
#[cfg(feature = "backtrace")]
fn names(stack: &[usize]) -> Vec<String> {
    let mut names = Vec::new();
    for &address in stack {
        backtrace::resolve(std::ptr::without_provenance_mut(address), |symbol| {
            names.extend(symbol.name().map(|name| format!("{name:#}")));
        });
    }
    let ours = |name: &str| {
        ["framealloc_core::", "framealloc_budget::", "backtrace::", "core::", "alloc::"].iter().any(|krate| {
            // `<krate::..` and `<.. as krate::..` as well.
            let implements = |of: &str| name.starts_with('<') && name.contains(of);
            name.trim_start_matches('<').starts_with(krate) || implements(&format!(" as {krate}"))
        })
    };
    let first = names.iter().position(|name| !ours(name)).unwrap_or(0);
    names.drain(..first);
    names.truncate(MOST_CALLERS);
    names
}

#[cfg(not(feature = "backtrace"))]
fn names(_: &[usize]) -> Vec<String> {
    Vec::new()
}
