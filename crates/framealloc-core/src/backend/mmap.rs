//! Memory mapped from the operating system: what is freed is unmapped.
//!
//! Promises that an answer is aligned as asked, that huge pages are not wasted on small blocks, and that what the
//! kernel refused (names, huge pages, prefaulting) is reported, not hidden.

use alloc::ffi::CString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::{NonNull, null_mut};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::ranges::Ranges;
use super::{AllocationResult, AllocatorBackend};
use crate::bump::round_up;
use crate::sync::Mutex;

/// Bytes of a huge page as this module means it.
const HUGE: usize = 2 << 20;

/// Which pages an [`MmapBackend`] uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HugePages {
    /// The system's usual pages, or whatever its settings make of them.
    #[default]
    None,
    /// Transparent huge pages: mappings are aligned to 2 MiB and the kernel is advised (`MADV_HUGEPAGE`) to back them
    /// with huge pages. It does so if it can; a kernel without them is reported in
    /// [`MmapReport::huge_page_error`].
    Transparent,
    /// Pages of 2 MiB from the pool that the administrator reserved (`vm.nr_hugepages`). If the pool is empty, the
    /// request is refused: [`Failed`](AllocationResult::Failed), or [`Fallback`](AllocationResult::Fallback) after
    /// [`MmapBackend::with_fallback`]; never are small pages given instead.
    Explicit2MiB,
}

/// Anonymous private memory, mapped from the operating system and unmapped when it is freed. Linux only.
///
/// ```
/// use framealloc_core::{AllocConfig, HugePages, MmapBackend, SmartAlloc};
/// let backend = MmapBackend::new().with_huge_pages(HugePages::Transparent).with_name("frame memory");
/// let monitor = backend.monitor();
/// let alloc = SmartAlloc::new(AllocConfig::default().with_backend(Box::new(backend)));
/// let _ = alloc.frame_alloc::<[f32; 64]>();
/// assert!(monitor.report().mapped >= 256);
/// ```
///
/// Without huge pages each block is a mapping of its own, rounded up to whole pages. With huge pages, blocks of up to
/// 1 MiB share mappings of 2 MiB, each unmapped when its last block is freed; larger blocks have their own. What is
/// still out when the backend is dropped stays mapped.
#[derive(Debug, Default)]
pub struct MmapBackend {
    huge: HugePages,
    prefault: bool,
    fallback: bool,
    name: Option<CString>,
    regions: Vec<Region>,
    monitor: MmapMonitor,
}

/// A mapping of [`HUGE`] bytes, aligned to as many, that several blocks share.
#[derive(Debug)]
struct Region {
    base: NonNull<u8>,
    ranges: Ranges,
}

// SAFETY: the regions are mappings of the process, which no thread owns, and are reached through `&mut self` only.
unsafe impl Send for MmapBackend {}

/// What an [`MmapBackend`] did: readable while the backend is inside an allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MmapReport {
    /// Bytes mapped now.
    pub mapped: usize,
    /// How many mappings they are in.
    pub mappings: usize,
    /// Bytes of address space that the kernel refused to unmap; it was asked to take the pages behind them.
    pub stuck: usize,
    /// The last error number for which a request was refused, of mapping or of prefaulting.
    pub map_error: Option<i32>,
    /// The last error number of advising huge pages: `EINVAL` says that the kernel has none. The memory was given.
    pub huge_page_error: Option<i32>,
    /// The last error number of naming a mapping: `EINVAL` says that the kernel has no names
    /// (`CONFIG_ANON_VMA_NAME`). The memory was given.
    pub name_error: Option<i32>,
}

/// A shared view of the [`MmapReport`] of one backend.
#[derive(Clone, Debug, Default)]
pub struct MmapMonitor {
    report: Arc<Mutex<MmapReport>>,
}

impl MmapMonitor {
    /// The figures now.
    #[must_use]
    pub fn report(&self) -> MmapReport {
        *self.report.lock()
    }
}

impl MmapBackend {
    /// Mappings of the system's usual pages, faulted in when they are first touched.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for huge pages.
    ///
    /// A page of 2 MiB is the least that is mapped then: a good choice for large frame chunks.
    ///
    /// # Panics
    ///
    /// If memory of this backend is out: it would not go back as it was mapped.
    #[must_use]
    #[track_caller]
    pub fn with_huge_pages(mut self, huge: HugePages) -> Self {
        self.assert_unused();
        self.huge = huge;
        self
    }

    /// Whether the pages of a mapping are faulted in at once, so that no frame pays for them later.
    ///
    /// Where the system has too little memory for that, the request is refused.
    #[must_use]
    pub fn with_prefault(mut self, prefault: bool) -> Self {
        self.prefault = prefault;
        self
    }

    /// Names the mappings in `/proc/self/maps`, as `[anon:name]`.
    ///
    /// The kernel takes 79 printable ASCII characters without ``[]\$` ``; others become `_` and the rest is cut off. A
    /// kernel that knows no names is reported in [`MmapReport::name_error`].
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        let name: Vec<u8> = name
            .bytes()
            .map(|byte| if matches!(byte, b' '..=b'~') && !b"[]\\$`".contains(&byte) { byte } else { b'_' })
            .take(79)
            .collect();
        self.name = CString::new(name).ok();
        self
    }

    /// What the kernel refuses is asked of the next backend in the chain instead of being an error.
    #[must_use]
    pub fn with_fallback(mut self) -> Self {
        self.fallback = true;
        self
    }

    /// A view of what this backend does, to be kept when the backend moves into an allocator.
    #[must_use]
    pub fn monitor(&self) -> MmapMonitor {
        self.monitor.clone()
    }

    /// How memory is unmapped follows from the settings, which therefore stay as they are while any is out.
    #[track_caller]
    pub(super) fn assert_unused(&self) {
        let mappings = self.monitor.report().mappings;
        assert!(mappings == 0, "{mappings} mappings are out: choose how to map before memory is taken");
    }

    /// `allocate`, calling `placed` with the start and length of each fresh mapping before its pages are touched.
    pub(super) fn allocate_placed(
        &mut self,
        layout: Layout,
        mut placed: impl FnMut(NonNull<u8>, usize),
    ) -> AllocationResult {
        let ptr = if layout.size() == 0 {
            None
        } else if self.shares(layout) {
            self.share(layout, &mut placed)
        } else {
            self.own(layout).and_then(|(len, align)| self.map(len, align, &mut placed))
        };
        match ptr {
            Some(ptr) => AllocationResult::Ok(NonNull::slice_from_raw_parts(ptr, layout.size())),
            None if self.fallback => AllocationResult::Fallback,
            None => AllocationResult::Failed,
        }
    }

    /// Whether a block of `layout` lies in a region.
    fn shares(&self, layout: Layout) -> bool {
        self.huge != HugePages::None && layout.size() <= HUGE / 2 && layout.align() <= HUGE
    }

    /// Length and alignment of the mapping that a block of `layout` has for itself.
    fn own(&self, layout: Layout) -> Option<(usize, usize)> {
        let len = layout.size().checked_next_multiple_of(self.page())?;
        let align = if self.huge == HugePages::None || len < HUGE { 1 } else { HUGE };
        Some((len, layout.align().max(align)))
    }

    /// Mappings start at, and are, a multiple of this.
    fn page(&self) -> usize {
        if self.huge == HugePages::Explicit2MiB { HUGE } else { rustix::param::page_size() }
    }

    /// A block inside of a region.
    fn share(&mut self, layout: Layout, placed: &mut dyn FnMut(NonNull<u8>, usize)) -> Option<NonNull<u8>> {
        let taken = self.regions.iter_mut().find_map(|region| Some((region.base, region.ranges.take(layout)?)));
        let (base, address) = if let Some(taken) = taken {
            taken
        } else {
            self.regions.try_reserve(1).ok()?;
            let base = self.map(HUGE, HUGE, placed)?;
            let mut ranges = Ranges::new(base.addr().get(), HUGE);
            let Some(address) = ranges.take(layout) else {
                self.unmap(base, HUGE);
                return None;
            };
            self.regions.push(Region { base, ranges });
            (base, address)
        };
        // SAFETY: the range lies inside of the region.
        Some(unsafe { base.add(address - base.addr().get()) })
    }

    /// A fresh mapping; both arguments are multiples of a page, or `align` is less than one.
    fn map(&self, len: usize, align: usize, placed: &mut dyn FnMut(NonNull<u8>, usize)) -> Option<NonNull<u8>> {
        // The kernel aligns to its pages only: map more, then cut off both ends.
        let slack = align.saturating_sub(self.page());
        let total = len.checked_add(slack)?;
        let mut flags = MapFlags::PRIVATE;
        if self.huge == HugePages::Explicit2MiB {
            flags |= MapFlags::HUGETLB | MapFlags::HUGE_2MB;
        }
        // SAFETY: a fresh mapping at an address that the kernel chooses touches nothing that exists.
        let start = match unsafe { mmap_anonymous(null_mut(), total, ProtFlags::READ | ProtFlags::WRITE, flags) } {
            Ok(start) => NonNull::new(start.cast::<u8>())?,
            Err(error) => {
                self.monitor.report.lock().map_error = Some(error.raw_os_error());
                return None;
            }
        };
        let head = round_up(start.addr().get(), align) - start.addr().get();
        // SAFETY: the head is at most the slack, so that head and `len` bytes fit into the mapping.
        let (ptr, end) = unsafe { (start.add(head), start.add(head + len)) };
        {
            let mut report = self.monitor.report.lock();
            report.mapped += total;
            report.mappings += 1;
        }
        self.cut(start, head);
        self.cut(end, slack - head);
        self.name(ptr, len);
        if self.huge == HugePages::Transparent {
            // SAFETY: the advice changes how the pages of our mapping are backed, not what is in them.
            if let Err(error) = unsafe { madvise(ptr.as_ptr().cast(), len, Advice::LinuxHugepage) } {
                self.monitor.report.lock().huge_page_error = Some(error.raw_os_error());
            }
        }
        placed(ptr, len);
        if self.prefault
            && let Err(error) = self.populate(ptr, len)
        {
            self.monitor.report.lock().map_error = Some(error.raw_os_error());
            self.unmap(ptr, len);
            return None;
        }
        Some(ptr)
    }

    /// Faults in the pages of a fresh mapping: after it was trimmed, placed and advised, which `MAP_POPULATE` is not.
    fn populate(&self, ptr: NonNull<u8>, len: usize) -> rustix::io::Result<()> {
        // SAFETY: the pages of our fresh mapping are written as they are: with zeros.
        match unsafe { madvise(ptr.as_ptr().cast(), len, Advice::LinuxPopulateWrite) } {
            // Linux before 5.14.
            Err(rustix::io::Errno::INVAL) => {
                for offset in (0..len).step_by(self.page()) {
                    // SAFETY: inside of our fresh mapping, which is all zeros.
                    unsafe { ptr.add(offset).write_volatile(0) };
                }
                Ok(())
            }
            result => result,
        }
    }

    fn name(&self, ptr: NonNull<u8>, len: usize) {
        /// `PR_SET_VMA` and `PR_SET_VMA_ANON_NAME` of `linux/prctl.h`, which libc does not name for Linux.
        const SET_VMA: (libc::c_int, libc::c_ulong) = (0x5356_4d41, 0);
        let Some(name) = &self.name else { return };
        // SAFETY: the kernel copies the name, and keeps it as a label of our mapping.
        let result = unsafe { libc::prctl(SET_VMA.0, SET_VMA.1, ptr.as_ptr(), len, name.as_ptr()) };
        if result != 0 {
            self.monitor.report.lock().name_error = std::io::Error::last_os_error().raw_os_error();
        }
    }

    /// Unmaps a whole mapping of `len` bytes, as [`map`](Self::map) returned it.
    fn unmap(&self, ptr: NonNull<u8>, len: usize) {
        self.monitor.report.lock().mappings -= 1;
        self.cut(ptr, len);
    }

    /// Unmaps `len` bytes of a mapping of ours that nobody uses.
    fn cut(&self, ptr: NonNull<u8>, len: usize) {
        if len == 0 {
            return;
        }
        // SAFETY: the pages belong to a mapping of this backend, and no block lies in them.
        let unmapped = unsafe { munmap(ptr.as_ptr().cast(), len) }.is_ok();
        let mut report = self.monitor.report.lock();
        report.mapped -= len;
        if !unmapped {
            // Cutting a hole can need one mapping more than a process may have. The pages can go all the same.
            report.stuck += len;
            // SAFETY: as above.
            let _ = unsafe { madvise(ptr.as_ptr().cast(), len, Advice::LinuxDontNeed) };
        }
    }
}

// SAFETY: a block is a mapping of its own or a range of a region that `Ranges` hands out once; `map` aligns both. They
// stay where they are until unmapped, wherever the backend moves, and nothing here calls user code.
unsafe impl AllocatorBackend for MmapBackend {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        self.allocate_placed(layout, |_, _| {})
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, layout: Layout) {
        if !self.shares(layout) {
            if let Some((len, _)) = self.own(layout) {
                self.unmap(ptr, len);
            }
            return;
        }
        let address = ptr.addr().get();
        let base = address & !(HUGE - 1);
        let Some(index) = self.regions.iter().position(|region| region.base.addr().get() == base) else {
            debug_assert!(false, "a block of another backend");
            return;
        };
        let ranges = &mut self.regions[index].ranges;
        ranges.give(address, layout.size());
        if ranges.is_unused() {
            let region = self.regions.remove(index);
            self.unmap(region.base, HUGE);
        }
    }

    fn name(&self) -> &'static str {
        "mmap"
    }
}

#[cfg(test)]
mod tests;
