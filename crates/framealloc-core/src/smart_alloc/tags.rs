//! Tags: whose bytes these are. Counted by cursor differences, so that no allocation pays for them.

use core::cell::{Cell, UnsafeCell};
use std::vec::Vec;

use super::SmartAlloc;
use crate::arena::raw::OpenTag;
use crate::backend::ask;
use crate::governor::{Tag, TagScope, TagUse, Verdict};
use crate::reentry;
use crate::unwind::{attempt, resume};

/// What was allocated under a tag in one frame, by all threads. Scratch memory is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagStats {
    /// The tag.
    pub tag: Tag,
    /// The most bytes handed out at a time in each of its scopes, summed, including scopes of other tags inside.
    pub bytes: usize,
    /// Bytes handed out in its scopes, without those of scopes inside.
    pub own_bytes: usize,
    /// Allocations made in its scopes, including scopes inside; 0 unless the feature `count` is on.
    pub allocation_count: usize,
    /// Scopes that were closed.
    pub scopes: usize,
}

impl TagStats {
    fn new(tag: Tag) -> Self {
        Self { tag, bytes: 0, own_bytes: 0, allocation_count: 0, scopes: 0 }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.tag);
    }

    fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.own_bytes += other.own_bytes;
        self.allocation_count += other.allocation_count;
        self.scopes += other.scopes;
    }
}

/// Where the row of a tag is, made if there is none. `likely` is looked at first.
#[inline]
fn row(table: &mut Vec<TagStats>, tag: Tag, likely: usize) -> usize {
    // The same text at the same place, mostly.
    if table.get(likely).is_some_and(|row| core::ptr::eq(row.tag.name(), tag.name())) {
        likely
    } else {
        search(table, tag)
    }
}

#[cold]
fn search(table: &mut Vec<TagStats>, tag: Tag) -> usize {
    table.iter().position(|row| row.tag == tag).unwrap_or_else(|| {
        table.push(TagStats::new(tag));
        table.len() - 1
    })
}

/// One thread's counts since the last boundary.
pub(super) struct TagTable {
    rows: UnsafeCell<Vec<TagStats>>,
    /// Bytes of the scopes that were closed inside the open one.
    nested: Cell<usize>,
    /// Bytes and allocations of the labels that were closed inside the open one.
    labelled: Cell<(usize, usize)>,
}

impl TagTable {
    pub(super) const fn new() -> Self {
        Self { rows: UnsafeCell::new(Vec::new()), nested: Cell::new(0), labelled: Cell::new((0, 0)) }
    }

    /// Whether no tag was ever counted.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        // SAFETY: this thread's table, or the caller holds the allocator exclusively; borrowed for this statement only.
        unsafe { (*self.rows.get()).is_empty() }
    }

    fn add(&self, counts: &TagStats) {
        // SAFETY: this thread's table, borrowed for this statement only, in which nothing is allocated.
        match unsafe { &mut *self.rows.get() }.iter_mut().find(|row| row.tag == counts.tag) {
            Some(row) => row.add(counts),
            // The program's allocator runs: should it count under this very tag, there are two rows until the boundary.
            // SAFETY: this thread's table, of which no borrow is alive.
            None => unsafe { reentry::push(&self.rows, *counts) },
        }
    }

    /// Moves the counts into the table of all threads. At an exclusive point only.
    #[inline]
    pub(super) fn drain_into(&self, all: &mut Vec<TagStats>) {
        let mut at = 0;
        // SAFETY: the caller holds the allocator exclusively, and no user code runs meanwhile.
        for counts in unsafe { &mut *self.rows.get() } {
            // Threads mostly open the same tags in the same order: a search for each would be quadratic.
            let found = row(all, counts.tag, at);
            all[found].add(counts);
            at = found + 1;
            counts.clear();
        }
        self.nested.set(0);
        self.labelled.set((0, 0));
    }
}

impl SmartAlloc {
    /// Runs `f`, and counts what this thread allocates in it under `tag`. Scopes nest; with a governor, a scope's grant bounds
    /// what can be allocated in it.
    ///
    /// ```
    /// use framealloc_core::{SmartAlloc, Tag};
    /// static PHYSICS: Tag = Tag::new("physics");
    /// let mut alloc = SmartAlloc::default();
    /// let contacts = alloc.with_tag(PHYSICS, |a| {
    ///     a.with_tag("broad phase", |a| a.frame().alloc([0u64; 10]));
    ///     a.frame().alloc([0u64; 4])
    /// });
    /// assert_eq!(contacts.len(), 4);
    /// alloc.end_frame();
    /// let tags = alloc.tags();
    /// let physics = tags.iter().find(|t| t.tag == PHYSICS).unwrap();
    /// assert_eq!((physics.bytes, physics.own_bytes), (112, 32));
    /// ```
    pub fn with_tag<'f, R>(&'f self, tag: impl Into<Tag>, f: impl FnOnce(&'f Self) -> R) -> R {
        let tag = tag.into();
        let slot = self.slot();
        let arena = &slot.arena;
        let depth = arena.innermost_tag().map_or(0, |outer| outer.told);
        let scope = TagScope { tag, arena: slot.index, depth };
        // Asked before anything is changed: it may allocate.
        let verdict =
            self.core.governor().and_then(|governor| ask(governor, None, |governor| Some(governor.open_tag(&scope))));
        let position = arena.position();
        let grant = verdict.unwrap_or(Verdict::Allow).of(usize::MAX);
        let told = verdict.is_some();
        #[cfg(feature = "trace")]
        let traced = self.core.store.source().tracer().map(|tracer| tracer.open_tag(tag));
        let open = OpenTag { scope, told: depth + usize::from(told), grant: position.saturating_add(grant) };
        let close = Close {
            alloc: self,
            scope,
            told,
            depth: arena.open_tag(open),
            position,
            count: arena.count(),
            waste: arena.waste(),
            outer_peak: arena.replace_peak(position),
            outer_nested: slot.tags.nested.replace(0),
            #[cfg(feature = "trace")]
            traced,
        };
        let result = f(self);
        drop(close);
        result
    }

    /// Runs `f`, and counts what this thread allocates in it under `tag`, for [`tags`](Self::tags) alone: the governor is not told, so that limits
    /// and paths of tags inside are what they would be without it.
    ///
    /// For code that runs others' code, such as a schedule its systems. What is allocated in a label inside this one is that one's, not this one's: a
    /// system that waits for its tasks may run other systems meanwhile.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let mut alloc = SmartAlloc::default();
    /// alloc.with_label("solver", |a| {
    ///     a.frame().alloc([0u64; 10]);
    ///     a.with_tag("contacts", |a| a.frame().alloc([0u64; 5]).len());
    ///     a.with_label("sounds", |a| a.frame().alloc([0u64; 100]).len());
    /// });
    /// alloc.end_frame();
    /// let bytes = |tag| alloc.tags().iter().find(|of| of.tag.name() == tag).unwrap().bytes;
    /// assert_eq!((bytes("solver"), bytes("contacts"), bytes("sounds")), (120, 40, 800));
    /// ```
    pub fn with_label<'f, R>(&'f self, tag: impl Into<Tag>, f: impl FnOnce(&'f Self) -> R) -> R {
        let slot = self.slot();
        let position = slot.arena.position();
        let close = CloseLabel {
            alloc: self,
            tag: tag.into(),
            position,
            count: slot.arena.count(),
            outer_peak: slot.arena.replace_peak(position),
            outer_labelled: slot.tags.labelled.replace((0, 0)),
        };
        let result = f(self);
        drop(close);
        result
    }

    /// What was allocated under each tag in the last frame that ended.
    #[must_use]
    pub fn tags(&self) -> &[TagStats] {
        &self.core.exclusive().tags
    }
}

/// Closes a tag scope, also when it is left by a panic.
struct Close<'a> {
    alloc: &'a SmartAlloc,
    scope: TagScope,
    /// Whether the governor was.
    told: bool,
    /// Open scopes around it.
    depth: usize,
    position: usize,
    count: usize,
    waste: usize,
    outer_peak: usize,
    outer_nested: usize,
    /// Scopes of traced allocators around it, on this thread.
    #[cfg(feature = "trace")]
    traced: Option<usize>,
}

impl Drop for Close<'_> {
    fn drop(&mut self) {
        #[cfg(feature = "trace")]
        if let Some(depth) = self.traced {
            crate::trace::Tracer::close_tag(depth);
        }
        let (slot, scope) = (self.alloc.slot(), &self.scope);
        let arena = &slot.arena;
        // The most of it, also if it was freed inside.
        let peak = arena.replace_peak(0).max(self.position);
        arena.replace_peak(peak.max(self.outer_peak));
        let bytes = peak - self.position;
        let own_bytes = bytes.saturating_sub(slot.tags.nested.get());
        let allocation_count = arena.count().saturating_sub(self.count);
        slot.tags.add(&TagStats { tag: scope.tag, bytes, own_bytes, allocation_count, scopes: 1 });
        slot.tags.nested.set(self.outer_nested + bytes);
        arena.close_tag(self.depth);
        if self.told
            && let Some(governor) = self.alloc.core.governor()
        {
            let used = TagUse {
                peak: bytes,
                kept: arena.position().wrapping_sub(self.position).cast_signed(),
                waste: arena.waste().saturating_sub(self.waste),
            };
            // The scope may be left by a panic: a second one would be an abort.
            let mut panicked = None;
            attempt(&mut panicked, || ask(governor, (), |governor| governor.close_tag(scope, &used)));
            resume(panicked);
        }
    }
}

/// Closes a label, also when it is left by a panic.
struct CloseLabel<'a> {
    alloc: &'a SmartAlloc,
    tag: Tag,
    position: usize,
    count: usize,
    outer_peak: usize,
    outer_labelled: (usize, usize),
}

impl Drop for CloseLabel<'_> {
    fn drop(&mut self) {
        let slot = self.alloc.slot();
        let arena = &slot.arena;
        let peak = arena.replace_peak(0).max(self.position);
        arena.replace_peak(peak.max(self.outer_peak));
        let (inner_bytes, inner_count) = slot.tags.labelled.get();
        let (bytes, count) = (peak - self.position, arena.count().saturating_sub(self.count));
        let own = bytes.saturating_sub(inner_bytes);
        let allocation_count = count.saturating_sub(inner_count);
        slot.tags.add(&TagStats { tag: self.tag, bytes: own, own_bytes: own, allocation_count, scopes: 1 });
        let (outer_bytes, outer_count) = self.outer_labelled;
        slot.tags.labelled.set((outer_bytes + bytes, outer_count + count));
    }
}
