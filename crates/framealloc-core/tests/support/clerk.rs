//! A governor that keeps books.
#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use framealloc_core::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Request,
    Settle,
    Release,
    OpenTag,
    ExtendTag,
    CloseTag,
    EndFrame,
}

pub(crate) const CALLS: [Call; 7] =
    [Call::Request, Call::Settle, Call::Release, Call::OpenTag, Call::ExtendTag, Call::CloseTag, Call::EndFrame];

type Hook = Box<dyn Fn(Call) + Send + Sync>;

/// Keeps books, answers as told, and does something in each call.
#[derive(Default)]
pub(crate) struct Clerk {
    /// Answers to requests by their number; otherwise everything is allowed.
    pub(crate) answers: Mutex<BTreeMap<usize, Verdict>>,
    pub(crate) requests: AtomicUsize,
    /// What tags are granted when they open, and when they ask for more.
    pub(crate) grants: Mutex<BTreeMap<&'static str, Verdict>>,
    pub(crate) extensions: Mutex<Vec<Verdict>>,
    pub(crate) asked: Mutex<Vec<(&'static str, usize)>>,
    pub(crate) closed: Mutex<Vec<(&'static str, usize)>>,
    pub(crate) held: Mutex<BTreeMap<String, isize>>,
    pub(crate) hook: OnceLock<Hook>,
    pub(crate) frames: Mutex<Vec<(FrameStats, usize)>>,
}

impl Clerk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn answer(&self, request: usize, verdict: Verdict) {
        self.answers.lock().unwrap().insert(request, verdict);
    }

    pub(crate) fn grant(&self, tag: &'static str, verdict: Verdict) {
        self.grants.lock().unwrap().insert(tag, verdict);
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bytes held from backends.
    pub(crate) fn held(&self) -> isize {
        let held = self.held.lock().unwrap();
        held.iter().filter(|(name, _)| **name != Resource::Sealed.to_string()).map(|(_, bytes)| bytes).sum()
    }

    pub(crate) fn hooked(self: &Arc<Self>, hook: impl Fn(Call) + Send + Sync + 'static) {
        assert!(self.hook.set(Box::new(hook)).is_ok());
    }

    pub(crate) fn call(&self, call: Call) {
        if let Some(hook) = self.hook.get() {
            hook(call);
        }
    }
}

impl Governor for Clerk {
    fn request(&self, request: &Request) -> Verdict {
        assert!(request.minimum > 0 && request.minimum <= request.bytes);
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        self.call(Call::Request);
        self.answers.lock().unwrap().get(&number).copied().unwrap_or(Verdict::Allow)
    }

    fn settle(&self, outcome: &Outcome) {
        let held = outcome.obtained as isize;
        *self.held.lock().unwrap().entry(outcome.resource.to_string()).or_default() += held;
        self.call(Call::Settle);
    }

    fn release(&self, release: &Release) {
        {
            let (resource, bytes) = (release.resource, release.bytes);
            let mut held = self.held.lock().unwrap();
            let held = held.entry(resource.to_string()).or_default();
            *held -= bytes as isize;
            assert!(*held >= 0, "more {resource} bytes were released than obtained");
        }
        self.call(Call::Release);
    }

    fn open_tag(&self, scope: &TagScope) -> Verdict {
        self.call(Call::OpenTag);
        self.grants.lock().unwrap().get(scope.tag.name()).copied().unwrap_or(Verdict::Allow)
    }

    fn extend_tag(&self, scope: &TagScope, needed: usize) -> Verdict {
        self.asked.lock().unwrap().push((scope.tag.name(), needed));
        self.call(Call::ExtendTag);
        self.extensions.lock().unwrap().pop().unwrap_or(Verdict::Deny)
    }

    fn close_tag(&self, scope: &TagScope, used: &TagUse) {
        self.closed.lock().unwrap().push((scope.tag.name(), used.peak));
        self.call(Call::CloseTag);
    }

    fn end_frame(&self, end: &FrameEnd<'_>) {
        let (stats, threads) = (end.stats, end.threads);
        let sum: usize = threads.iter().map(|share| share.peak).sum();
        assert_eq!((sum, threads.len()), (stats.bytes_allocated, stats.threads));
        self.frames.lock().unwrap().push((*stats, threads.len()));
        self.call(Call::EndFrame);
    }
}

pub(crate) fn governed(clerk: &Arc<Clerk>) -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_frame_chunk(1024, 4096).with_governor(clerk.clone()))
}
