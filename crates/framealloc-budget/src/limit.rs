//! What may be limited, by how much, and what happens beyond.

use std::fmt;
use std::sync::Arc;

use crate::bytes;
use crate::ledger::NONE;

/// A soft and a hard limit, in bytes.
///
/// Passing a soft limit is [pressure](crate::Pressure), noticed when the frame ends. Nothing passes a hard limit, but by
/// [`OverLimit::Heap`].
///
/// ```
/// use framealloc_budget::{Limit, bytes::mib};
/// let limit = Limit::soft(mib(6)).with_hard(mib(8));
/// assert_eq!((limit.soft_bytes(), limit.hard_bytes()), (Some(mib(6)), Some(mib(8))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    soft: usize,
    hard: usize,
    over: Option<OverLimit>,
}

impl Limit {
    /// No limit.
    pub const NONE: Self = Self { soft: NONE, hard: NONE, over: None };

    /// A soft limit only.
    #[must_use]
    pub const fn soft(bytes: usize) -> Self {
        Self { soft: bytes, ..Self::NONE }
    }

    /// A hard limit only.
    #[must_use]
    pub const fn hard(bytes: usize) -> Self {
        Self { hard: bytes, ..Self::NONE }
    }

    /// With this soft limit.
    #[must_use]
    pub const fn with_soft(self, bytes: usize) -> Self {
        Self { soft: bytes, ..self }
    }

    /// With this hard limit.
    #[must_use]
    pub const fn with_hard(self, bytes: usize) -> Self {
        Self { hard: bytes, ..self }
    }

    /// With an answer of its own to what would pass the hard limit, instead of the budget's.
    #[must_use]
    pub const fn with_over(self, over: OverLimit) -> Self {
        Self { over: Some(over), ..self }
    }

    /// The soft limit, if there is one.
    #[must_use]
    pub const fn soft_bytes(&self) -> Option<usize> {
        if self.soft == NONE { None } else { Some(self.soft) }
    }

    /// The hard limit, if there is one.
    #[must_use]
    pub const fn hard_bytes(&self) -> Option<usize> {
        if self.hard == NONE { None } else { Some(self.hard) }
    }

    /// The answer to what would pass the hard limit, if it has one of its own.
    #[must_use]
    pub const fn over(&self) -> Option<OverLimit> {
        self.over
    }

    pub(crate) const fn raw(&self) -> (usize, usize) {
        (self.soft, self.hard)
    }

    pub(crate) fn check(&self, account: &Account) -> Result<(), BudgetError> {
        if self.hard != NONE && self.soft != NONE && self.soft > self.hard {
            return Err(BudgetError::SoftAboveHard { account: account.clone(), soft: self.soft, hard: self.hard });
        }
        Ok(())
    }
}

/// What happens when a hard limit would be passed, after eviction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OverLimit {
    /// The allocation is refused: an `Err` of a `try_` method, a panic of the others.
    #[default]
    Error,
    /// It is granted beyond the limit, and counted as overflow, if all accounts that have no room for it say so. Chunks, slabs and large
    /// blocks then come from the program's allocator instead of the backends that were set, and are counted apart: for these, all accounts
    /// with a hard limit must say so.
    Heap,
    /// A panic that names the account and its limit, also out of `try_` methods. An error while the thread is unwinding already.
    Panic,
}

/// What a limit is set on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Account {
    /// All memory held from the backends: chunks, slabs and large blocks.
    Committed,
    /// Slabs and large blocks, the part of it that pools hold.
    Pools,
    /// Frames that were sealed by hand and not dropped yet.
    Sealed,
    /// Frame memory handed out in one frame, by all threads.
    Frame,
    /// Frame memory handed out in one frame by each thread.
    Thread,
    /// Frame memory handed out in one frame in scopes of this tag, and of those inside: a path, `parent/child`.
    Tag(Arc<str>),
}

impl Account {
    /// The account of a tag's path.
    ///
    /// ```
    /// use framealloc_budget::Account;
    /// assert_eq!(Account::tag("physics/contacts").to_string(), "tag physics/contacts");
    /// ```
    #[must_use]
    pub fn tag(path: &str) -> Self {
        Self::Tag(path.into())
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Committed => f.write_str("committed"),
            Self::Pools => f.write_str("pools"),
            Self::Sealed => f.write_str("sealed"),
            Self::Frame => f.write_str("frame"),
            Self::Thread => f.write_str("thread"),
            Self::Tag(path) => write!(f, "tag {path}"),
        }
    }
}

/// What an account used in the last frame, and its limits. Bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitUse {
    /// The account.
    pub account: Account,
    /// Its soft limit, if it has one.
    pub soft: Option<usize>,
    /// Its hard limit, if it has one.
    pub hard: Option<usize>,
    /// The most it used at a time.
    pub used: usize,
}

impl LimitUse {
    /// What was left below the hard limit, or, where there is none, the soft one; 0 if it was passed.
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.hard.or(self.soft).unwrap_or(NONE).saturating_sub(self.used)
    }
}

/// Why a limit could not be set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BudgetError {
    /// The soft limit is above the hard one, where it would never be noticed.
    SoftAboveHard {
        /// The account.
        account: Account,
        /// The soft limit.
        soft: usize,
        /// The hard limit.
        hard: usize,
    },
    /// A tag's path is empty, has an empty name, one that repeats the name before it, or more names than the 32 that are told apart.
    Path {
        /// The path.
        path: Arc<str>,
    },
    /// The budget has as many tags as are told apart.
    TooManyTags {
        /// The path of the tag that is one too many.
        path: Arc<str>,
        /// How many there may be.
        most: usize,
    },
    /// A hard limit on frames or threads, where there was none when the allocator was made: no thread asks for its grant.
    NotBounded {
        /// The account.
        account: Account,
    },
    /// More frames are to be kept than can be.
    History {
        /// How many.
        frames: usize,
        /// How many there may be.
        most: usize,
    },
    /// Samples are to be taken at an interval that is none, or longer than there can be.
    #[cfg(feature = "sample")]
    Sampling {
        /// Bytes between two samples.
        interval: usize,
        /// How many there may be.
        most: usize,
    },
    /// A setting of pressure is out of its bounds.
    Pressure {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What would have been accepted.
        bound: &'static str,
    },
}

impl fmt::Display for BudgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SoftAboveHard { account, soft, hard } => write!(
                f,
                "{account}: the soft limit of {soft} bytes ({}) is above the hard limit of {hard} ({})",
                bytes::display(*soft),
                bytes::display(*hard)
            ),
            Self::Path { path } => {
                write!(
                    f,
                    "`{path}` is not the path of a tag: 1 to {} names, with a `/` between them, none twice in succession",
                    crate::tree::MAX_DEPTH
                )
            }
            Self::TooManyTags { path, most } => {
                write!(f, "`{path}` is one tag more than the {most} that are told apart")
            }
            Self::NotBounded { account } => write!(
                f,
                "{account}: a hard limit can be changed at any time, but must be there when the allocator is made"
            ),
            #[cfg(feature = "sample")]
            Self::Sampling { interval, most } => {
                write!(f, "samples are to be taken every {interval} bytes, but must be every 1 to {most}")
            }
            Self::History { frames, most } => {
                write!(f, "the history is to have {frames} frames, but must have from 1 to {most}")
            }
            Self::Pressure { setting, value, bound } => write!(f, "{setting} is {value}, but must be {bound}"),
        }
    }
}

impl std::error::Error for BudgetError {}
