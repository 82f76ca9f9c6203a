//! What can go wrong, in words: every error names the value that was asked for and the bound it met.

use core::fmt;

use crate::governor::Resource;

/// Why memory could not be had, or a configuration was refused.
///
/// Its text names the value and the limit; [`kind`](Self::kind) gives the same for programs.
///
/// ```
/// use framealloc_core::{Arena, FixedBackend};
/// let mut arena = Arena::with_backend(Box::new(FixedBackend::new(4096)));
/// let error = arena.try_alloc_slice_fill::<u8>(1 << 20, 0).unwrap_err();
/// assert!(error.to_string().contains("1048576"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError {
    kind: AllocErrorKind,
}

/// The kinds of [`AllocError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocErrorKind {
    /// `count` elements of `size` bytes are more than `isize::MAX` bytes.
    CapacityOverflow {
        /// Elements asked for.
        count: usize,
        /// Bytes of one element.
        size: usize,
    },
    /// The backend had no memory.
    OutOfMemory {
        /// Bytes asked of the backend.
        size: usize,
        /// Their alignment.
        align: usize,
    },
    /// The governor did not allow the memory to be taken.
    Refused {
        /// What it was to be used for.
        resource: Resource,
        /// Bytes that were needed.
        requested: usize,
        /// Bytes that were allowed.
        allowed: usize,
    },
    /// The bytes granted to the open tag scope are used up.
    OverGrant {
        /// Bytes asked for.
        requested: usize,
        /// Bytes left of the grant.
        remaining: usize,
    },
    /// The backend returned memory at an address that is not aligned as asked.
    Misaligned {
        /// The address it returned.
        address: usize,
        /// The alignment it was asked for.
        align: usize,
    },
    /// The backend returned fewer bytes than asked.
    Short {
        /// Bytes it returned.
        returned: usize,
        /// Bytes it was asked for.
        requested: usize,
    },
    /// The backend returned memory that it had already handed out.
    Overlapping {
        /// First byte of the memory it returned.
        address: usize,
        /// Bytes it returned.
        size: usize,
    },
    /// A setting of the configuration is out of its bounds.
    Config {
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        value: usize,
        /// What would have been accepted.
        bound: &'static str,
    },
    /// The operating system refused memory on a NUMA node.
    Numa {
        /// The node that was asked for.
        node: u32,
        /// The highest node there is.
        highest: u32,
    },
    /// The governor does not govern this allocator.
    Governor {
        /// Why.
        reason: &'static str,
    },
    /// Leases are out, so that no frame can end.
    Leased {
        /// How many.
        leases: usize,
    },
}

impl AllocError {
    #[must_use]
    #[cold]
    pub(crate) const fn new(kind: AllocErrorKind) -> Self {
        Self { kind }
    }

    #[must_use]
    #[cold]
    pub(crate) const fn capacity(count: usize, size: usize) -> Self {
        Self::new(AllocErrorKind::CapacityOverflow { count, size })
    }

    /// What went wrong, with its figures.
    #[must_use]
    pub const fn kind(&self) -> AllocErrorKind {
        self.kind
    }

    /// The panic behind every infallible method: it unwinds, also out of a growing collection.
    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(crate) fn raise(self) -> ! {
        panic!("{self}")
    }
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            AllocErrorKind::CapacityOverflow { count, size } => {
                let most = isize::MAX - 8192;
                write!(
                    f,
                    "{count} elements of {size} bytes, with their alignment, are more than the {most} bytes of a block"
                )
            }
            AllocErrorKind::OutOfMemory { size, align } => {
                write!(f, "the backend has no memory for {size} bytes aligned to {align}")
            }
            AllocErrorKind::Refused { resource, requested, allowed } => {
                write!(f, "{requested} bytes for a {resource} were refused: the governor allows {allowed}")
            }
            AllocErrorKind::OverGrant { requested, remaining } => {
                write!(f, "{requested} bytes asked for, but the open tag has {remaining} bytes left of its grant")
            }
            AllocErrorKind::Misaligned { address, align } => {
                write!(f, "the backend returned address {address:#x}, which is not aligned to {align}")
            }
            AllocErrorKind::Short { returned, requested } => {
                write!(f, "the backend returned {returned} bytes where {requested} were asked for")
            }
            AllocErrorKind::Overlapping { address, size } => {
                write!(f, "the backend returned {size} bytes at {address:#x}, which overlap memory still in use")
            }
            AllocErrorKind::Config { setting, value, bound } => {
                write!(f, "{setting} is {value}, but must be {bound}")
            }
            AllocErrorKind::Numa { node, highest } => {
                write!(f, "NUMA node {node} cannot be used: the highest node online is {highest}")
            }
            AllocErrorKind::Governor { reason } => write!(f, "the governor cannot govern this allocator: {reason}"),
            AllocErrorKind::Leased { leases } => {
                write!(f, "the frame cannot end: leases are out, {leases} of them, and must be 0")
            }
        }
    }
}

impl core::error::Error for AllocError {}

/// Why a value that is built in place by a fallible closure is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitError<E> {
    /// There was no memory for it; the closure did not run.
    Alloc(AllocError),
    /// The closure failed; its memory was given back.
    Init(E),
}

impl<E: fmt::Display> fmt::Display for InitError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alloc(e) => e.fmt(f),
            Self::Init(e) => e.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for InitError<E> {}
