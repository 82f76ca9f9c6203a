//! Grants: the positions that a governor lets a thread and its tag scopes reach, and how they are extended.
//!
//! Promises that the bump bound is never above any of them. User code runs while they are extended, with nothing borrowed.

use core::ptr;

use super::{OpenTag, RawArena, Supply};
use crate::backend::{Refusals, ask};
use crate::governor::{Scarce, Shortage, Verdict};

impl RawArena {
    /// Bounds the thread itself: nothing may be handed out before the governor extends that.
    pub(crate) fn bound_thread(&self) {
        self.thread_grant.set(self.position());
        self.renew_grant();
    }

    /// Opens a tag scope inside the innermost one.
    ///
    /// # Safety
    ///
    /// `open` stays where it is until [`close_tag`](Self::close_tag), before which all scopes opened after it are closed.
    pub(crate) unsafe fn open_tag(&self, open: &OpenTag) {
        debug_assert!(ptr::eq(open.outer, self.tag.get()));
        self.tag.set(open);
        if open.grant.get() < self.grant.get() {
            self.renew_grant();
        }
    }

    /// Closes the innermost tag scope.
    pub(crate) fn close_tag(&self, open: &OpenTag) {
        debug_assert!(ptr::eq(open, self.tag.get()));
        self.tag.set(open.outer);
        if open.grant.get() != usize::MAX {
            self.renew_grant();
        }
    }

    /// The innermost open tag scope, or null.
    pub(crate) fn tag(&self) -> *const OpenTag {
        self.tag.get()
    }

    /// Computes the grant and the bound anew.
    fn renew_grant(&self) {
        let mut grant = self.thread_grant.get();
        let mut at = self.tag.get();
        // SAFETY: open scopes stay where they are until they are closed (`open_tag`).
        while let Some(open) = unsafe { at.as_ref() } {
            grant = grant.min(open.grant.get());
            at = open.outer;
        }
        self.grant.set(grant);
        self.rebound();
    }

    /// Asks for `needed` bytes behind the position, of the thread's grant and those of all open scopes, as far as they do not
    /// suffice. Whether none was refused.
    pub(super) fn extend_grants(&self, needed: usize) -> bool {
        let Supply::Store(_) = &self.supply else { return false };
        let extended = self.extend(None, needed) && self.extend_tags(self.tag.get(), needed);
        self.renew_grant();
        extended
    }

    /// The outer scopes first.
    fn extend_tags(&self, open: *const OpenTag, needed: usize) -> bool {
        // SAFETY: open scopes stay where they are until they are closed, and this one is not closed before this returns: scopes
        // that the governor opens are closed before it returns.
        let Some(open) = (unsafe { open.as_ref() }) else { return true };
        self.extend_tags(open.outer, needed) && self.extend(Some(open), needed)
    }

    /// One grant: the thread's, or that of a scope. What is refused is asked a second time if the governor makes room.
    fn extend(&self, open: Option<&OpenTag>, needed: usize) -> bool {
        let Supply::Store(store) = &self.supply else { return false };
        let governor = store.source().governor();
        let cell = open.map_or(&self.thread_grant, |open| &open.grant);
        let mut refusals = Refusals::new(governor);
        loop {
            // Anew in each round: the governor may have allocated.
            let missing = self.position().saturating_add(needed).saturating_sub(cell.get());
            if missing == 0 {
                return true;
            }
            let granted = cell.get();
            let scarce = open.map_or(Scarce::Thread { granted }, |open| Scarce::Tag(open.scope));
            let shortage = Shortage { scarce, bytes: missing };
            let mut verdict = ask(governor, Verdict::Deny, |governor| match open {
                Some(open) => governor.extend_tag(&open.scope, missing),
                None => governor.extend_thread(granted, missing),
            });
            if added(verdict, missing) < missing {
                if refusals.ask_again(&shortage) {
                    continue;
                }
                verdict = refusals.last_word(&shortage);
            }
            if added(verdict, missing) < missing {
                return false;
            }
            cell.set(cell.get().saturating_add(added(verdict, missing)));
            // Whatever was allocated meanwhile is found out by the caller, who asks again.
            return true;
        }
    }
}

/// The bytes that a verdict adds to a grant; it may be more than is missing.
const fn added(verdict: Verdict, missing: usize) -> usize {
    match verdict {
        Verdict::Allow | Verdict::Heap => missing,
        Verdict::AllowUpTo(bytes) => bytes,
        Verdict::Deny => 0,
    }
}
