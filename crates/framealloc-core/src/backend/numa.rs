//! Memory of one NUMA node, and which nodes there are.
//!
//! Promises to say what was obtained, not what was hoped for: a container may refuse the binding, and a full node
//! gives way to another.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::NonNull;
use std::io;

use super::mmap::MmapBackend;
use super::{AllocationResult, AllocatorBackend};
use crate::error::{AllocError, AllocErrorKind};
use crate::sync::Mutex;

/// Nodes that Linux can be built for.
const MOST_NODES: u32 = 1024;

/// Mapped memory that prefers one NUMA node. Linux only.
///
/// The kernel is asked (`mbind` with `MPOL_PREFERRED`) to take the pages of each mapping from the node. If the node is
/// full it takes others rather than ending the program, and where the binding itself is refused, as containers do, the
/// memory is given all the same: [`NumaReport`] says what happened.
///
/// ```
/// use framealloc_core::{AllocConfig, NumaBackend, SmartAlloc};
/// let backend = NumaBackend::new(0)?;
/// let monitor = backend.monitor();
/// let alloc = SmartAlloc::new(AllocConfig::default().with_backend(Box::new(backend)));
/// let _ = alloc.frame_alloc::<[f32; 64]>();
/// let report = monitor.report();
/// assert_eq!(report.requested, 0);
/// # Ok::<(), framealloc_core::AllocError>(())
/// ```
#[derive(Debug)]
pub struct NumaBackend {
    node: u32,
    mappings: MmapBackend,
    monitor: NumaMonitor,
}

/// Which node was asked for, and which one the memory is on: of the latest mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NumaReport {
    /// The node that was asked for.
    pub requested: u32,
    /// The node of the mapping's first page, as the kernel says after it was touched; `None` if nothing was mapped yet,
    /// or if it does not say.
    pub obtained: Option<u32>,
    /// The error number with which the kernel refused the binding: `EPERM` in a container, `ENOSYS` without NUMA.
    pub bind_error: Option<i32>,
}

/// A shared view of the [`NumaReport`] of one backend.
#[derive(Clone, Debug)]
pub struct NumaMonitor {
    report: Arc<Mutex<NumaReport>>,
}

impl NumaMonitor {
    /// What was obtained so far.
    #[must_use]
    pub fn report(&self) -> NumaReport {
        *self.report.lock()
    }
}

impl NumaBackend {
    /// Memory of the node `node`.
    ///
    /// # Errors
    ///
    /// [`AllocErrorKind::Numa`] if no such node is online.
    ///
    /// ```
    /// use framealloc_core::{NumaBackend, online_nodes};
    /// let beyond = online_nodes().last().unwrap() + 1;
    /// assert!(NumaBackend::new(beyond).unwrap_err().to_string().contains("highest node online"));
    /// ```
    pub fn new(node: u32) -> Result<Self, AllocError> {
        let online = online_nodes();
        if !online.contains(&node) {
            let highest = online.last().copied().unwrap_or(0);
            return Err(AllocError::new(AllocErrorKind::Numa { node, highest }));
        }
        let report = NumaReport { requested: node, obtained: None, bind_error: None };
        let monitor = NumaMonitor { report: Arc::new(Mutex::new(report)) };
        Ok(Self { node, mappings: MmapBackend::new(), monitor })
    }

    /// Takes the settings of `mappings`: huge pages, prefaulting, a name, what happens when memory is refused.
    ///
    /// ```
    /// use framealloc_core::{HugePages, MmapBackend, NumaBackend};
    /// let backend = NumaBackend::new(0)?.with_mappings(MmapBackend::new().with_huge_pages(HugePages::Transparent));
    /// # drop(backend);
    /// # Ok::<(), framealloc_core::AllocError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If memory of this backend is out: it would not go back to where it was mapped.
    #[must_use]
    #[track_caller]
    pub fn with_mappings(mut self, mappings: MmapBackend) -> Self {
        self.mappings.assert_unused();
        self.mappings = mappings;
        self
    }

    /// A view of what was obtained, to be kept when the backend moves into an allocator.
    #[must_use]
    pub fn monitor(&self) -> NumaMonitor {
        self.monitor.clone()
    }
}

// SAFETY: memory comes from `MmapBackend` and goes back to it with the layout it was asked for. Where its pages are
// changes nothing about it.
unsafe impl AllocatorBackend for NumaBackend {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        let Self { node, mappings, monitor } = self;
        mappings.allocate_placed(layout, |ptr, len| {
            let bind_error = prefer(*node, ptr, len).err();
            let obtained = node_of(ptr);
            *monitor.report.lock() = NumaReport { requested: *node, obtained, bind_error };
        })
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is handed on unchanged.
        unsafe { self.mappings.deallocate(ptr, layout) }
    }

    fn name(&self) -> &'static str {
        "numa"
    }
}

/// Asks for the pages of a fresh mapping to come from `node`; the error number if that is refused.
fn prefer(node: u32, ptr: NonNull<u8>, len: usize) -> Result<(), i32> {
    const WORDS: usize = (MOST_NODES / libc::c_ulong::BITS) as usize;
    let mut nodes: [libc::c_ulong; WORDS] = [0; WORDS];
    nodes[(node / libc::c_ulong::BITS) as usize] = 1 << (node % libc::c_ulong::BITS);
    // The kernel reads one bit less than it is told.
    let bits = libc::c_ulong::from(MOST_NODES) + 1;
    // SAFETY: the mask has as many bits as the kernel reads, and a policy changes where pages of our mapping come from,
    // not what is in them.
    let result =
        unsafe { libc::syscall(libc::SYS_mbind, ptr.as_ptr(), len, libc::MPOL_PREFERRED, nodes.as_ptr(), bits, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

/// The node of the first page of a fresh mapping, which is touched for that.
fn node_of(ptr: NonNull<u8>) -> Option<u32> {
    /// `MPOL_F_NODE | MPOL_F_ADDR` of `linux/mempolicy.h`: tell the node of the page at an address.
    const NODE_AT_ADDRESS: libc::c_ulong = 1 | 2;
    let mut node: libc::c_int = -1;
    let no_mask = core::ptr::null_mut::<libc::c_ulong>();
    // SAFETY: the mapping is fresh and all zeros; the kernel writes one integer into `node` and no mask.
    let result = unsafe {
        ptr.write_volatile(0);
        libc::syscall(libc::SYS_get_mempolicy, &raw mut node, no_mask, 0usize, ptr.as_ptr(), NODE_AT_ADDRESS)
    };
    if result == 0 { node.try_into().ok() } else { None }
}

/// The NUMA nodes that are online, in ascending order. Where the system does not say, there is node 0. Linux only.
///
/// ```
/// assert!(!framealloc_core::online_nodes().is_empty());
/// ```
#[must_use]
pub fn online_nodes() -> Vec<u32> {
    let text = std::fs::read_to_string("/sys/devices/system/node/online").unwrap_or_else(|_| String::new());
    parse(&text).filter(|nodes| !nodes.is_empty()).unwrap_or_else(|| vec![0])
}

/// The NUMA node of the processor that runs this thread now; `None` where the system does not say. Linux only.
///
/// ```
/// if let Some(node) = framealloc_core::current_node() {
///     assert!(framealloc_core::online_nodes().contains(&node));
/// }
/// ```
#[must_use]
pub fn current_node() -> Option<u32> {
    let mut cpu: libc::c_uint = 0;
    let mut node: libc::c_uint = 0;
    let unused = core::ptr::null_mut::<libc::c_void>();
    // SAFETY: the kernel writes one integer into each of the two.
    let result = unsafe { libc::syscall(libc::SYS_getcpu, &raw mut cpu, &raw mut node, unused) };
    (result == 0).then_some(node)
}

/// The kernel's list format, `0-3,8`, in ascending order; `None` if it is something else.
fn parse(list: &str) -> Option<Vec<u32>> {
    let mut nodes = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last >= MOST_NODES {
            return None;
        }
        nodes.extend(first..=last);
    }
    nodes.sort_unstable();
    nodes.dedup();
    Some(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::mmap::HugePages;

    #[test]
    fn the_kernels_lists_are_understood() {
        assert_eq!(parse("0\n"), Some(vec![0]));
        assert_eq!(parse("0-3,8,10-11\n"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(parse("2,1,1-2"), Some(vec![1, 2]));
        assert_eq!(parse("\n"), Some(vec![]));
        for nonsense in ["x", "1-", "-1", "0-4294967295", "1024", "0x1", "1 2"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_node_that_does_not_exist_is_an_error_with_the_highest() {
        let highest = *online_nodes().last().unwrap();
        for node in [highest + 1, MOST_NODES, u32::MAX] {
            assert_eq!(NumaBackend::new(node).unwrap_err().kind(), AllocErrorKind::Numa { node, highest });
        }
    }

    #[test]
    fn memory_is_given_and_the_report_says_from_where() {
        for node in online_nodes() {
            for huge in [HugePages::None, HugePages::Transparent] {
                let mappings = MmapBackend::new().with_huge_pages(huge).with_prefault(true);
                let mapped = mappings.monitor();
                let mut backend = NumaBackend::new(node).unwrap().with_mappings(mappings);
                let monitor = backend.monitor();
                assert_eq!(monitor.report(), NumaReport { requested: node, obtained: None, bind_error: None });
                let layout = Layout::from_size_align(1 << 20, 1 << 16).unwrap();
                let AllocationResult::Ok(memory) = backend.allocate(layout) else { panic!("no memory") };
                // SAFETY: the block is ours and this long.
                unsafe { memory.cast::<u8>().write_bytes(1, layout.size()) };
                let report = monitor.report();
                assert_eq!(report.requested, node);
                match (report.obtained, report.bind_error) {
                    (Some(obtained), _) => assert!(online_nodes().contains(&obtained)),
                    (None, error) => assert!(error.is_some(), "bound, but nobody knows where"),
                }
                // SAFETY: taken above with this layout, and not used again.
                unsafe { backend.deallocate(memory.cast(), layout) };
                assert_eq!(mapped.report().mapped, 0);
            }
        }
    }

    #[test]
    fn a_refused_binding_is_an_error_number() {
        let nowhere = NonNull::without_provenance(rustix::param::page_size().try_into().unwrap());
        let error = prefer(0, nowhere, rustix::param::page_size()).unwrap_err();
        assert!([libc::EFAULT, libc::EPERM, libc::ENOSYS].contains(&error), "{error}");
    }

    #[test]
    fn this_thread_is_on_a_node_that_is_online() {
        if let Some(node) = current_node() {
            assert!(online_nodes().contains(&node));
        }
    }
}
