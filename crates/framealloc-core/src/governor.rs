//! The one hook upward: asked before memory is taken, told afterwards.
//!
//! Everything here is called on cold paths only, never for a single allocation, and never while a lock is held or
//! state is borrowed: a governor may allocate, also from the allocator it governs. Such nested requests are not
//! put to the governor again, so that it cannot recurse.

use core::fmt;

/// What memory is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// A chunk of a frame or scratch arena.
    Chunk,
    /// A slab of a pool's size class.
    Slab,
    /// A block above the largest size class.
    Large,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chunk => "chunk",
            Self::Slab => "slab",
            Self::Large => "large block",
        })
    }
}

/// A request for memory, before the backend sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// What the memory is for.
    pub resource: Resource,
    /// Bytes that would be taken.
    pub bytes: usize,
    /// Bytes that would do; a verdict below this is a refusal.
    pub minimum: usize,
    /// Bytes this allocator holds from its backends already.
    pub committed: usize,
}

/// A governor's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As much as asked.
    Allow,
    /// At most so many bytes. More than was asked means [`Allow`](Self::Allow).
    AllowUpTo(usize),
    /// Nothing.
    Deny,
}

impl Verdict {
    /// The bytes allowed of `bytes`.
    #[must_use]
    pub const fn of(self, bytes: usize) -> usize {
        match self {
            Self::Allow => bytes,
            Self::AllowUpTo(limit) if limit < bytes => limit,
            Self::AllowUpTo(_) => bytes,
            Self::Deny => 0,
        }
    }
}

/// The name under which a part of the program allocates.
///
/// ```
/// use framealloc_core::Tag;
/// static PHYSICS: Tag = Tag::new("physics");
/// assert_eq!(PHYSICS.name(), "physics");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag {
    name: &'static str,
}

impl Tag {
    /// A tag of this name; two tags of one name are the same.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }
}

impl From<&'static str> for Tag {
    fn from(name: &'static str) -> Self {
        Self::new(name)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Decides over memory, and is told what became of it.
///
/// Every method has a default that allows everything and does nothing. The methods run on the thread that needs the
/// memory; several threads may call at once. A governor must not end a frame, which the borrow checker sees to.
pub trait Governor: Send + Sync {
    /// Asked before memory is taken from a backend.
    fn request(&self, request: &Request) -> Verdict {
        let _ = request;
        Verdict::Allow
    }

    /// Told what became of a request that was allowed: `obtained` bytes, 0 if the backend failed.
    fn settle(&self, request: &Request, obtained: usize) {
        let _ = (request, obtained);
    }

    /// Told that `bytes` went back to the backend.
    fn release(&self, resource: Resource, bytes: usize) {
        let _ = (resource, bytes);
    }

    /// Asked when a tag scope opens on this thread: how many bytes of frame memory it may use.
    /// The answer becomes part of the bump bound; an enclosing scope's grant still holds.
    fn open_tag(&self, tag: Tag) -> Verdict {
        let _ = tag;
        Verdict::Allow
    }

    /// Asked when a tag scope's grant does not suffice for `needed` further bytes: how many bytes to add to the
    /// grant. Less than `needed` is a refusal, and adds nothing; so is an answer that the grant of an enclosing scope cuts
    /// to less.
    fn extend_tag(&self, tag: Tag, needed: usize) -> Verdict {
        let _ = (tag, needed);
        Verdict::Deny
    }

    /// Told when a tag scope closes: `bytes` were used in it, enclosed scopes included.
    fn close_tag(&self, tag: Tag, bytes: usize) {
        let _ = (tag, bytes);
    }

    /// Told when a frame has ended, with each thread's share, after its memory was reclaimed.
    fn end_frame(&self, stats: &crate::stats::FrameStats, threads: &[crate::stats::ThreadStats]) {
        let _ = (stats, threads);
    }
}

/// The governor that allows everything: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ungoverned;

impl Governor for Ungoverned {}
