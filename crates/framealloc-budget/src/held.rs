//! The blocks that the allocator holds, for whoever shows them: a page, or a viewer that comes late.

use std::collections::HashMap;

use framealloc_core::HeldBlock;

/// By their addresses. The list may need memory for itself, of which it is not told: see
/// [`Governor::taken`](framealloc_core::Governor::taken).
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) blocks: HashMap<usize, HeldBlock>,
    /// Those of the last frame's end.
    #[cfg(feature = "report")]
    pub(crate) last: Vec<HeldBlock>,
    /// The viewer's connection that was told of them.
    #[cfg(feature = "tracy")]
    pub(crate) told: Option<u64>,
}
