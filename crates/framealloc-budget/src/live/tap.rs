//! Where the thread that ends a frame leaves a copy of its figures, and the viewers' thread takes it.
//!
//! Promises that neither waits for the other: both try the lock, which is held to copy on the one side and to swap on the other. The
//! viewers' thread neither takes memory nor gives any back while it holds it.

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mio::Waker;
use parking_lot::Mutex;

use super::LiveStats;
use super::wire::{Accounts, Snapshot, Standing};
use crate::figures::{ACCOUNTS, FrameRecord, Track};
use crate::inner::Inner;
use crate::ledger::NONE;
use crate::sync::{AtomicUsize, Ordering};
use crate::tree::Node;

#[derive(Default)]
struct Slot {
    /// Whether there is a copy that was not taken. Then the other thread knows: it was woken, or is about to look.
    fresh: bool,
    copy: Snapshot,
    /// The tags, as far as copies have figures of them: reading the tree is a lock that all threads share.
    nodes: Vec<Arc<Node>>,
    /// The paths of those that were not taken.
    paths: Vec<Arc<str>>,
    waker: Option<Arc<Waker>>,
}

/// A part of each budget.
#[derive(Default)]
pub(crate) struct Tap {
    /// Viewers that are shown frames.
    viewers: AtomicUsize,
    slot: Mutex<Slot>,
    /// Where a view is served.
    served: Mutex<Option<SocketAddr>>,
    /// Whether that is to end.
    over: AtomicBool,
    copied: AtomicUsize,
    skipped: AtomicUsize,
    missed: AtomicUsize,
    dropped: AtomicUsize,
    refused: AtomicUsize,
}

/// What the viewers' thread counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Missed,
    Dropped,
    Refused,
}

impl Tap {
    // ---- the thread that ends a frame ----------------------------------------------------------------------------

    /// Copies the frame that has ended if somebody is watching.
    pub(crate) fn note(&self, inner: &Inner) {
        // Relaxed: the first frames of a viewer may be missing, and a copy after the last one is nobody's.
        if self.viewers.load(Ordering::Relaxed) != 0 {
            self.copy(inner);
        }
    }

    #[cold]
    #[inline(never)]
    fn copy(&self, inner: &Inner) {
        let (Some(history), Some(mut slot)) = (inner.history.try_lock(), self.slot.try_lock()) else {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let Some(record) = history.frames().next_back() else { return };
        let Slot { fresh, copy, nodes, paths, waker } = &mut *slot;
        if nodes.len() < record.tags.len() {
            let new = inner.tree.nodes_from(nodes.len());
            paths.extend(new.iter().map(|node| node.path.clone()));
            nodes.extend(new);
        }
        copy.history = history.capacity();
        copy_record(record, &mut copy.record);
        // Its figures come with its path, or, where the tree could not be read, with those of a later frame.
        copy.record.tags.truncate(nodes.len());
        let standing = |at: usize| {
            let (soft, hard) = inner.limit(&ACCOUNTS[at]);
            standing(&history.accounts[at], soft, hard)
        };
        copy.accounts = Accounts {
            committed: standing(0),
            pools: standing(1),
            sealed: standing(2),
            frame: standing(3),
            thread: standing(4),
        };
        copy.tags.clear();
        copy.tags.extend(
            nodes
                .iter()
                .zip(&history.tags)
                .map(|(node, track)| self::standing(track, node.soft.load(Ordering::Relaxed), node.ledger.limit())),
        );
        let replaced = mem::replace(fresh, true);
        let waker = waker.clone().filter(|_| !replaced);
        drop((slot, history));
        self.copied.fetch_add(1, Ordering::Relaxed);
        if replaced {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(waker) = waker {
            // Of a failure nobody could be told here, and viewers see that no frames come.
            let _ = waker.wake();
        }
    }

    // ---- the viewers' thread -------------------------------------------------------------------------------------

    /// Swaps the newest copy for `copy`, and adds the paths of new tags; whether there was one. `None` if the slot is in use just now.
    pub(super) fn take(&self, copy: &mut Snapshot, paths: &mut Vec<Arc<str>>) -> Option<bool> {
        let mut slot = self.slot.try_lock()?;
        if !mem::take(&mut slot.fresh) {
            return Some(false);
        }
        mem::swap(&mut slot.copy, copy);
        let new = mem::take(&mut slot.paths);
        drop(slot);
        paths.extend(new);
        Some(true)
    }

    pub(super) fn set_viewers(&self, viewers: usize) {
        self.viewers.store(viewers, Ordering::Relaxed);
    }

    pub(super) fn count(&self, what: Count, times: usize) {
        let count = match what {
            Count::Missed => &self.missed,
            Count::Dropped => &self.dropped,
            Count::Refused => &self.refused,
        };
        count.fetch_add(times, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        // Relaxed: nothing is read that was written before it.
        self.over.load(Ordering::Relaxed)
    }

    // ---- the handle ----------------------------------------------------------------------------------------------

    /// Where there is a view.
    pub(super) fn served(&self) -> Option<SocketAddr> {
        *self.served.lock()
    }

    /// Makes it that of a view at this address; or where there is one already.
    pub(super) fn open(&self, address: SocketAddr, waker: Arc<Waker>) -> Result<(), SocketAddr> {
        let mut served = self.served.lock();
        if let Some(address) = *served {
            return Err(address);
        }
        *served = Some(address);
        self.over.store(false, Ordering::Relaxed);
        for count in [&self.copied, &self.skipped, &self.missed, &self.dropped, &self.refused] {
            count.store(0, Ordering::Relaxed);
        }
        // Also if it is empty: a frame's end that has seen the last view's viewers may have been late.
        let _before = mem::replace(&mut *self.slot.lock(), Slot { waker: Some(waker), ..Slot::default() });
        Ok(())
    }

    /// Asks the viewers' thread to end.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Once that thread has ended. The waker, which is a file to the system, goes with the slot.
    pub(super) fn close(&self) {
        self.set_viewers(0);
        let _before = mem::take(&mut *self.slot.lock());
        *self.served.lock() = None;
    }

    pub(super) fn stats(&self) -> LiveStats {
        let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        LiveStats {
            viewers: load(&self.viewers),
            copied: load(&self.copied),
            skipped: load(&self.skipped),
            missed: load(&self.missed),
            dropped: load(&self.dropped),
            refused: load(&self.refused),
        }
    }
}

/// By which the lists' memory stays.
fn copy_record(from: &FrameRecord, to: &mut FrameRecord) {
    let FrameRecord { mut sizes, mut threads, mut tags, .. } = mem::take(to);
    sizes.clone_from(&from.sizes);
    threads.clone_from(&from.threads);
    tags.clone_from(&from.tags);
    *to = FrameRecord { sizes, threads, tags, ..*from };
}

fn standing(track: &Track, soft: usize, hard: usize) -> Standing {
    let limit = |bytes| (bytes != NONE).then_some(bytes);
    let worst = &track.worst;
    Standing {
        soft: limit(soft),
        hard: limit(hard),
        level: track.watch.level(),
        worst: worst.used,
        worst_frame: worst.frame,
        refused: worst.refused,
        over: worst.over,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use framealloc_core::{AllocConfig, SmartAlloc};

    use super::*;
    use crate::Budget;

    /// A budget that somebody seems to watch, and an allocator whose frames it counts.
    fn watched() -> (Budget, SmartAlloc, Arc<Tap>) {
        let budget = Budget::new();
        let tap = budget.inner.live.clone();
        tap.set_viewers(1);
        let alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
        (budget, alloc, tap)
    }

    fn counts(tap: &Tap) -> (usize, usize) {
        (tap.stats().copied, tap.stats().skipped)
    }

    /// What another thread makes of it; a panic if that waits for this one.
    fn elsewhere<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(f()));
        told.recv_timeout(std::time::Duration::from_secs(60)).expect("it waits for what this thread holds")
    }

    #[test]
    fn a_slot_in_use_is_not_waited_for() {
        let (budget, mut alloc, tap) = watched();
        let in_use = tap.slot.lock();
        let mut alloc = elsewhere(move || {
            (0..3).for_each(|_| _ = alloc.end_frame());
            alloc
        });
        assert_eq!((counts(&tap), budget.metrics().last().unwrap().frame), ((0, 3), 3));
        assert_eq!(tap.take(&mut Snapshot::default(), &mut Vec::new()), None);
        drop(in_use);
        alloc.end_frame();
        assert_eq!(counts(&tap), (1, 3));
        // The same while the history is read elsewhere.
        let read = budget.inner.history.lock();
        let (note, inner) = (tap.clone(), budget.inner.clone());
        elsewhere(move || note.note(&inner));
        drop(read);
        assert_eq!(counts(&tap), (1, 4));
    }

    #[test]
    fn a_copy_is_taken_once_and_the_newest_replaces_older_ones() {
        let (_budget, mut alloc, tap) = watched();
        let (mut copy, mut paths) = (Snapshot::default(), Vec::new());
        assert_eq!(tap.take(&mut copy, &mut paths), Some(false));
        alloc.with_tag("a", |a| a.frame().alloc([0u8; 8]).len());
        (0..3).for_each(|_| _ = alloc.end_frame());
        assert_eq!(counts(&tap), (3, 2));
        assert_eq!(tap.take(&mut copy, &mut paths), Some(true));
        assert_eq!((copy.record.frame, copy.record.tags.len()), (3, 2));
        assert_eq!(tap.take(&mut copy, &mut paths), Some(false));
        alloc.end_frame();
        assert_eq!((tap.take(&mut copy, &mut paths), copy.record.frame, counts(&tap)), (Some(true), 4, (4, 2)));
        assert_eq!(paths.iter().map(|path| &**path).collect::<Vec<_>>(), ["", "a"], "each path once");
    }

    #[test]
    fn a_slot_in_use_is_looked_at_again() {
        use std::io::{BufRead, BufReader, Write};

        let budget = Budget::new();
        let view = budget.serve_live(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let stream = std::net::TcpStream::connect(view.address()).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        (&stream).write_all(super::super::greeting().as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert!(lines.next().unwrap().unwrap().contains("hello"));
        // The viewers' thread is woken for a copy that it cannot take, and not woken again.
        let mut in_use = view.tap.slot.lock();
        (in_use.fresh, in_use.copy.record.frame) = (true, 77);
        view.waker.wake().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        drop(in_use);
        assert!(lines.next().unwrap().unwrap().contains("\"frame\":77,"));
    }

    #[test]
    fn without_viewers_nothing_is_touched() {
        let (_budget, mut alloc, tap) = watched();
        tap.set_viewers(0);
        let in_use = tap.slot.lock();
        alloc.end_frame();
        drop(in_use);
        assert_eq!(counts(&tap), (0, 0));
    }
}
