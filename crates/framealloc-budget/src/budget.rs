//! The budget: what is built, given to an allocator, and asked afterwards.

use std::sync::Arc;

use framealloc_core::{FrameEnd, Governor, Outcome, Release, Request, Shortage, TagScope, TagUse, Verdict};

use crate::figures::Metrics;
use crate::inner::{Inner, OnPressure};
use crate::limit::{Account, BudgetError, Limit, OverLimit};
use crate::pressure::{Level, Pressure, PressurePolicy};

/// Frames that a history has at most.
const MOST_FRAMES: usize = 1_000_000;

pub(crate) fn check_history(frames: usize) -> Result<(), BudgetError> {
    if (1..=MOST_FRAMES).contains(&frames) { Ok(()) } else { Err(BudgetError::History { frames, most: MOST_FRAMES }) }
}

/// Limits and figures of one allocator: the governor that holds the ones and keeps the others.
///
/// A handle: clones are the same budget. One is given to [`AllocConfig::with_governor`](framealloc_core::AllocConfig::with_governor),
/// others set limits, read [metrics](Self::metrics), and may be sent to other threads.
///
/// ```
/// use framealloc_budget::{Budget, Limit, bytes::kib};
/// use framealloc_core::{AllocConfig, SmartAlloc};
///
/// let budget = Budget::new()
///     .with_committed(Limit::hard(kib(1024)))
///     .with_tag("particles", Limit::soft(kib(48)).with_hard(kib(64)));
/// let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
///
/// alloc.begin_frame();
/// let placed = alloc.with_tag("particles", |a| {
///     let frame = a.frame();
///     (0..100_000u64).take_while(|&id| frame.try_alloc(id).is_ok()).count()
/// });
/// assert_eq!(placed, kib(64) / 8); // to the byte, on one thread
/// alloc.end_frame();
/// println!("{}", budget.metrics().report());
/// ```
///
/// # How exactly limits hold
///
/// No account is above its hard limit, not for a moment, but by [`OverLimit::Heap`]. What is below it and refused all the same:
/// - Chunks, slabs and large blocks are charged when they are taken from a backend, whole; near the limit chunks are made smaller.
/// - Frame memory of tags, threads and frames is granted to threads ahead of need, by 64 KiB or, near the limit, an eighth of what is
///   left; what a thread does not use of that is refused to others until the scope closes, or the frame ends. For one thread a
///   tag's limit is exact, to the 8 bytes that frame memory is rounded to.
/// - Tags count the most that was handed out at a time in each scope. Memory that one scope frees and the next one uses counts twice.
///
/// What a callback, or a destructor inside it, allocates is charged and counted like any other memory. A refusal in there is final.
#[derive(Clone, Debug)]
pub struct Budget {
    pub(crate) inner: Arc<Inner>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

/// Setting a limit, where a bad one is a mistake in the program.
macro_rules! with_limit {
    ($(#[$doc:meta])* $name:ident, $account:expr) => {
        $(#[$doc])*
        ///
        /// # Panics
        ///
        /// If the soft limit is above the hard one; [`set_limit`](Self::set_limit) returns the error.
        #[must_use]
        #[track_caller]
        pub fn $name(self, limit: Limit) -> Self {
            self.with_limit($account, limit)
        }
    };
}

impl Budget {
    /// A budget without limits, which counts.
    #[must_use]
    pub fn new() -> Self {
        Self { inner: Arc::new(Inner::new()) }
    }

    #[track_caller]
    fn with_limit(self, account: Account, limit: Limit) -> Self {
        match self.set_limit(account, limit) {
            Ok(()) => self,
            Err(error) => panic!("{error}"),
        }
    }

    with_limit! {
        /// Limits all memory held from the backends.
        with_committed, Account::Committed
    }
    with_limit! {
        /// Limits what pools hold: slabs and large blocks.
        with_pools, Account::Pools
    }
    with_limit! {
        /// Limits frames that are sealed by hand: beyond it, sealing is refused and the frame stays open.
        with_sealed, Account::Sealed
    }
    with_limit! {
        /// Limits the frame memory that one frame may use, on all threads.
        with_frame, Account::Frame
    }
    with_limit! {
        /// Limits the frame memory that each thread may use in one frame.
        with_thread, Account::Thread
    }

    /// Limits the frame memory that scopes of a tag may use in one frame, those inside included. `path` names it from the outermost
    /// tag on: `parent/child` for [`with_tag`](framealloc_core::SmartAlloc::with_tag) of `child` inside one of `parent`.
    ///
    /// # Panics
    ///
    /// If the soft limit is above the hard one, or `path` is none; [`set_limit`](Self::set_limit) returns the error.
    #[must_use]
    #[track_caller]
    pub fn with_tag(self, path: &str, limit: Limit) -> Self {
        self.with_limit(Account::tag(path), limit)
    }

    /// What happens beyond hard limits that do not say it themselves: an error, unless set.
    #[must_use]
    pub fn with_over(self, over: OverLimit) -> Self {
        self.set_over(over);
        self
    }

    /// When pressure is over, and when it is told again.
    ///
    /// # Panics
    ///
    /// If a setting is out of its bounds; [`set_pressure`](Self::set_pressure) returns the error.
    #[must_use]
    #[track_caller]
    pub fn with_pressure(self, policy: PressurePolicy) -> Self {
        match self.set_pressure(policy) {
            Ok(()) => self,
            Err(error) => panic!("{error}"),
        }
    }

    /// Keeps the figures of so many frames, from 1 to 1,000,000; 3600 unless set. A frame takes some 250 bytes, 48 for each tag, 24 for
    /// each thread and 32 for each size of pooled objects that there are slabs of; memory for them is taken frame by frame until there are as
    /// many, four times each, and used again from then on.
    ///
    /// # Panics
    ///
    /// If it is out of its bounds; [`set_history`](Self::set_history) returns the error.
    #[must_use]
    #[track_caller]
    pub fn with_history(self, frames: usize) -> Self {
        match self.set_history(frames) {
            Ok(()) => self,
            Err(error) => panic!("{error}"),
        }
    }

    /// Takes samples of frame memory; none are taken unless set.
    ///
    /// ```
    /// use framealloc_budget::{Budget, Sampling, bytes::kib};
    /// use framealloc_core::{AllocConfig, SmartAlloc};
    ///
    /// let budget = Budget::new().with_sampling(Sampling::every(kib(4)));
    /// let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
    /// for _ in 0..100 {
    ///     alloc.begin_frame();
    ///     alloc.frame().alloc_slice_fill(900, 0u64); // most of it is asked for here
    ///     for id in 0..100u32 {
    ///         alloc.frame().alloc(id);
    ///     }
    ///     alloc.end_frame();
    /// }
    /// let sites = budget.metrics().sites().unwrap();
    /// println!("{sites}");
    /// assert!(sites.bytes.relative() < 0.1);
    /// assert!((sites.bytes.value - 800_000.0).abs() < 5.0 * sites.bytes.error);
    /// assert_eq!(sites.sites[0].largest, 7200);
    /// ```
    ///
    /// # Panics
    ///
    /// If the interval is out of its bounds; [`set_sampling`](Self::set_sampling) returns the error.
    #[cfg(feature = "sample")]
    #[must_use]
    #[track_caller]
    pub fn with_sampling(self, sampling: crate::Sampling) -> Self {
        match self.set_sampling(Some(sampling)) {
            Ok(()) => self,
            Err(error) => panic!("{error}"),
        }
    }

    /// Calls `callback` when a hard limit refuses memory, before that becomes an error: it may free some (drop what a cache keeps,
    /// [trim](framealloc_core::Pool::trim) a pool) and says whether it did. Then the request is tried once more.
    ///
    /// What it captures must not own boxes, a pool or sealed frames of the allocator, which keep the budget, and so the callback, and
    /// themselves: a `Weak` to them does.
    ///
    /// It runs on the thread that needs the memory, inside its allocation, without a lock, and may allocate: a refusal in there is
    /// final. Several threads may run it at once.
    ///
    /// ```
    /// use framealloc_budget::{Budget, Limit, bytes::kib};
    /// use framealloc_core::{AllocConfig, HeapBox, SmartAlloc};
    /// use std::sync::{Arc, Mutex};
    ///
    /// let cache: Arc<Mutex<Vec<HeapBox<[u8; 100_000]>>>> = Arc::default();
    /// let evicted = Arc::downgrade(&cache); // boxes keep their allocator, and that its budget: no circle
    /// let budget = Budget::new()
    ///     .with_pools(Limit::hard(kib(512)))
    ///     .on_evict(move |_shortage| evicted.upgrade().is_some_and(|cache| cache.lock().unwrap().pop().is_some()));
    /// let alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget));
    /// for _ in 0..20 {
    ///     let texture = alloc.heap_box([0; 100_000]); // the fifth would be the last without the callback
    ///     cache.lock().unwrap().push(texture);
    /// }
    /// ```
    #[must_use]
    pub fn on_evict(self, callback: impl Fn(&Shortage) -> bool + Send + Sync + 'static) -> Self {
        self.inner.set_on_evict(Arc::new(callback));
        self
    }

    /// Calls `callback` at the end of a frame when an account's [level](crate::Level) has changed, or lasts: see
    /// [`PressurePolicy`]. It runs on the thread that ends the frame, without a lock. Called again, adds one that is called after those before.
    ///
    /// ```
    /// use framealloc_budget::{Budget, Level, Limit, bytes::kib};
    /// use framealloc_core::{AllocConfig, SmartAlloc};
    /// use std::sync::mpsc;
    ///
    /// let (tell, told) = mpsc::channel();
    /// let budget = Budget::new()
    ///     .with_tag("ui", Limit::soft(kib(4)))
    ///     .on_pressure(move |pressure| tell.send(pressure.clone()).unwrap());
    /// let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget));
    /// alloc.with_tag("ui", |a| a.frame().alloc_slice_fill(5000, 0u8).len());
    /// alloc.end_frame();
    /// let pressure = told.try_recv().unwrap();
    /// assert_eq!((pressure.level, pressure.tag(), pressure.used), (Level::Soft, Some("ui"), 5000));
    /// ```
    #[must_use]
    pub fn on_pressure(self, callback: impl Fn(&Pressure) + Send + Sync + 'static) -> Self {
        let callback: Arc<OnPressure> = Arc::new(callback);
        self.inner.add_on_pressure(&callback);
        self
    }

    /// Calls it so in Tracy, where marks, plots and memory of several allocators are to be told apart: `framealloc` unless set. The
    /// first name stays, and what was sent to a viewer under another one.
    #[cfg(feature = "tracy")]
    #[must_use]
    pub fn with_tracy_name(self, name: &str) -> Self {
        self.inner.tracy.set_name(name);
        self
    }

    /// Sets a limit at any time, as one that a console or a driver moves. Once there is an allocator it holds from its next frame
    /// on; before, at once. A hard limit below what is used takes nothing back: it refuses until use has fallen.
    ///
    /// # Errors
    ///
    /// If the soft limit is above the hard one; a tag's path is none, or one tag more than are told apart; or frames or threads get a hard
    /// limit and had none when the allocator was made. The text names the values.
    pub fn set_limit(&self, account: Account, limit: Limit) -> Result<(), BudgetError> {
        self.inner.set_limit(account, limit)
    }

    /// Sets what happens beyond hard limits that do not say it themselves.
    pub fn set_over(&self, over: OverLimit) {
        self.inner.set_over(over);
    }

    /// Keeps the figures of so many frames; the oldest go first.
    ///
    /// # Errors
    ///
    /// If it is out of its bounds; the text names it.
    pub fn set_history(&self, frames: usize) -> Result<(), BudgetError> {
        check_history(frames)?;
        self.inner.history.lock().set_capacity(frames);
        Ok(())
    }

    /// Takes samples of frame memory from now on, or no more; what was sampled before is forgotten. Threads
    /// begin with their next frame; where samples were taken before, the one that is due counts as one of the new interval.
    ///
    /// # Errors
    ///
    /// If the interval is out of its bounds; the text names it.
    #[cfg(feature = "sample")]
    pub fn set_sampling(&self, sampling: Option<crate::Sampling>) -> Result<(), BudgetError> {
        sampling.as_ref().map_or(Ok(()), crate::Sampling::check)?;
        self.inner.set_sampling(sampling);
        Ok(())
    }

    /// When pressure is over, and when it is told again.
    #[must_use]
    pub fn pressure_policy(&self) -> PressurePolicy {
        self.inner.pressure()
    }

    /// Sets when pressure is over, and when it is told again.
    ///
    /// # Errors
    ///
    /// If a setting is out of its bounds; the text names it.
    pub fn set_pressure(&self, policy: PressurePolicy) -> Result<(), BudgetError> {
        self.inner.set_pressure(policy)
    }

    /// The figures of the allocator.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::new(self.inner.clone())
    }

    /// The level of an account at the end of the last frame.
    #[must_use]
    pub fn level(&self, account: &Account) -> Level {
        self.inner.level(account)
    }

    /// Calls `f` with each account that has a limit: what it used in the last frame that ended. Asks for no memory itself.
    ///
    /// ```
    /// use framealloc_budget::{Account, Budget, Limit, bytes::kib};
    /// use framealloc_core::{AllocConfig, SmartAlloc};
    ///
    /// let budget = Budget::new().with_tag("ui", Limit::hard(kib(4)));
    /// let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
    /// alloc.with_tag("ui", |a| a.frame().alloc_slice_fill(1000, 0u8).len());
    /// alloc.end_frame();
    /// budget.each_limit(|of| assert_eq!((&of.account, of.headroom()), (&Account::tag("ui"), 3096)));
    /// ```
    pub fn each_limit(&self, f: impl FnMut(&crate::LimitUse)) {
        self.inner.each_limit(f);
    }

    /// Bytes that an account uses now. Of threads nothing is known together: 0. Of tags and frames: what is granted, used or not, where
    /// they have a hard limit; else 0.
    #[must_use]
    pub fn used(&self, account: &Account) -> usize {
        self.inner.used(account)
    }
}

impl Governor for Budget {
    fn attach(&self) -> Result<(), &'static str> {
        self.inner.attach()
    }

    fn detach(&self) {
        self.inner.detach();
    }

    fn request(&self, request: &Request) -> Verdict {
        self.inner.charge(request.resource, request.minimum, request.bytes)
    }

    fn settle(&self, outcome: &Outcome) {
        self.inner.settle(outcome);
    }

    fn release(&self, release: &Release) {
        self.inner.release(release);
    }

    fn evict(&self, shortage: &Shortage) -> bool {
        self.inner.evict(shortage)
    }

    fn refused(&self, shortage: &Shortage) -> Verdict {
        self.inner.refused(shortage)
    }

    fn open_tag(&self, scope: &TagScope) -> Verdict {
        let granted = self.inner.with_books(scope.arena, |books| books.open(&self.inner.tree, scope.tag));
        granted.map_or(Verdict::Allow, Verdict::AllowUpTo)
    }

    fn extend_tag(&self, scope: &TagScope, needed: usize) -> Verdict {
        let granted = self.inner.with_books(scope.arena, |books| books.extend(scope.depth, needed));
        granted.map_or(Verdict::Deny, Verdict::AllowUpTo)
    }

    fn close_tag(&self, scope: &TagScope, used: &TagUse) {
        self.inner.with_books(scope.arena, |books| books.close(&self.inner.tree, used));
    }

    #[cfg(any(feature = "report", feature = "tracy"))]
    fn taken(&self, block: &framealloc_core::HeldBlock) {
        self.inner.taken(block);
    }

    #[cfg(any(feature = "report", feature = "tracy"))]
    fn giving_back(&self, block: &framealloc_core::HeldBlock) {
        self.inner.giving_back(block);
    }

    #[cfg(feature = "tracy")]
    fn enter(&self, stage: framealloc_core::Stage) {
        crate::tracy::Tracy::enter(stage);
    }

    #[cfg(feature = "tracy")]
    fn leave(&self, _: framealloc_core::Stage) {
        crate::tracy::Tracy::leave();
    }

    #[cfg(feature = "sample")]
    fn sample_interval(&self) -> Option<usize> {
        self.inner.sample_interval()
    }

    #[cfg(feature = "sample")]
    fn sampled(&self, sample: &framealloc_core::Sample) {
        self.inner.sampled(sample);
    }

    fn bounds_threads(&self) -> bool {
        self.inner.is_bounded()
    }

    fn extend_thread(&self, granted: usize, needed: usize) -> Verdict {
        self.inner.extend_thread(granted, needed)
    }

    fn end_frame(&self, end: &FrameEnd<'_>) {
        self.inner.end_frame(end);
    }

    fn after_frame(&self) {
        self.inner.after_frame();
    }
}
