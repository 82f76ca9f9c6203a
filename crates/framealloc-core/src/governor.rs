//! The one hook upward: asked before memory is taken, told afterwards.
//!
//! Everything here is called on cold paths only, never for a single allocation, and never while a lock is held or
//! state is borrowed: a governor may allocate, also from the allocator it governs. Such nested requests are not
//! put to the governor again, so that it cannot recurse; but for those inside [`Governor::evict`], which is no question. Of blocks and
//! stages it is told even then.

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
    /// A frame that [`seal_frame`](crate::SmartAlloc::seal_frame) moves out. No memory is taken: chunks that the frame has are kept
    /// from the allocator until the sealed frame is dropped.
    Sealed,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chunk => "chunk",
            Self::Slab => "slab",
            Self::Large => "large block",
            Self::Sealed => "sealed frame",
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

/// What became of a request that was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// What the memory is for.
    pub resource: Resource,
    /// Bytes that were allowed: as many as were asked for, at most.
    pub allowed: usize,
    /// Bytes that were taken, no more than were allowed; 0 if the backend failed.
    pub obtained: usize,
    /// Whether they came from the program's allocator because the verdict was [`Verdict::Heap`].
    pub heap: bool,
}

/// Memory that went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Release {
    /// What the memory was for.
    pub resource: Resource,
    /// Bytes that went back.
    pub bytes: usize,
    /// Whether they had been taken by a verdict of [`Verdict::Heap`].
    pub heap: bool,
}

/// A block of memory that is held from a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct HeldBlock {
    /// What the memory is for.
    pub resource: Resource,
    /// Its first byte.
    pub address: usize,
    /// Its length.
    pub bytes: usize,
}

/// Work that is no part of an allocation's fast path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// A frame begins: chunks of sealed frames that were dropped are taken back.
    BeginFrame,
    /// A frame ends, is sealed, or goes to those in flight: destructors, reclaiming, and the governor's own
    /// [`end_frame`](Governor::end_frame).
    EndFrame,
    /// Memory is taken: the governor's verdict, and the backends.
    Take(Resource),
    /// Memory is given back to its backend.
    GiveBack(Resource),
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeginFrame => f.write_str("begin frame"),
            Self::EndFrame => f.write_str("end frame"),
            Self::Take(resource) => write!(f, "take {resource}"),
            Self::GiveBack(resource) => write!(f, "give back {resource}"),
        }
    }
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scarce {
    /// Memory for this.
    Resource(Resource),
    /// Frame memory of a tag scope of this thread.
    Tag(TagScope),
    /// Frame memory of this thread.
    Thread {
        /// Bytes that it is granted in this frame.
        granted: usize,
    },
}

/// A refusal, before it becomes an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shortage {
    /// What was refused.
    pub scarce: Scarce,
    /// Bytes that are needed, and would have to be allowed.
    pub bytes: usize,
}

/// A tag scope that is open on this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagScope {
    /// Its tag.
    pub tag: Tag,
    /// Number of the thread's arena: see [`ThreadStats::arena`](crate::ThreadStats::arena). The same from opening to closing.
    pub arena: usize,
    /// How many scopes of this thread, of which the governor was told, lie around it.
    pub depth: usize,
}

/// What a tag scope used. Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagUse {
    /// The most that was handed out at a time since the scope opened, scopes inside included.
    pub peak: usize,
    /// How much more is handed out than when the scope opened: less than 0 if what was there before was freed in it. The sum over
    /// all scopes that lie in no other, and what was handed out outside of them, is the thread's.
    pub kept: isize,
    /// Lost at the ends of chunks that were left while it was open, scopes inside included.
    pub waste: usize,
}

/// A block of frame memory that was handed out: the one among many that a sample is taken of.
#[cfg(feature = "sample")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// The line that asked for it: of the program, as far as this crate's methods were called. What a collection of another crate
    /// asks for, maps among them, is that crate's.
    pub site: &'static core::panic::Location<'static>,
    /// The innermost tag scope that it lies in.
    pub tag: Option<TagScope>,
    /// What was asked for.
    pub layout: core::alloc::Layout,
    /// The bytes that it had before, for a block that grew where it is; else 0.
    pub grown_from: usize,
    /// Bytes that frame memory grew by: what was asked for, less what it had, and what its alignment and that of the next block
    /// take.
    pub bytes: usize,
}

/// A governor's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As much as asked.
    Allow,
    /// At most so many bytes. More than was asked means [`Allow`](Self::Allow).
    AllowUpTo(usize),
    /// The bytes that are needed, from the program's allocator instead of the backends that were set: beyond a limit, and counted
    /// apart. For a tag scope, a thread or a sealed frame it means [`Allow`](Self::Allow).
    Heap,
    /// Nothing.
    Deny,
}

impl Verdict {
    /// The bytes allowed of `bytes`.
    #[must_use]
    pub const fn of(self, bytes: usize) -> usize {
        match self {
            Self::Allow | Self::Heap => bytes,
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
    /// Told once that it governs an allocator, which is being made.
    ///
    /// # Errors
    ///
    /// If it cannot, and why: then the allocator is not made.
    fn attach(&self) -> Result<(), &'static str> {
        Ok(())
    }

    /// Asked before memory is taken from a backend, or a frame is sealed.
    fn request(&self, request: &Request) -> Verdict {
        let _ = request;
        Verdict::Allow
    }

    /// Told what became of a request that was allowed.
    fn settle(&self, outcome: &Outcome) {
        let _ = outcome;
    }

    /// Told of memory that went back to the backend, or of a sealed frame that was dropped.
    fn release(&self, release: &Release) {
        let _ = release;
    }

    /// Told of a refusal before it becomes an error: may free memory, whatever it takes, and says whether to ask again, once.
    /// Unlike in the other methods, what is taken and given back in here is asked for and told of as everywhere else; but a
    /// refusal in here is final.
    fn evict(&self, shortage: &Shortage) -> bool {
        let _ = shortage;
        false
    }

    /// The last word on a refusal, after [`evict`](Self::evict): what to do beyond the limit. May panic, which unwinds into the
    /// program, also out of methods that return errors.
    fn refused(&self, shortage: &Shortage) -> Verdict {
        let _ = shortage;
        Verdict::Deny
    }

    /// Asked when a tag scope opens on this thread: how many bytes of frame memory it may use.
    /// The answer becomes part of the bump bound; an enclosing scope's grant still holds.
    fn open_tag(&self, scope: &TagScope) -> Verdict {
        let _ = scope;
        Verdict::Allow
    }

    /// Asked when a tag scope's grant does not suffice for `needed` further bytes: how many bytes to add to the
    /// grant. Less than `needed` is a refusal, and adds nothing. Where scopes are nested, the outer ones are asked first, as far as
    /// theirs do not suffice.
    fn extend_tag(&self, scope: &TagScope, needed: usize) -> Verdict {
        let _ = (scope, needed);
        Verdict::Deny
    }

    /// Told when a tag scope closes, what was used in it, enclosed scopes included.
    fn close_tag(&self, scope: &TagScope, used: &TagUse) {
        let _ = (scope, used);
    }

    /// Whether threads have grants of their own, tags or not: then each begins a frame with none, and asks by
    /// [`extend_thread`](Self::extend_thread). Read once, when the allocator is made.
    fn bounds_threads(&self) -> bool {
        false
    }

    /// Asked when this thread's grant, of `granted` bytes in this frame so far, does not suffice for `needed` further bytes of frame
    /// memory: how many bytes to add to it. Less than `needed` is a refusal, and adds nothing.
    fn extend_thread(&self, granted: usize, needed: usize) -> Verdict {
        let _ = (granted, needed);
        Verdict::Allow
    }

    /// Told of a block that was taken, before anybody uses it, and of each one: also of those that the governor's other methods need,
    /// about which it is not asked. Of what is taken in here itself it is not told, neither now nor when that goes back.
    fn taken(&self, block: &HeldBlock) {
        let _ = block;
    }

    /// Told of a block that goes back, after its last use and before the backend has it: nobody else can have been given its address.
    /// As for [`taken`](Self::taken), of each one.
    fn giving_back(&self, block: &HeldBlock) {
        let _ = block;
    }

    /// Told that a stage of work begins on this thread, for profilers. Stages may lie in one another, and in tag scopes. It must not
    /// panic: what it throws is dropped, and it is not told of the end.
    fn enter(&self, stage: Stage) {
        let _ = stage;
    }

    /// Told that the stage ends which began last on this thread, also if it is left by a panic. It must not panic either.
    fn leave(&self, stage: Stage) {
        let _ = stage;
    }

    /// Asked how many bytes of frame memory a thread is to be handed before the block that a sample is taken of, its first, or the next
    /// one: the block that reaches beyond them is told of by [`sampled`](Self::sampled). Bytes count again when their block was freed
    /// and they are handed out anew. Scratch arenas are not sampled. `None`: no sample for now; asked again in each frame.
    ///
    /// Where intervals are `-mean * ln(u)` bytes, rounded down, for `u` even between 0 and 1, a block of `n` bytes is sampled with a
    /// probability of `1 - exp(-n / mean)`, whatever was allocated before.
    #[cfg(feature = "sample")]
    fn sample_interval(&self) -> Option<usize> {
        None
    }

    /// Told of the block that a sample is taken of, which its user has not yet.
    #[cfg(feature = "sample")]
    fn sampled(&self, sample: &Sample) {
        let _ = sample;
    }

    /// Told last of the end of a frame, after [`end_frame`](Self::end_frame): for what is the program's, such as callbacks. As in
    /// [`evict`](Self::evict), what is taken and given back in here is asked for and told of as everywhere else, and a refusal in here
    /// is final.
    fn after_frame(&self) {}

    /// Told once that the allocator is gone, with all that outlives it: nothing is asked or told for it any more.
    fn detach(&self) {}

    /// Told when a frame has ended, with each thread's share, after its memory was reclaimed.
    #[cfg(feature = "std")]
    fn end_frame(&self, end: &crate::stats::FrameEnd<'_>) {
        let _ = end;
    }
}

/// The governor that allows everything: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ungoverned;

impl Governor for Ungoverned {}

impl<G: Governor + ?Sized> Governor for alloc::sync::Arc<G> {
    fn request(&self, request: &Request) -> Verdict {
        (**self).request(request)
    }

    fn settle(&self, outcome: &Outcome) {
        (**self).settle(outcome);
    }

    fn release(&self, release: &Release) {
        (**self).release(release);
    }

    fn evict(&self, shortage: &Shortage) -> bool {
        (**self).evict(shortage)
    }

    fn refused(&self, shortage: &Shortage) -> Verdict {
        (**self).refused(shortage)
    }

    fn open_tag(&self, scope: &TagScope) -> Verdict {
        (**self).open_tag(scope)
    }

    fn extend_tag(&self, scope: &TagScope, needed: usize) -> Verdict {
        (**self).extend_tag(scope, needed)
    }

    fn close_tag(&self, scope: &TagScope, used: &TagUse) {
        (**self).close_tag(scope, used);
    }

    fn taken(&self, block: &HeldBlock) {
        (**self).taken(block);
    }

    fn giving_back(&self, block: &HeldBlock) {
        (**self).giving_back(block);
    }

    fn enter(&self, stage: Stage) {
        (**self).enter(stage);
    }

    fn leave(&self, stage: Stage) {
        (**self).leave(stage);
    }

    fn attach(&self) -> Result<(), &'static str> {
        (**self).attach()
    }

    #[cfg(feature = "sample")]
    fn sample_interval(&self) -> Option<usize> {
        (**self).sample_interval()
    }

    #[cfg(feature = "sample")]
    fn sampled(&self, sample: &Sample) {
        (**self).sampled(sample);
    }

    fn detach(&self) {
        (**self).detach();
    }

    fn after_frame(&self) {
        (**self).after_frame();
    }

    fn bounds_threads(&self) -> bool {
        (**self).bounds_threads()
    }

    fn extend_thread(&self, granted: usize, needed: usize) -> Verdict {
        (**self).extend_thread(granted, needed)
    }

    #[cfg(feature = "std")]
    fn end_frame(&self, end: &crate::stats::FrameEnd<'_>) {
        (**self).end_frame(end);
    }
}
