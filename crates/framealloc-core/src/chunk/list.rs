//! An intrusive list of chunks: all its links lie in the chunks' headers, so that moving chunks allocates nothing.

use super::Chunk;

/// A doubly linked list of chunks. A plain value: whoever holds it owns its chunks, and copies are never both used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkList {
    head: Option<Chunk>,
    tail: Option<Chunk>,
}

impl Default for ChunkList {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkList {
    pub(crate) const fn new() -> Self {
        Self { head: None, tail: None }
    }

    #[cfg(feature = "std")]
    pub(crate) const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    pub(crate) const fn front(&self) -> Option<Chunk> {
        self.head
    }

    pub(crate) const fn back(&self) -> Option<Chunk> {
        self.tail
    }

    /// The chunk before `chunk`, which is on this list.
    pub(crate) fn before(&self, chunk: Chunk) -> Option<Chunk> {
        chunk.header().prev.get()
    }

    pub(crate) fn push_back(&mut self, chunk: Chunk) {
        chunk.header().prev.set(self.tail);
        chunk.header().next.set(None);
        match self.tail {
            Some(tail) => tail.header().next.set(Some(chunk)),
            None => self.head = Some(chunk),
        }
        self.tail = Some(chunk);
    }

    pub(crate) fn push_front(&mut self, chunk: Chunk) {
        let mut list = Self::new();
        list.push_back(chunk);
        self.prepend(list);
    }

    /// Takes `chunk`, which is on this list, off it.
    pub(crate) fn remove(&mut self, chunk: Chunk) {
        let (prev, next) = (chunk.header().prev.take(), chunk.header().next.take());
        match prev {
            Some(prev) => prev.header().next.set(next),
            None => self.head = next,
        }
        match next {
            Some(next) => next.header().prev.set(prev),
            None => self.tail = prev,
        }
    }

    pub(crate) fn pop_front(&mut self) -> Option<Chunk> {
        let chunk = self.head?;
        self.remove(chunk);
        Some(chunk)
    }

    pub(crate) fn pop_back(&mut self) -> Option<Chunk> {
        let chunk = self.tail?;
        self.remove(chunk);
        Some(chunk)
    }

    /// Puts the chunks of `list` before this list's, in constant time.
    pub(crate) fn prepend(&mut self, list: Self) {
        let (Some(_), Some(last)) = (list.head, list.tail) else { return };
        match self.head {
            Some(first) => {
                last.header().next.set(Some(first));
                first.header().prev.set(Some(last));
            }
            None => self.tail = Some(last),
        }
        self.head = list.head;
    }

    /// Puts the chunks of `list` after this list's, in constant time.
    pub(crate) fn append(&mut self, list: Self) {
        let mut joined = list;
        joined.prepend(*self);
        *self = joined;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Chunk> + use<> {
        core::iter::successors(self.head, |chunk| chunk.header().next.get())
    }

    /// What was handed out of these chunks is free.
    ///
    /// # Safety
    ///
    /// As for [`Chunk::free_from`].
    pub(crate) unsafe fn free_filled(&self) {
        if crate::annotate::LISTENS {
            // SAFETY: this function's contract.
            self.iter().for_each(|chunk| unsafe { chunk.free_from(chunk.start()) });
        }
    }

    /// These chunks, which hold one block each, are free.
    ///
    /// # Safety
    ///
    /// As for [`Chunk::free_whole`].
    pub(crate) unsafe fn free_whole(&self) {
        if crate::annotate::LISTENS {
            // SAFETY: this function's contract.
            self.iter().for_each(|chunk| unsafe { chunk.free_whole() });
        }
    }

    /// The first chunk for which `test` holds, taken off the list.
    pub(crate) fn take_first(&mut self, mut test: impl FnMut(&Chunk) -> bool) -> Option<Chunk> {
        let chunk = self.iter().find(|chunk| test(chunk))?;
        self.remove(chunk);
        Some(chunk)
    }

    /// The whole list; this one is empty afterwards.
    pub(crate) fn take(&mut self) -> Self {
        core::mem::take(self)
    }
}
