//! The state behind a budget: ledgers of the accounts, the tree of tags, each thread's books, the history.
//!
//! Promises that no lock is held while callbacks run: they are taken out of their locks first, and what they are told is a copy. The
//! program's allocator may run under a lock, but inside of a question only, in which the core asks no other; or under the tree's,
//! which the thread may take again.

use std::mem::take;
use std::sync::Arc;
use std::time::Instant;

#[cfg(any(feature = "report", feature = "tracy"))]
use framealloc_core::HeldBlock;
use framealloc_core::{FrameEnd, FrameStats, Outcome, Release, Resource, Scarce, Shortage, ThreadStats, Verdict};
use parking_lot::Mutex;

use crate::books::{Books, slice};
use crate::bytes;
use crate::figures::{ACCOUNTS, FrameRecord, History, SizeRecord, TagRecord, ThreadRecord, Track};
use crate::ledger::{Ledger, NONE, charge_all};
use crate::limit::{Account, BudgetError, Limit, LimitUse, OverLimit};
use crate::pressure::{Level, Pressure, PressurePolicy, Reading};
use crate::shelf::Shelf;
use crate::sync::{AtomicUsize, Ordering};
use crate::tree::{Node, Over, ROOT, Tree};

pub(crate) type OnEvict = dyn Fn(&Shortage) -> bool + Send + Sync;
pub(crate) type OnPressure = dyn Fn(&Pressure) + Send + Sync;

/// Where the accounts stand whose refusals are of threads.
const FRAME: usize = 3;
const THREAD: usize = 4;

/// Frames in the history unless set: a minute at 60 Hz.
const HISTORY: usize = 3600;

/// What may be set at any time.
#[derive(Default)]
struct Settings {
    over: OverLimit,
    pressure: PressurePolicy,
    on_evict: Option<Arc<OnEvict>>,
    on_pressure: Option<Arc<OnPressure>>,
    /// Limits that hold from the next frame on.
    pending: Vec<(Account, Limit)>,
}

/// An account that is no tag, beside its ledger.
pub(crate) struct Extra {
    pub(crate) soft: AtomicUsize,
    pub(crate) over: Over,
}

impl Extra {
    fn new() -> Self {
        Self { soft: AtomicUsize::new(NONE), over: Over::new(None) }
    }
}

/// What was charged to a ledger, and goes back unless it is kept: also if an answer is a panic.
struct Charge<'a> {
    ledger: &'a Ledger,
    bytes: usize,
}

impl<'a> Charge<'a> {
    /// Nothing if there is no room for so many bytes.
    fn to(ledger: &'a Ledger, bytes: usize) -> Self {
        Self { ledger, bytes: ledger.charge(bytes, bytes).unwrap_or(0) }
    }

    fn keep(&mut self) {
        self.bytes = 0;
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.ledger.credit(self.bytes);
    }
}

pub(crate) struct Inner {
    pub(crate) committed: Ledger,
    pub(crate) pools: Ledger,
    pub(crate) sealed: Ledger,
    /// Granted to threads of the frame, whose share they do not know yet.
    pub(crate) frame: Ledger,
    /// What each thread may be granted; only its limit is used.
    pub(crate) thread: Ledger,
    extras: [Extra; 5],
    /// Held beyond limits, and sealed beyond one.
    pub(crate) heap: AtomicUsize,
    pub(crate) sealed_beyond: AtomicUsize,
    /// How often memory was taken or given back since the frame began.
    traffic: AtomicUsize,
    pub(crate) tree: Tree,
    /// Of each thread, by the number of its arena.
    books: Shelf<Mutex<Books>>,
    settings: Mutex<Settings>,
    pub(crate) history: Mutex<History>,
    attached: Mutex<Attached>,
    /// Pressure that is to be told when the frame's end is noted.
    told: Mutex<Option<(Arc<OnPressure>, Vec<Pressure>)>>,
    #[cfg(feature = "sample")]
    sampler: Mutex<crate::sites::Sampler>,
    #[cfg(any(feature = "report", feature = "tracy"))]
    pub(crate) held: Mutex<crate::held::Held>,
    #[cfg(feature = "tracy")]
    pub(crate) tracy: crate::tracy::Tracy,
    #[cfg(feature = "live")]
    pub(crate) live: Arc<crate::live::Tap>,
}

#[derive(Default)]
struct Attached {
    attached: bool,
    bounded: bool,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("committed", &self.committed)
            .field("pools", &self.pools)
            .field("sealed", &self.sealed)
            .field("tags", &self.tree.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn new() -> Self {
        Self {
            committed: Ledger::new(NONE),
            pools: Ledger::new(NONE),
            sealed: Ledger::new(NONE),
            frame: Ledger::new(NONE),
            thread: Ledger::new(NONE),
            extras: std::array::from_fn(|_| Extra::new()),
            heap: AtomicUsize::new(0),
            sealed_beyond: AtomicUsize::new(0),
            traffic: AtomicUsize::new(0),
            tree: Tree::new(),
            books: Shelf::new(),
            settings: Mutex::default(),
            history: Mutex::new(History::new(HISTORY)),
            attached: Mutex::default(),
            told: Mutex::default(),
            #[cfg(feature = "sample")]
            sampler: Mutex::default(),
            #[cfg(any(feature = "report", feature = "tracy"))]
            held: Mutex::default(),
            #[cfg(feature = "tracy")]
            tracy: crate::tracy::Tracy::default(),
            #[cfg(feature = "live")]
            live: Arc::default(),
        }
    }

    // ---- settings ------------------------------------------------------------------------------------------------

    pub(crate) fn set_over(&self, over: OverLimit) {
        self.settings.lock().over = over;
    }

    pub(crate) fn pressure(&self) -> PressurePolicy {
        self.settings.lock().pressure
    }

    pub(crate) fn set_pressure(&self, policy: PressurePolicy) -> Result<(), BudgetError> {
        policy.check()?;
        self.settings.lock().pressure = policy;
        Ok(())
    }

    pub(crate) fn set_on_evict(&self, callback: Arc<OnEvict>) {
        let _before = self.settings.lock().on_evict.replace(callback);
    }

    /// Beside those that are there. Memory is asked for without the lock.
    pub(crate) fn add_on_pressure(&self, callback: &Arc<OnPressure>) {
        let address = |callback: &Arc<OnPressure>| Arc::as_ptr(callback).cast::<()>();
        loop {
            let before = self.settings.lock().on_pressure.clone();
            let both: Arc<OnPressure> = match before.clone() {
                Some(before) => {
                    let callback = callback.clone();
                    Arc::new(move |pressure| {
                        before(pressure);
                        callback(pressure);
                    })
                }
                None => callback.clone(),
            };
            let mut settings = self.settings.lock();
            if settings.on_pressure.as_ref().map(address) == before.as_ref().map(address) {
                settings.on_pressure = Some(both);
                return;
            }
        }
    }

    fn plain(&self, account: &Account) -> Option<(&Ledger, &Extra)> {
        let at = match account {
            Account::Committed => (&self.committed, 0),
            Account::Pools => (&self.pools, 1),
            Account::Sealed => (&self.sealed, 2),
            Account::Frame => (&self.frame, FRAME),
            Account::Thread => (&self.thread, THREAD),
            Account::Tag(_) => return None,
        };
        Some((at.0, &self.extras[at.1]))
    }

    /// The soft and the hard limit of an account.
    pub(crate) fn limit(&self, account: &Account) -> (usize, usize) {
        match self.plain(account) {
            Some((ledger, extra)) => (extra.soft.load(Ordering::Relaxed), ledger.limit()),
            None => (NONE, NONE),
        }
    }

    pub(crate) fn used(&self, account: &Account) -> usize {
        match (self.plain(account), account) {
            (Some((ledger, _)), _) => ledger.used(),
            (None, Account::Tag(path)) => self.tree.get(path).map_or(0, |node| node.ledger.used()),
            (None, _) => 0,
        }
    }

    /// Each account that has a limit. Nothing is locked while `f` runs.
    pub(crate) fn each_limit(&self, mut f: impl FnMut(&LimitUse)) {
        let mut tell = |account, (soft, hard): (usize, usize), used| {
            if (soft, hard) != (NONE, NONE) {
                let given = |limit| (limit != NONE).then_some(limit);
                f(&LimitUse { account, soft: given(soft), hard: given(hard), used });
            }
        };
        for (at, account) in ACCOUNTS.into_iter().enumerate() {
            let (limit, used) = (self.limit(&account), self.history.lock().accounts[at].worst.last);
            tell(account, limit, used);
        }
        let mut at = ROOT + 1;
        while let Some(node) = self.tree.limited_from(at) {
            let used = self.history.lock().tags.get(node.id as usize).map_or(0, |track| track.worst.last);
            let limit = (node.soft.load(Ordering::Relaxed), node.ledger.limit());
            tell(Account::Tag(node.path.clone()), limit, used);
            at = node.id + 1;
        }
    }

    pub(crate) fn level(&self, account: &Account) -> Level {
        let history = self.history.lock();
        let track = match account {
            Account::Tag(path) => self.tree.get(path).and_then(|node| history.tags.get(node.id as usize)),
            _ => ACCOUNTS.iter().position(|plain| plain == account).map(|at| &history.accounts[at]),
        };
        track.map_or(Level::Normal, |track| track.watch.level())
    }

    /// Sets a limit that holds at once, or, once there is an allocator, from the next frame on.
    pub(crate) fn set_limit(&self, account: Account, limit: Limit) -> Result<(), BudgetError> {
        limit.check(&account)?;
        if let Account::Tag(path) = &account {
            self.tree.find(path)?;
        }
        let attached = self.attached.lock();
        if attached.attached {
            if !attached.bounded && limit.hard_bytes().is_some() && matches!(account, Account::Frame | Account::Thread)
            {
                return Err(BudgetError::NotBounded { account });
            }
            self.defer(account, limit);
        } else {
            self.apply(&account, &limit);
        }
        Ok(())
    }

    /// Notes a limit for the end of the frame, in place of what was noted of that account. Memory for it is asked for without the lock,
    /// since the program's allocator may need a verdict.
    fn defer(&self, account: Account, limit: Limit) {
        let mut larger = Vec::new();
        loop {
            let mut settings = self.settings.lock();
            let pending = &mut settings.pending;
            if let Some(noted) = pending.iter_mut().find(|(noted, _)| *noted == account) {
                noted.1 = limit;
                return;
            }
            if pending.len() < pending.capacity() {
                pending.push((account, limit));
                return;
            }
            if pending.len() < Vec::capacity(&larger) {
                larger.append(pending);
                std::mem::swap(pending, &mut larger);
                continue;
            }
            let needed = 2 * pending.len() + 4;
            drop(settings);
            larger = Vec::with_capacity(needed);
        }
    }

    /// Whether that is another hard limit than before.
    fn apply(&self, account: &Account, limit: &Limit) -> bool {
        let (soft, hard) = limit.raw();
        match (self.plain(account), account) {
            (Some((ledger, extra)), _) => {
                extra.soft.store(soft, Ordering::Relaxed);
                extra.over.set_policy(limit.over());
                let before = ledger.limit();
                ledger.set_limit(hard);
                before != hard
            }
            // It was found when the limit was set, and tags stay.
            (None, Account::Tag(path)) => self.tree.find(path).is_ok_and(|node| {
                let before = node.ledger.limit();
                node.set_limit(limit);
                before != hard
            }),
            (None, _) => false,
        }
    }

    fn with_track(&self, history: &mut History, account: &Account, f: impl FnOnce(&mut Track)) {
        let track = match account {
            Account::Tag(path) => self.tree.get(path).and_then(|node| history.tags.get_mut(node.id as usize)),
            _ => ACCOUNTS.iter().position(|plain| plain == account).map(|at| &mut history.accounts[at]),
        };
        if let Some(track) = track {
            f(track);
        }
    }

    pub(crate) fn attach(&self) -> Result<(), &'static str> {
        let mut attached = self.attached.lock();
        if std::mem::replace(&mut attached.attached, true) {
            return Err("a budget governs one allocator, and this one has one");
        }
        attached.bounded = self.frame.is_limited() || self.thread.is_limited();
        Ok(())
    }

    pub(crate) fn detach(&self) {
        self.attached.lock().attached = false;
        let pending = std::mem::take(&mut self.settings.lock().pending);
        for (account, limit) in &pending {
            self.apply(account, limit);
        }
        // A frame may have been open.
        self.frame.clear();
        self.tree.each_backwards(|node| node.ledger.clear());
        #[cfg(any(feature = "report", feature = "tracy"))]
        {
            let mut held = self.held.lock();
            #[cfg(feature = "tracy")]
            self.tracy.detach(&mut held);
            held.blocks.clear();
        }
    }

    pub(crate) fn is_bounded(&self) -> bool {
        self.attached.lock().bounded
    }

    // ---- hard limits ---------------------------------------------------------------------------------------------

    /// The accounts that memory of this kind is charged to.
    fn accounts(&self, resource: Resource) -> &'static [Account] {
        match resource {
            Resource::Chunk => &[Account::Committed],
            Resource::Sealed => &[Account::Sealed],
            _ => &[Account::Pools, Account::Committed],
        }
    }

    fn ledgers(&self, resource: Resource) -> impl Iterator<Item = &Ledger> + Clone {
        self.accounts(resource).iter().filter_map(|account| Some(self.plain(account)?.0))
    }

    /// Charges `bytes`, or as many as there is room for, but `minimum` at least.
    pub(crate) fn charge(&self, resource: Resource, minimum: usize, bytes: usize) -> Verdict {
        match charge_all(&self.ledgers(resource), minimum, bytes) {
            Ok(charged) if charged == bytes => Verdict::Allow,
            Ok(charged) => Verdict::AllowUpTo(charged),
            Err(_) => Verdict::Deny,
        }
    }

    pub(crate) fn credit(&self, resource: Resource, bytes: usize) {
        self.ledgers(resource).for_each(|ledger| ledger.credit(bytes));
    }

    /// Told what became of what was charged, or granted beyond limits.
    pub(crate) fn settle(&self, outcome: &Outcome) {
        let Outcome { resource, allowed, obtained, heap, .. } = *outcome;
        if heap {
            let beyond = if resource == Resource::Sealed { &self.sealed_beyond } else { &self.heap };
            beyond.fetch_add(obtained, Ordering::Relaxed);
            // All that have a limit have given leave.
            for (ledger, extra) in self.accounts(resource).iter().filter_map(|account| self.plain(account)) {
                if ledger.is_limited() {
                    extra.over.bytes.fetch_add(obtained, Ordering::Relaxed);
                }
            }
        } else {
            self.credit(resource, allowed - obtained);
            self.ledgers(resource).for_each(Ledger::note_peak);
        }
        self.note_traffic(resource);
    }

    pub(crate) fn release(&self, release: &Release) {
        match (release.heap, release.resource) {
            (true, Resource::Sealed) => _ = self.sealed_beyond.fetch_sub(release.bytes, Ordering::Relaxed),
            (true, _) => _ = self.heap.fetch_sub(release.bytes, Ordering::Relaxed),
            (false, resource) => self.credit(resource, release.bytes),
        }
        self.note_traffic(release.resource);
    }

    #[cfg(any(feature = "report", feature = "tracy"))]
    pub(crate) fn taken(&self, block: &HeldBlock) {
        let mut held = self.held.lock();
        // Told under the lock: addresses come and go in the order that they have here.
        #[cfg(feature = "tracy")]
        self.tracy.taken(&held, block);
        held.blocks.insert(block.address, *block);
    }

    #[cfg(any(feature = "report", feature = "tracy"))]
    pub(crate) fn giving_back(&self, block: &HeldBlock) {
        let mut held = self.held.lock();
        #[cfg(feature = "tracy")]
        self.tracy.giving_back(&held, block);
        held.blocks.remove(&block.address);
    }

    /// A sealed frame takes nothing from a backend.
    fn note_traffic(&self, resource: Resource) {
        if resource != Resource::Sealed {
            self.traffic.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn with_books<R>(&self, arena: usize, f: impl FnOnce(&mut Books) -> R) -> R {
        f(&mut self.books.get(arena).lock())
    }

    /// Grants a thread `needed` bytes of frame memory more than the `granted` that it has, and some ahead.
    pub(crate) fn extend_thread(&self, granted: usize, needed: usize) -> Verdict {
        let room = self.thread.limit().saturating_sub(granted);
        if needed > room {
            return Verdict::Deny;
        }
        let ahead = slice(&self.frame).clamp(needed, room);
        self.frame.charge(needed, ahead).map_or(Verdict::Deny, Verdict::AllowUpTo)
    }

    /// Runs the program's callback, if there is one.
    pub(crate) fn evict(&self, shortage: &Shortage) -> bool {
        let callback = self.settings.lock().on_evict.clone();
        callback.is_some_and(|callback| callback(shortage))
    }

    /// The last word on a refusal: counts it, and does what the accounts say that have no room for it. Of several the strictest has
    /// its way: a panic before an error, and what goes beyond a limit has the leave of all.
    pub(crate) fn refused(&self, shortage: &Shortage) -> Verdict {
        let needed = shortage.bytes;
        match shortage.scarce {
            Scarce::Tag(scope) => {
                let lacking = self.with_books(scope.arena, |books| books.lacking(scope.depth, needed));
                let name = |node: &Node| Account::Tag(node.path.clone());
                let verdict = match lacking.iter().max_by_key(|node| self.strictness(&node.over)) {
                    // Another thread made room meanwhile: then it is charged like anything else.
                    None => {
                        let granted = self.with_books(scope.arena, |books| books.extend(scope.depth, needed));
                        return granted.map_or(Verdict::Deny, Verdict::AllowUpTo);
                    }
                    Some(node) => self.answer(&node.over, &node.ledger, node.ledger.used(), needed, || name(node)),
                };
                // Charged only now: nothing is if it is refused.
                if verdict != Verdict::Deny {
                    self.with_books(scope.arena, |books| books.extend_where_there_is_room(scope.depth, needed));
                }
                verdict
            }
            Scarce::Thread { granted } => {
                let (thread, frame) = (&self.extras[THREAD], &self.extras[FRAME]);
                let thread_lacks = needed > self.thread.limit().saturating_sub(granted);
                let mut charge = Charge::to(&self.frame, needed);
                let frame_lacks = charge.bytes == 0;
                let of_thread = || self.answer(&thread.over, &self.thread, granted, needed, || Account::Thread);
                let of_frame = || self.answer(&frame.over, &self.frame, self.frame.used(), needed, || Account::Frame);
                let verdict = match (thread_lacks, frame_lacks) {
                    (false, false) => {
                        charge.keep();
                        return Verdict::Allow;
                    }
                    (true, false) => of_thread(),
                    (false, true) => of_frame(),
                    (true, true) if self.strictness(&thread.over) > self.strictness(&frame.over) => of_thread(),
                    (true, true) => of_frame(),
                };
                if verdict == Verdict::Deny {
                    return verdict;
                }
                charge.keep();
                for (lacks, extra) in [(thread_lacks, thread), (frame_lacks, frame)] {
                    if lacks {
                        extra.over.bytes.fetch_add(needed, Ordering::Relaxed);
                    }
                }
                verdict
            }
            Scarce::Resource(resource) => {
                let limited = self.accounts(resource).iter().filter_map(|account| {
                    let (ledger, extra) = self.plain(account)?;
                    ledger.is_limited().then_some((account, ledger, extra))
                });
                let lacks = |ledger: &Ledger| ledger.room() < needed;
                // Of two that are as strict the one that has no room is told of.
                let strictest = limited.max_by_key(|(_, ledger, extra)| (self.strictness(&extra.over), lacks(ledger)));
                match strictest {
                    None => Verdict::Deny,
                    Some((account, ledger, extra)) => {
                        self.answer(&extra.over, ledger, ledger.used(), needed, || account.clone())
                    }
                }
            }
            _ => Verdict::Deny,
        }
    }

    fn policy(&self, over: &Over) -> OverLimit {
        over.policy(self.settings.lock().over)
    }

    fn strictness(&self, over: &Over) -> u8 {
        match self.policy(over) {
            OverLimit::Heap => 0,
            OverLimit::Error => 1,
            OverLimit::Panic => 2,
        }
    }

    /// What an account says to what has no room in it.
    fn answer(
        &self,
        over: &Over,
        ledger: &Ledger,
        used: usize,
        needed: usize,
        name: impl FnOnce() -> Account,
    ) -> Verdict {
        let policy = self.policy(over);
        if policy == OverLimit::Heap {
            return Verdict::Heap;
        }
        over.refused.fetch_add(1, Ordering::Relaxed);
        // A second panic would be the end of the program.
        if policy == OverLimit::Error || std::thread::panicking() {
            return Verdict::Deny;
        }
        let (account, limit) = (name(), ledger.limit());
        panic!(
            "{account}: {needed} bytes more ({}) do not fit below its hard limit of {limit} ({}), of which {used} are used",
            bytes::display(needed),
            bytes::display(limit)
        )
    }

    // ---- samples -------------------------------------------------------------------------------------------------

    #[cfg(feature = "sample")]
    pub(crate) fn set_sampling(&self, sampling: Option<crate::sites::Sampling>) {
        let under_way = self.attached.lock().attached;
        let new = crate::sites::Sampler::start(sampling, under_way);
        let _before = std::mem::replace(&mut *self.sampler.lock(), new);
    }

    #[cfg(feature = "sample")]
    pub(crate) fn sample_interval(&self) -> Option<usize> {
        self.sampler.lock().interval()
    }

    #[cfg(feature = "sample")]
    pub(crate) fn sampled(&self, sample: &framealloc_core::Sample) {
        let tag = sample.tag.map_or(ROOT, |scope| self.with_books(scope.arena, |books| books.node_at(scope.depth)));
        let Some(wants_stack) = self.sampler.lock().wants_stack() else { return };
        #[cfg(feature = "backtrace")]
        let stack = if wants_stack { crate::sites::stack() } else { Box::default() };
        #[cfg(not(feature = "backtrace"))]
        let (stack, _) = (Box::default(), wants_stack);
        self.sampler.lock().add(sample, tag, stack);
    }

    /// What samples tell, if any are taken.
    #[cfg(feature = "sample")]
    pub(crate) fn sites(&self) -> Option<crate::sites::Sites> {
        let copied = self.sampler.lock().copy()?;
        Some(copied.sum_up(&self.tree))
    }

    // ---- the end of a frame --------------------------------------------------------------------------------------

    pub(crate) fn end_frame(&self, end: &FrameEnd<'_>) {
        let (stats, threads) = (end.stats, end.threads);
        let (policy, mut callback, pending) = {
            let mut settings = self.settings.lock();
            (settings.pressure, settings.on_pressure.clone(), std::mem::take(&mut settings.pending))
        };
        let mut told = Vec::new();
        // For whoever is told of it without the lock.
        #[cfg(any(feature = "metrics", feature = "tracy"))]
        let shown;
        {
            let mut history = self.history.lock();
            let now = Instant::now();
            let interval = history.last_end.replace(now).map_or_else(Default::default, |before| now - before);
            let mut blank = history.blank();
            // Nobody else has it.
            let record = Arc::get_mut(&mut blank)
                .expect("a record that was just made, or taken from the ring when nobody read it");
            let (sizes, threads_of, tags) =
                (take(&mut record.sizes), take(&mut record.threads), take(&mut record.tags));
            *record = FrameRecord {
                frame: stats.frame,
                interval,
                bytes: stats.bytes_allocated,
                waste: stats.waste,
                chunk_bytes: stats.committed,
                committed: self.committed.used() + self.heap.load(Ordering::Relaxed),
                pools: self.pools.used(),
                heap: self.heap.load(Ordering::Relaxed),
                sealed: self.sealed.used() + self.sealed_beyond.load(Ordering::Relaxed),
                traffic: self.traffic.swap(0, Ordering::Relaxed),
                scratch_peak: stats.scratch_peak,
                chunks: stats.chunks,
                refused: stats.refused,
                sizes,
                threads: threads_of,
                tags,
                ..FrameRecord::default()
            };
            record.threads.extend(threads.iter().map(|share| ThreadRecord {
                arena: share.arena,
                peak: share.peak,
                waste: share.waste,
                chunk_bytes: share.chunk_bytes,
                refused: share.refused,
            }));
            let sizes = end.pool.sizes().into_iter().filter(|of| of.slots != 0);
            record.sizes.extend(sizes.map(|of| SizeRecord {
                size: of.size,
                slots: of.slots,
                outstanding: of.outstanding,
                free: of.free,
            }));
            self.sum_up_tags(stats, threads, record, &mut history, &policy, &mut told);
            self.sum_up_accounts(record, &mut history, &policy, &mut told);
            // A warm frame takes nothing, and changes nothing here.
            #[cfg(feature = "report")]
            if record.traffic != 0 {
                let crate::held::Held { blocks, last, .. } = &mut *self.held.lock();
                last.clear();
                last.extend(blocks.values().copied());
            }
            #[cfg(any(feature = "metrics", feature = "tracy"))]
            {
                shown = blank.clone();
            }
            history.push(blank);
            for (account, limit) in &pending {
                if self.apply(account, limit) {
                    self.with_track(&mut history, account, |track| track.worst.forget_refusals());
                }
            }
        }
        #[cfg(feature = "metrics")]
        crate::gauges::set(&shown, &self.tree);
        #[cfg(feature = "tracy")]
        self.tracy.end_frame(&shown, &self.tree, &self.held);
        #[cfg(feature = "sample")]
        self.sampler.lock().end_frame();
        #[cfg(feature = "live")]
        self.live.note(self);
        if let Some(callback) = callback.take().filter(|_| !told.is_empty()) {
            *self.told.lock() = Some((callback, told));
        }
    }

    /// What is left of a frame's end: the program's callback, in which memory is charged as everywhere.
    pub(crate) fn after_frame(&self) {
        if let Some((callback, told)) = { self.told.lock().take() } {
            told.iter().for_each(|pressure| callback(pressure));
        }
    }

    fn sum_up_tags(
        &self,
        stats: &FrameStats,
        threads: &[ThreadStats],
        record: &mut FrameRecord,
        history: &mut History,
        policy: &PressurePolicy,
        told: &mut Vec<Pressure>,
    ) {
        let tags = &mut record.tags;
        tags.resize(self.tree.len(), TagRecord::default());
        for books in self.books.iter() {
            books.lock().drain(|node, count| {
                // A tag may be new since.
                if tags.len() <= node as usize {
                    tags.resize(node as usize + 1, TagRecord::default());
                }
                let tag = &mut tags[node as usize];
                tag.own += count.own;
                tag.peak += count.peak;
                tag.waste += count.waste;
                tag.scopes += count.scopes;
            });
        }
        // Of what lies in no tag nothing is counted: it is the rest.
        let kept: isize = threads.iter().map(|share| share.bytes_allocated.cast_signed()).sum();
        let tagged: isize = tags.iter().map(|tag| tag.own).sum();
        tags[ROOT as usize] = TagRecord {
            own: kept - tagged,
            peak: stats.bytes_allocated,
            refused: stats.refused,
            waste: stats.waste,
            ..TagRecord::default()
        };
        if history.tags.len() < tags.len() {
            history.tags.resize(tags.len(), Track::default());
        }
        // Children before their parents, to which they add.
        self.tree.each_backwards(|node| {
            let at = node.id as usize;
            let Some(tag) = tags.get_mut(at) else { return };
            tag.total += tag.own;
            if at == ROOT as usize {
                return;
            }
            let total = tag.total;
            (tag.refused, tag.over) = node.over.take();
            node.ledger.clear();
            let track = &mut history.tags[at];
            track.worst.note(tag.peak, stats.frame, tag.refused, tag.over);
            let reading = Reading {
                used: tag.peak,
                soft: node.soft.load(Ordering::Relaxed),
                hard: node.ledger.limit(),
                met: tag.refused != 0 || tag.over != 0,
            };
            if let Some((before, limit)) = track.watch.step(policy, &reading) {
                let (level, account) = (track.watch.level(), Account::Tag(node.path.clone()));
                told.push(Pressure { level, before, account, used: tag.peak, limit, frame: stats.frame });
            }
            tags[node.parent as usize].total += total;
        });
    }

    fn sum_up_accounts(
        &self,
        record: &mut FrameRecord,
        history: &mut History,
        policy: &PressurePolicy,
        told: &mut Vec<Pressure>,
    ) {
        let most = record.threads.iter().map(|share| share.peak).max().unwrap_or(0);
        let used = [self.committed.take_peak(), self.pools.take_peak(), self.sealed.take_peak(), record.bytes, most];
        for ((account, used), track) in ACCOUNTS.into_iter().zip(used).zip(&mut history.accounts) {
            let Some((ledger, extra)) = self.plain(&account) else { continue };
            let (refused, over) = extra.over.take();
            track.worst.note(used, record.frame, refused, over);
            if account != Account::Frame && account != Account::Thread {
                record.refused_memory += refused;
            }
            record.over += over;
            let soft = extra.soft.load(Ordering::Relaxed);
            let reading = Reading { used, soft, hard: ledger.limit(), met: refused != 0 || over != 0 };
            if let Some((before, limit)) = track.watch.step(policy, &reading) {
                told.push(Pressure { level: track.watch.level(), before, account, used, limit, frame: record.frame });
            }
        }
        self.frame.clear();
    }
}
