//! Tags as paths: which scopes of which tag lie in which.
//!
//! Promises that a node's number never changes and is greater than its parent's, so that sums over children are one pass backwards.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::ReentrantMutex;

use crate::ledger::{Ledger, NONE};
use crate::limit::{BudgetError, Limit, OverLimit};
use crate::sync::{AtomicUsize, Ordering};

/// Names in a path. Scopes that lie deeper count to the last one that is told apart.
pub(crate) const MAX_DEPTH: usize = 32;

/// Tags that are told apart; what comes later counts to the scope around it.
pub(crate) const MAX_NODES: usize = 4096;

pub(crate) type NodeId = u32;

/// What lies in no tag.
pub(crate) const ROOT: NodeId = 0;

/// One tag in its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) parent: NodeId,
    depth: usize,
    pub(crate) path: Arc<str>,
    /// Frame memory granted to its open scopes, and used by those of this frame that are closed.
    pub(crate) ledger: Ledger,
    pub(crate) over: Over,
    /// The soft limit.
    pub(crate) soft: AtomicUsize,
    #[cfg(feature = "tracy")]
    pub(crate) place: std::sync::OnceLock<&'static crate::tracy::Place>,
}

/// What an account counts beyond its limit, and what it does there.
#[derive(Debug)]
pub(crate) struct Over {
    /// Bytes beyond the limit since the frame began.
    pub(crate) bytes: AtomicUsize,
    /// Requests that were refused since the frame began.
    pub(crate) refused: AtomicUsize,
    policy: AtomicUsize,
}

impl Over {
    pub(crate) fn new(policy: Option<OverLimit>) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            policy: AtomicUsize::new(policy.map_or(0, |policy| policy as usize + 1)),
        }
    }

    /// Requests refused and bytes granted beyond the limit since the last call.
    pub(crate) fn take(&self) -> (usize, usize) {
        // Mostly there are none, and a swap takes the line from whoever has it.
        let take = |count: &AtomicUsize| match count.load(Ordering::Relaxed) {
            0 => 0,
            _ => count.swap(0, Ordering::Relaxed),
        };
        (take(&self.refused), take(&self.bytes))
    }

    pub(crate) fn set_policy(&self, policy: Option<OverLimit>) {
        self.policy.store(policy.map_or(0, |policy| policy as usize + 1), Ordering::Relaxed);
    }

    /// The account's own answer, or this.
    pub(crate) fn policy(&self, otherwise: OverLimit) -> OverLimit {
        match self.policy.load(Ordering::Relaxed) {
            1 => OverLimit::Error,
            2 => OverLimit::Heap,
            3 => OverLimit::Panic,
            _ => otherwise,
        }
    }
}

/// The lock is one that a thread may take again: the program's allocator, which runs while the tree grows, may open a tag.
/// It then finds the tree in use, and its tag is that of the scope around it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    inner: ReentrantMutex<RefCell<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    nodes: Vec<Arc<Node>>,
    children: HashMap<(NodeId, Box<str>), NodeId>,
}

impl Inner {
    fn child(&mut self, parent: NodeId, name: &str) -> Option<NodeId> {
        if let Some(&id) = self.children.get(&(parent, name.into())) {
            return Some(id);
        }
        let above = &self.nodes[parent as usize];
        if above.depth == MAX_DEPTH || self.nodes.len() == MAX_NODES {
            return None;
        }
        let path = if parent == ROOT { name.into() } else { format!("{}/{name}", above.path).into() };
        let id = NodeId::try_from(self.nodes.len()).expect("few");
        self.nodes.push(Arc::new(Node {
            id,
            parent,
            depth: above.depth + 1,
            path,
            ledger: Ledger::new(NONE),
            over: Over::new(None),
            soft: AtomicUsize::new(NONE),
            #[cfg(feature = "tracy")]
            place: std::sync::OnceLock::new(),
        }));
        self.children.insert((parent, name.into()), id);
        Some(id)
    }
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

/// Whether it is the path of a tag, from the root.
pub(crate) fn check_path(path: &str) -> Result<(), BudgetError> {
    let names = || path.split('/');
    // A scope of a tag right inside one of that tag is no scope of its own.
    let repeats = names().zip(names().skip(1)).any(|(outer, inner)| outer == inner);
    if names().count() > MAX_DEPTH || names().any(str::is_empty) || repeats {
        return Err(BudgetError::Path { path: path.into() });
    }
    Ok(())
}

impl Tree {
    pub(crate) fn new() -> Self {
        let root = Node {
            id: ROOT,
            parent: ROOT,
            depth: 0,
            path: "".into(),
            ledger: Ledger::new(NONE),
            over: Over::new(None),
            soft: AtomicUsize::new(NONE),
            #[cfg(feature = "tracy")]
            place: std::sync::OnceLock::new(),
        };
        let inner = Inner { nodes: vec![Arc::new(root)], children: HashMap::new() };
        Self { inner: ReentrantMutex::new(RefCell::new(inner)) }
    }

    /// The node of a scope of the tag `name`, which may be a path, inside a scope of `parent`. That is `parent` itself where the
    /// innermost name is the same, so that what calls itself is one tag, and where no more are told apart.
    pub(crate) fn open(&self, parent: NodeId, name: &str) -> NodeId {
        let inner = self.inner.lock();
        let Ok(mut inner) = inner.try_borrow_mut() else { return parent };
        let mut at = parent;
        for name in names(name) {
            let innermost = inner.nodes[at as usize].path.rsplit('/').next().unwrap_or_default();
            if at != ROOT && innermost == name {
                continue;
            }
            match inner.child(at, name) {
                Some(child) => at = child,
                None => break,
            }
        }
        at
    }

    /// The node of a path from the root.
    pub(crate) fn find(&self, path: &str) -> Result<Arc<Node>, BudgetError> {
        check_path(path)?;
        let too_many = || BudgetError::TooManyTags { path: path.into(), most: MAX_NODES - 1 };
        let inner = self.inner.lock();
        let mut inner = inner.try_borrow_mut().map_err(|_| too_many())?;
        let mut at = ROOT;
        for name in names(path) {
            at = inner.child(at, name).ok_or_else(too_many)?;
        }
        Ok(inner.nodes[at as usize].clone())
    }

    /// The node of a path from the root, if it is known.
    pub(crate) fn get(&self, path: &str) -> Option<Arc<Node>> {
        let inner = self.inner.lock();
        let inner = inner.try_borrow().ok()?;
        let child = |at, name: &str| inner.children.get(&(at, Box::from(name))).copied();
        let id = names(path).try_fold(ROOT, child)?;
        (id != ROOT).then(|| inner.nodes[id as usize].clone())
    }

    /// The first node from `id` on that has a limit; none while the tree grows under this very thread.
    pub(crate) fn limited_from(&self, id: NodeId) -> Option<Arc<Node>> {
        let inner = self.inner.lock();
        let inner = inner.try_borrow().ok()?;
        inner.nodes.get(id as usize..)?.iter().find(|node| node.is_limited()).cloned()
    }

    /// From `first` on; none while the tree grows under this very thread.
    pub(crate) fn nodes_from(&self, first: usize) -> Vec<Arc<Node>> {
        let inner = self.inner.lock();
        inner.try_borrow().map_or_else(|_| Vec::new(), |inner| inner.nodes.get(first..).unwrap_or_default().to_vec())
    }

    /// Each node, children before their parents.
    pub(crate) fn each_backwards(&self, f: impl FnMut(&Node)) {
        let inner = self.inner.lock();
        if let Ok(inner) = inner.try_borrow() {
            inner.nodes.iter().rev().map(|node| &**node).for_each(f);
        }
    }

    pub(crate) fn len(&self) -> usize {
        let inner = self.inner.lock();
        inner.try_borrow().map_or(1, |inner| inner.nodes.len())
    }
}

impl Node {
    /// Whether it has a limit, soft or hard.
    fn is_limited(&self) -> bool {
        self.ledger.is_limited() || self.soft.load(Ordering::Relaxed) != NONE
    }

    pub(crate) fn set_limit(&self, limit: &Limit) {
        let (soft, hard) = limit.raw();
        self.soft.store(soft, Ordering::Relaxed);
        self.ledger.set_limit(hard);
        self.over.set_policy(limit.over());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn paths_and_nested_scopes_meet_in_the_same_node() {
        let tree = Tree::new();
        let physics = tree.open(ROOT, "physics");
        let broad = tree.open(physics, "broad");
        assert_eq!(tree.open(ROOT, "physics/broad"), broad);
        assert_eq!(tree.find("physics/broad").unwrap().id, broad);
        let node = |id: NodeId| tree.nodes_from(id as usize)[0].clone();
        assert_eq!(&*node(broad).path, "physics/broad");
        assert_ne!(tree.open(ROOT, "broad"), broad);
        assert!(physics < broad && node(broad).parent == physics);
    }

    #[test]
    fn recursion_is_one_tag_and_depth_is_bounded() {
        let tree = Tree::new();
        let a = tree.open(ROOT, "a");
        assert_eq!((tree.open(a, "a"), tree.open(a, "a/a")), (a, a));
        let mut at = ROOT;
        for i in 0..100 {
            at = tree.open(at, if i % 2 == 0 { "x" } else { "y" });
        }
        assert_eq!(tree.nodes_from(at as usize)[0].path.split('/').count(), MAX_DEPTH);
        for i in 0..2 * MAX_NODES {
            tree.open(ROOT, &i.to_string());
        }
        assert_eq!(tree.len(), MAX_NODES);
        assert_eq!(tree.open(a, "new"), a);
        assert!(matches!(tree.find("new"), Err(BudgetError::TooManyTags { .. })));
    }

    #[test]
    fn paths_that_are_none_are_refused() {
        let tree = Tree::new();
        let deep = (0..=MAX_DEPTH).map(|at| at.to_string()).collect::<Vec<_>>().join("/");
        for path in ["", "/", "a/", "/a", "a//b", "a/a", "b/a/a/c", &deep] {
            let error = tree.find(path).unwrap_err();
            assert!(matches!(&error, BudgetError::Path { path: named } if **named == *path), "{error}");
        }
        assert_eq!(tree.len(), 1);
    }
}
