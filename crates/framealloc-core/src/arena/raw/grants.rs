//! Grants: the positions that a governor lets a thread and its tag scopes reach, and how they are extended.
//!
//! Promises that the bump bound is never above any of them. User code runs while they are extended, with nothing borrowed. Scopes
//! are told apart by their depth, and closing one closes those inside: whoever switches stacks between them gets odd figures, no more.

use super::{OpenTag, RawArena, Supply};
use crate::backend::{Refusals, ask};
use crate::governor::{Scarce, Shortage, Verdict};
use crate::reentry;

impl RawArena {
    /// Bounds the thread itself: nothing may be handed out before the governor extends that.
    pub(crate) fn bound_thread(&self) {
        self.thread_grant.set(self.position());
        self.renew_grant();
    }

    /// Opens a tag scope inside the innermost one; how many lie around it.
    pub(crate) fn open_tag(&self, open: OpenTag) -> usize {
        let depth = self.open_tags();
        // SAFETY: this thread's arena, and no borrow of the list is alive outside of this module, whose functions keep none.
        unsafe { reentry::push(&self.tags, open) };
        if open.grant < self.grant.get() {
            self.renew_grant();
        }
        depth
    }

    /// Closes the tag scope that so many lie around, and all inside of it.
    pub(crate) fn close_tag(&self, depth: usize) {
        // SAFETY: this thread's arena; borrowed for this statement only. Nothing is dropped: the elements are plain.
        unsafe { &mut *self.tags.get() }.truncate(depth);
        self.renew_grant();
    }

    /// The innermost open tag scope.
    pub(crate) fn innermost_tag(&self) -> Option<OpenTag> {
        self.tag_at(self.open_tags().wrapping_sub(1))
    }

    fn open_tags(&self) -> usize {
        // SAFETY: this thread's arena; borrowed for this statement only.
        unsafe { &*self.tags.get() }.len()
    }

    fn tag_at(&self, depth: usize) -> Option<OpenTag> {
        // SAFETY: as above.
        unsafe { &*self.tags.get() }.get(depth).copied()
    }

    /// Computes the grant and the bound anew.
    fn renew_grant(&self) {
        // SAFETY: as above.
        let tags = unsafe { &*self.tags.get() }.iter().map(|open| open.grant).min();
        self.grant.set(tags.unwrap_or(usize::MAX).min(self.thread_grant.get()));
        self.rebound();
    }

    /// Asks for `needed` bytes behind the position, of the thread's grant and those of all open scopes, as far as they do not
    /// suffice. Whether none was refused.
    pub(super) fn extend_grants(&self, needed: usize) -> bool {
        let mut extended = self.extend(None, needed);
        // The outer scopes first. The governor may open some inside, and closes them before it returns.
        for depth in 0..self.open_tags() {
            extended = extended && self.extend(Some(depth), needed);
        }
        self.renew_grant();
        extended
    }

    /// What the thread's grant is, or that of the scope at a depth.
    fn granted(&self, depth: Option<usize>) -> usize {
        match depth {
            Some(depth) => self.tag_at(depth).map_or(usize::MAX, |open| open.grant),
            None => self.thread_grant.get(),
        }
    }

    /// One grant: the thread's, or that of the scope at a depth. What is refused is asked a second time if the governor makes room.
    fn extend(&self, depth: Option<usize>, needed: usize) -> bool {
        let Supply::Store(store) = &self.supply else { return false };
        let governor = store.source().governor();
        let mut refusals = Refusals::new(governor);
        loop {
            // Anew in each round: the governor may have allocated.
            let granted = self.granted(depth);
            let missing = self.position().saturating_add(needed).saturating_sub(granted);
            if missing == 0 {
                return true;
            }
            let scope = depth.and_then(|depth| self.tag_at(depth)).map(|open| open.scope);
            let scarce = scope.map_or(Scarce::Thread { granted }, Scarce::Tag);
            let shortage = Shortage { scarce, bytes: missing };
            let mut verdict = ask(governor, Verdict::Deny, |governor| match scope {
                Some(scope) => governor.extend_tag(&scope, missing),
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
            // Whatever was allocated meanwhile is found out by the caller, who asks again.
            self.add_to_grant(depth, added(verdict, missing));
            return true;
        }
    }

    fn add_to_grant(&self, depth: Option<usize>, bytes: usize) {
        match depth {
            Some(depth) => {
                // SAFETY: this thread's arena; borrowed for this statement only.
                if let Some(open) = unsafe { &mut *self.tags.get() }.get_mut(depth) {
                    open.grant = open.grant.saturating_add(bytes);
                }
            }
            None => self.thread_grant.set(self.thread_grant.get().saturating_add(bytes)),
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::chunk::Growth;
    use crate::governor::{Tag, TagScope};

    fn open(grant: usize) -> OpenTag {
        OpenTag { scope: TagScope { tag: Tag::new("tag"), arena: 0, depth: 0 }, told: 0, grant }
    }

    /// As a program does that switches stacks inside of a scope.
    #[test]
    fn scopes_that_close_out_of_order_leave_no_grant_behind() {
        let arena = RawArena::new(Supply::Global, Growth::DEFAULT, 8);
        let (first, second) = (arena.open_tag(open(100)), arena.open_tag(open(50)));
        assert_eq!((first, second, arena.grant.get()), (0, 1, 50));
        arena.close_tag(first);
        assert_eq!(arena.grant.get(), usize::MAX);
        let third = arena.open_tag(open(70));
        assert_eq!((third, arena.grant.get()), (0, 70));
        arena.close_tag(second);
        assert_eq!(arena.grant.get(), 70, "it is gone, and the one in its place is not");
        arena.close_tag(third);
        assert_eq!((arena.grant.get(), arena.innermost_tag().is_none()), (usize::MAX, true));
    }
}
