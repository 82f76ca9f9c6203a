//! One thread's books: its open tag scopes, what they were granted, and what each tag used since the frame began.
//!
//! A lock stands around them for the end of a frame, which reads them from another thread; nobody else waits for it.

use std::sync::Arc;

use framealloc_core::{Tag, TagUse};

use crate::ledger::{Ledger, charge_all};
use crate::tree::{Node, NodeId, ROOT, Tree};

/// The most that is granted ahead of need, in bytes: a chunk.
const SLICE: usize = 64 << 10;

/// Tags inside of tags that a thread finds without asking the tree, which all threads share.
const KNOWN: usize = 256;

/// What is granted ahead of need: a slice, or, near the limit, an eighth of what is left, so that threads which have room to
/// spare keep little from those which have none.
pub(crate) fn slice(ledger: &Ledger) -> usize {
    SLICE.min(ledger.room() / 8)
}

/// What a scope was granted of a limited tag.
struct Grant {
    node: Arc<Node>,
    /// Charged to the tag's ledger.
    charged: usize,
}

struct Open {
    node: NodeId,
    /// Where its grants begin.
    grants: usize,
    /// What scopes inside kept.
    nested: isize,
    #[cfg(feature = "tracy")]
    zone: Option<crate::tracy::Zone>,
}

/// What one tag used on one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// What its scopes kept, without that of scopes inside.
    pub(crate) own: isize,
    /// The peaks of its scopes, summed, with those of tags inside that lie in no scope of this one.
    pub(crate) peak: usize,
    /// What its scopes lost at the ends of chunks, counted in the same way.
    pub(crate) waste: usize,
    pub(crate) scopes: usize,
}

/// A tag scope inside another one, and the node that is.
struct Known {
    parent: NodeId,
    name: &'static str,
    node: NodeId,
}

#[derive(Default)]
pub(crate) struct Books {
    stack: Vec<Open>,
    grants: Vec<Grant>,
    known: Vec<Known>,
    /// Those of the tree, as far as they were needed here: reading the tree is a lock that all threads share.
    nodes: Vec<Arc<Node>>,
    /// By number of the node.
    counts: Vec<Count>,
    /// Nodes that were counted since the frame began.
    touched: Vec<NodeId>,
}

impl Books {
    fn resolve(&mut self, tree: &Tree, parent: NodeId, tag: Tag) -> NodeId {
        let name = tag.name();
        // Names are mostly the same text at the same place.
        let same = |known: &&Known| known.parent == parent && std::ptr::eq(known.name, name);
        if let Some(known) = self.known.iter().find(same) {
            return known.node;
        }
        let node = tree.open(parent, name);
        // A program that makes up names as it goes is not to fill the memory with them.
        if self.known.len() < KNOWN {
            self.known.push(Known { parent, name, node });
        }
        node
    }

    fn node(&mut self, tree: &Tree, id: NodeId) -> &Arc<Node> {
        if self.nodes.len() <= id as usize {
            self.nodes.extend(tree.nodes_from(self.nodes.len()));
        }
        &self.nodes[id as usize]
    }

    fn innermost(&self) -> NodeId {
        self.stack.last().map_or(ROOT, |open| open.node)
    }

    /// The tag of the scope at this depth.
    #[cfg(feature = "sample")]
    pub(crate) fn node_at(&self, depth: usize) -> NodeId {
        self.stack.get(depth).map_or(ROOT, |open| open.node)
    }

    /// Opens a scope; what it is granted, `None` if nothing limits it.
    pub(crate) fn open(&mut self, tree: &Tree, tag: Tag) -> Option<usize> {
        let outer = self.innermost();
        let node = self.resolve(tree, outer, tag);
        #[cfg(feature = "tracy")]
        let zone = crate::tracy::Zone::begin(|| self.node(tree, node).place());
        let first = self.grants.len();
        let mut at = node;
        while at != outer {
            let node = self.node(tree, at);
            at = node.parent;
            if node.ledger.is_limited() {
                let node = node.clone();
                self.grants.push(Grant { node, charged: 0 });
            }
        }
        self.stack.push(Open {
            node,
            grants: first,
            nested: 0,
            #[cfg(feature = "tracy")]
            zone,
        });
        if self.grants.len() == first {
            return None;
        }
        Some(self.extend(self.stack.len() - 1, 0).unwrap_or(0))
    }

    fn grants_of(&self, depth: usize) -> std::ops::Range<usize> {
        let end = self.stack.get(depth + 1).map_or(self.grants.len(), |inner| inner.grants);
        self.stack.get(depth).map_or(0..0, |open| open.grants..end)
    }

    /// Grants `needed` more bytes, and some ahead, to the scope at this depth; how many, or `None` if a tag has no room.
    pub(crate) fn extend(&mut self, depth: usize, needed: usize) -> Option<usize> {
        let range = self.grants_of(depth);
        let ledgers = self.grants[range.clone()].iter().map(|grant| &grant.node.ledger);
        let ahead = ledgers.clone().map(slice).min().unwrap_or(0);
        let granted = charge_all(&ledgers, needed, ahead.max(needed)).ok()?;
        self.grants[range].iter_mut().for_each(|grant| grant.charged += granted);
        Some(granted)
    }

    /// Those tags of the scope at this depth that have no room for `needed` bytes.
    pub(crate) fn lacking(&self, depth: usize, needed: usize) -> Vec<Arc<Node>> {
        let grants = &self.grants[self.grants_of(depth)];
        grants.iter().filter(|grant| grant.node.ledger.room() < needed).map(|grant| grant.node.clone()).collect()
    }

    /// Charges `needed` bytes to those tags of the scope at this depth that have room for them; what the others are granted beyond their
    /// limits is counted when the scope closes.
    pub(crate) fn extend_where_there_is_room(&mut self, depth: usize, needed: usize) {
        let range = self.grants_of(depth);
        for grant in &mut self.grants[range] {
            grant.charged += grant.node.ledger.charge(needed, needed).unwrap_or(0);
        }
    }

    /// Closes the innermost scope.
    pub(crate) fn close(&mut self, tree: &Tree, used: &TagUse) {
        use crate::sync::Ordering;
        let Some(open) = self.stack.pop() else { return };
        for grant in self.grants.drain(open.grants..) {
            // What was used stays charged until the frame ends.
            grant.node.ledger.credit(grant.charged.saturating_sub(used.peak));
            // What was used beyond the grant, by the account's leave, fills the limit first.
            let beyond = used.peak.saturating_sub(grant.charged);
            let beyond = beyond - grant.node.ledger.charge(0, beyond).unwrap_or(0);
            grant.node.over.bytes.fetch_add(beyond, Ordering::Relaxed);
        }
        let outer = self.innermost();
        let own = used.kept - open.nested;
        let counted = self.count(open.node);
        counted.own += own;
        counted.scopes += 1;
        let mut at = open.node;
        while at != outer {
            let counted = self.count(at);
            counted.peak += used.peak;
            counted.waste += used.waste;
            at = self.node(tree, at).parent;
        }
        if let Some(outer) = self.stack.last_mut() {
            outer.nested += used.kept;
        }
        #[cfg(feature = "tracy")]
        if let Some(zone) = open.zone {
            zone.end();
        }
    }

    fn count(&mut self, node: NodeId) -> &mut Count {
        let at = node as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, Count::default());
        }
        if self.counts[at] == Count::default() {
            self.touched.push(node);
        }
        &mut self.counts[at]
    }

    /// At the end of a frame: hands over what was counted, and begins anew.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(NodeId, Count)) {
        for node in self.touched.drain(..) {
            // Twice in the list if it was counted back to nothing.
            each(node, std::mem::take(&mut self.counts[node as usize]));
        }
    }
}
