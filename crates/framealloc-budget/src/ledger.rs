//! A count of bytes under a limit, charged by any thread.
//!
//! Promises that the count never exceeds the limit it was charged under, not for a moment: a charge is one compare-and-swap of the
//! whole sum, and what is credited is room only once it is there.

use crate::sync::{AtomicUsize, Ordering};

/// No limit.
pub(crate) const NONE: usize = usize::MAX;

#[derive(Debug)]
pub(crate) struct Ledger {
    limit: AtomicUsize,
    used: AtomicUsize,
    /// The most that was used since it was last asked for.
    peak: AtomicUsize,
}

impl Ledger {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: AtomicUsize::new(limit), used: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    pub(crate) fn limit(&self) -> usize {
        // Relaxed: whoever charges meets the old limit or the new one.
        self.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.limit() != NONE
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The most that was used since the last [`take_peak`](Self::take_peak).
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// The same, and begins anew with what is used now.
    pub(crate) fn take_peak(&self) -> usize {
        let used = self.used();
        self.peak.swap(used, Ordering::Relaxed).max(used)
    }

    pub(crate) fn room(&self) -> usize {
        self.limit().saturating_sub(self.used())
    }

    /// Charges `wanted` bytes, or as many as there is room for, but `minimum` at least. How many; `None` if there is no room, and
    /// nothing was charged.
    pub(crate) fn charge(&self, minimum: usize, wanted: usize) -> Option<usize> {
        let limit = self.limit();
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let charged = wanted.max(minimum).min(limit.saturating_sub(used));
            if charged < minimum {
                return None;
            }
            // Acquire: pairs with the Release of `credit`: the memory whose place this takes is back.
            match self.used.compare_exchange_weak(used, used + charged, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(charged),
                Err(now) => used = now,
            }
        }
    }

    /// Notes what is used, once what was charged is really taken.
    pub(crate) fn note_peak(&self) {
        self.peak.fetch_max(self.used(), Ordering::Relaxed);
    }

    /// Gives back what was charged.
    pub(crate) fn credit(&self, bytes: usize) {
        if bytes != 0 {
            let before = self.used.fetch_sub(bytes, Ordering::Release);
            debug_assert!(before >= bytes, "{bytes} bytes are credited of {before}");
        }
    }

    /// Forgets what was charged: at the end of a frame, when nobody charges.
    pub(crate) fn clear(&self) {
        if self.used() != 0 {
            self.used.store(0, Ordering::Relaxed);
        }
    }
}

/// Charges the same amount to each ledger: `wanted` bytes, or as many as there is room for in all of them, but `minimum` at least.
/// How many; or which ledger had no room, and nothing was charged.
///
/// While a later ledger is tried, the earlier ones are charged already: for that moment they may refuse what would fit.
pub(crate) fn charge_all<'a>(
    ledgers: &(impl Iterator<Item = &'a Ledger> + Clone),
    minimum: usize,
    wanted: usize,
) -> Result<usize, usize> {
    let mut charged = wanted;
    for (at, ledger) in ledgers.clone().enumerate() {
        let now = ledger.charge(minimum, charged);
        let surplus = charged - now.unwrap_or(0);
        ledgers.clone().take(at).for_each(|ledger| ledger.credit(surplus));
        charged = now.ok_or(at)?;
    }
    Ok(charged)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn charge_takes_what_there_is_between_minimum_and_wanted() {
        let ledger = Ledger::new(100);
        assert_eq!(ledger.charge(1, 60), Some(60));
        assert_eq!(ledger.charge(50, 60), None);
        assert_eq!((ledger.used(), ledger.room()), (60, 40), "a refusal charges nothing");
        assert_eq!(ledger.charge(10, 60), Some(40));
        assert_eq!((ledger.charge(0, 8), ledger.charge(1, 1)), (Some(0), None));
        assert_eq!(ledger.peak(), 0, "charged is not taken yet");
        ledger.note_peak();
        ledger.credit(100);
        assert_eq!((ledger.used(), ledger.peak(), ledger.take_peak(), ledger.peak()), (0, 100, 100, 0));
    }

    #[test]
    fn several_ledgers_are_charged_the_same_or_nothing() {
        let ledgers = [Ledger::new(100), Ledger::new(50), Ledger::new(NONE)];
        let used = || ledgers.each_ref().map(Ledger::used);
        assert_eq!((charge_all(&ledgers.iter(), 10, 80), used()), (Ok(50), [50; 3]));
        assert_eq!((charge_all(&ledgers.iter(), 1, 80), used()), (Err(1), [50; 3]));
        assert_eq!((charge_all(&ledgers.iter(), 51, 51), used()), (Err(0), [50; 3]));
        ledgers[1].credit(50);
        assert_eq!((charge_all(&ledgers.iter(), 0, 20), used()), (Ok(20), [70, 20, 70]));
    }

    #[test]
    fn a_limit_that_falls_below_what_is_used_refuses_and_takes_nothing() {
        let ledger = Ledger::new(NONE);
        assert_eq!(ledger.charge(1, NONE), Some(NONE));
        ledger.credit(NONE - 10);
        ledger.set_limit(5);
        assert_eq!((ledger.charge(1, 1), ledger.room(), ledger.used()), (None, 0, 10));
        ledger.credit(10);
        assert_eq!(ledger.charge(5, 9), Some(5));
    }
}

#[cfg(all(test, loom))]
mod models {
    use std::sync::Arc;

    use super::*;

    /// Blocks that are really held, counted apart from the ledger.
    #[test]
    fn loom_limit_holds_at_every_moment_and_goes_back_to_zero() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new(3));
            let held = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
            let work = |minimum: usize, wanted: usize, ledger: &Ledger, held: &loom::sync::atomic::AtomicUsize| {
                for _ in 0..2 {
                    if let Some(bytes) = ledger.charge(minimum, wanted) {
                        assert!((minimum..=wanted).contains(&bytes));
                        let now = held.fetch_add(bytes, Ordering::AcqRel) + bytes;
                        assert!(now <= 3, "{now} bytes are held");
                        held.fetch_sub(bytes, Ordering::AcqRel);
                        ledger.credit(bytes);
                    }
                }
            };
            let (theirs, also) = (ledger.clone(), held.clone());
            let other = loom::thread::spawn(move || work(1, 2, &theirs, &also));
            work(2, 2, &ledger, &held);
            other.join().unwrap();
            assert_eq!((ledger.used(), ledger.charge(3, 3)), (0, Some(3)));
        });
    }

    /// Two accounts that each request is charged to, of which the second has less room: never above either, and nothing is left charged.
    #[test]
    fn loom_two_ledgers_are_charged_together_or_not_at_all() {
        loom::model(|| {
            let ledgers = Arc::new([Ledger::new(4), Ledger::new(3)]);
            let held = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
            let work = |minimum, wanted, ledgers: &[Ledger; 2], held: &loom::sync::atomic::AtomicUsize| {
                if let Ok(bytes) = charge_all(&ledgers.iter(), minimum, wanted) {
                    assert!((minimum..=wanted).contains(&bytes));
                    let now = held.fetch_add(bytes, Ordering::AcqRel) + bytes;
                    assert!(now <= 3, "{now} bytes are held");
                    held.fetch_sub(bytes, Ordering::AcqRel);
                    ledgers.iter().for_each(|ledger| ledger.credit(bytes));
                }
            };
            let (theirs, also) = (ledgers.clone(), held.clone());
            let other = loom::thread::spawn(move || work(1, 2, &theirs, &also));
            work(2, 2, &ledgers, &held);
            other.join().unwrap();
            assert_eq!(ledgers.each_ref().map(Ledger::used), [0, 0]);
        });
    }

    /// A limit that falls while another thread charges: what is charged once it has fallen is below the new one.
    #[test]
    fn loom_a_limit_that_moves_holds_for_what_is_charged_after() {
        loom::model(|| {
            let ledger = Arc::new(Ledger::new(3));
            let theirs = ledger.clone();
            let other = loom::thread::spawn(move || {
                let charged = theirs.charge(1, 2).unwrap_or(0);
                assert!(charged <= 2);
                charged
            });
            ledger.set_limit(1);
            let mine = ledger.charge(1, 2).unwrap_or(0);
            assert!(mine <= 1, "{mine}");
            let charged = mine + other.join().unwrap();
            assert_eq!(ledger.used(), charged);
            assert!(charged <= 3);
            ledger.credit(charged);
            assert_eq!((ledger.used(), ledger.charge(1, 3)), (0, Some(1)));
        });
    }
}
