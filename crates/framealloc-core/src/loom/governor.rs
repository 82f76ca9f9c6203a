//! A limit under contention: a governor over an atomic budget, asked and told by the real `Source`.
//!
//! The budget itself is this model's; what is proved is that the source asks before it takes, tells after it has given back,
//! and leaves nothing out.

use core::alloc::Layout;
use std::sync::{Arc, Mutex, Weak};

use loom::sync::atomic::{AtomicUsize, Ordering};

use super::{Ledger, model, spawn};
use crate::backend::{Block, Source};
use crate::error::AllocErrorKind;
use crate::governor::{Governor, Outcome, Release, Request, Resource, Verdict};

const BLOCK: usize = 1024;
const LAYOUT: Layout = Layout::new::<[u8; BLOCK]>();

/// Grants up to a limit.
struct Budget {
    limit: usize,
    granted: AtomicUsize,
}

impl Budget {
    fn new(blocks: usize) -> Arc<Self> {
        Arc::new(Self { limit: blocks * BLOCK, granted: AtomicUsize::new(0) })
    }

    fn granted(&self) -> usize {
        self.granted.load(Ordering::Relaxed)
    }

    fn give_up(&self, bytes: usize) {
        // The place of what went back may be taken by whoever sees this.
        let before = self.granted.fetch_sub(bytes, Ordering::Release);
        assert!(before >= bytes, "more was told of than was granted");
    }
}

impl Governor for Budget {
    fn request(&self, request: &Request) -> Verdict {
        let add = |granted: usize| Some(granted + request.bytes).filter(|&sum| sum <= self.limit);
        match self.granted.fetch_update(Ordering::Acquire, Ordering::Relaxed, add) {
            Ok(_) => Verdict::Allow,
            Err(_) => Verdict::Deny,
        }
    }

    fn settle(&self, outcome: &Outcome) {
        if outcome.obtained < outcome.allowed {
            self.give_up(outcome.allowed - outcome.obtained);
        }
    }

    fn release(&self, release: &Release) {
        self.give_up(release.bytes);
    }
}

fn take(source: &Source) -> Option<Block> {
    match source.take(Resource::Chunk, LAYOUT, BLOCK) {
        Ok(block) => Some(block),
        Err(error) => {
            assert!(matches!(error.kind(), AllocErrorKind::Refused { .. } | AllocErrorKind::OutOfMemory { .. }));
            None
        }
    }
}

fn give(source: &Source, block: Block) {
    // SAFETY: the block came from this source's `take`, and is given back once.
    unsafe { source.give_back(Resource::Chunk, block) };
}

fn assert_settled(source: Arc<Source>, budget: &Budget, ledger: &Ledger) {
    use std::sync::atomic::Ordering::Relaxed;
    assert!(ledger.most_bytes.load(Relaxed) <= budget.limit, "more was held than the limit");
    let (taken, given_back) = source.traffic();
    assert_eq!((source.committed(), budget.granted(), taken), (0, 0, given_back), "back to zero");
    drop(source);
    ledger.assert_all_back();
}

#[test]
fn loom_limit_holds_under_contention() {
    model(|| {
        let (ledger, budget) = (Ledger::new(), Budget::new(1));
        let source = ledger.source(budget.clone());
        let theirs = Arc::clone(&source);
        let other = spawn(move || (0..2).filter_map(|_| take(&theirs)).for_each(|block| give(&theirs, block)));
        let mine: std::vec::Vec<_> = (0..2).filter_map(|_| take(&source)).collect();
        mine.into_iter().for_each(|block| give(&source, block));
        other.join().unwrap();
        // What went back can be had again.
        let again = take(&source).expect("the limit is free again");
        give(&source, again);
        assert_settled(source, &budget, &ledger);
    });
}

#[test]
fn loom_grant_of_a_failed_request_is_given_up() {
    model(|| {
        let (ledger, budget) = (Ledger::new(), Budget::new(2));
        ledger.failures.store(1, std::sync::atomic::Ordering::Relaxed);
        let source = ledger.source(budget.clone());
        let theirs = Arc::clone(&source);
        let other = spawn(move || take(&theirs).into_iter().for_each(|block| give(&theirs, block)));
        take(&source).into_iter().for_each(|block| give(&source, block));
        other.join().unwrap();
        assert_settled(source, &budget, &ledger);
    });
}

/// A budget that gives a block back when it is asked: of that it cannot be told while it is being called.
struct Nested {
    budget: Arc<Budget>,
    kept: Mutex<Option<Block>>,
    source: Mutex<Weak<Source>>,
}

// SAFETY: the block is memory that nobody uses, and goes back once.
unsafe impl Send for Nested {}
// SAFETY: as above.
unsafe impl Sync for Nested {}

impl Governor for Nested {
    fn request(&self, request: &Request) -> Verdict {
        let kept = self.kept.lock().unwrap().take();
        if let Some(block) = kept {
            let source = self.source.lock().unwrap().upgrade().unwrap();
            give(&source, block);
        }
        self.budget.request(request)
    }

    fn settle(&self, outcome: &Outcome) {
        self.budget.settle(outcome);
    }

    fn release(&self, release: &Release) {
        self.budget.release(release);
    }
}

#[test]
fn loom_what_a_governor_gives_back_is_told_once() {
    model(|| {
        let (ledger, budget) = (Ledger::new(), Budget::new(4));
        let governor =
            Arc::new(Nested { budget: Arc::clone(&budget), kept: Mutex::new(None), source: Mutex::default() });
        let source = ledger.source(governor.clone());
        *governor.source.lock().unwrap() = Arc::downgrade(&source);
        let kept = take(&source).unwrap();
        let mine = take(&source).unwrap();
        *governor.kept.lock().unwrap() = Some(kept);
        let theirs = Arc::clone(&source);
        // One of the two is asked and gives the block back inside of that; both tell of what was not told.
        let other = spawn(move || take(&theirs).into_iter().for_each(|block| give(&theirs, block)));
        give(&source, mine);
        other.join().unwrap();
        assert_settled(source, &budget, &ledger);
    });
}
