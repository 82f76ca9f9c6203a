use super::*;
use crate::backend::scripted::{alone, resident};
use alloc::string::String;
use alloc::{format, vec};

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

fn take(backend: &mut MmapBackend, layout: Layout) -> NonNull<u8> {
    match backend.allocate(layout) {
        AllocationResult::Ok(memory) => {
            assert_eq!(memory.len(), layout.size());
            assert_eq!(memory.cast::<u8>().addr().get() % layout.align(), 0);
            memory.cast()
        }
        other => panic!("{other:?}: {:?}", backend.monitor().report()),
    }
}

fn give(backend: &mut MmapBackend, ptr: NonNull<u8>, layout: Layout) {
    // SAFETY: the tests give back what they took, with its layout, once.
    unsafe { backend.deallocate(ptr, layout) }
}

fn pages_in_memory(ptr: NonNull<u8>, len: usize) -> usize {
    let mut pages = vec![0u8; len / rustix::param::page_size()];
    // SAFETY: the vector has one byte for each page of the block, which starts at a page.
    let result = unsafe { libc::mincore(ptr.as_ptr().cast(), len, pages.as_mut_ptr()) };
    assert_eq!(result, 0, "the block is mapped");
    pages.iter().filter(|page| **page & 1 != 0).count()
}

/// The line of `/proc/self/maps` with `address`.
fn mapping(address: usize) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let found = maps.lines().find(|line| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let parse = |text| usize::from_str_radix(text, 16).unwrap();
        (parse(start)..parse(end)).contains(&address)
    });
    found.map(String::from)
}

#[test]
fn every_layout_is_aligned_writable_zeroed_and_unmapped() {
    for huge in [HugePages::None, HugePages::Transparent] {
        for prefault in [false, true] {
            let mut backend = MmapBackend::new().with_huge_pages(huge).with_prefault(prefault);
            let mut live = vec![];
            for align in [1, 64, 4096, 1 << 16, 1 << 20, 1 << 21, 1 << 23] {
                for size in [1, 4095, 4097, 1 << 16, 1 << 20, (1 << 20) + 1, (2 << 20) + 1] {
                    let layout = layout(size, align);
                    let ptr = take(&mut backend, layout);
                    // SAFETY: the block is ours and this long.
                    unsafe {
                        assert_eq!((ptr.read(), ptr.add(size - 1).read()), (0, 0));
                        ptr.write_bytes(0xa5, size);
                    }
                    live.push((ptr, layout));
                }
            }
            let report = backend.monitor().report();
            assert!(report.mapped >= live.iter().map(|(_, layout)| layout.size()).sum());
            for (ptr, layout) in live {
                // SAFETY: as above.
                unsafe { assert_eq!((ptr.read(), ptr.add(layout.size() - 1).read()), (0xa5, 0xa5)) };
                give(&mut backend, ptr, layout);
            }
            assert_eq!(backend.monitor().report(), MmapReport { mapped: 0, mappings: 0, ..report });
        }
    }
}

#[test]
fn alignment_above_a_page_keeps_no_more_than_was_asked() {
    let mut backend = MmapBackend::new();
    let slab = layout(1 << 16, 1 << 16);
    let ptr = take(&mut backend, slab);
    assert_eq!(backend.monitor().report().mapped, 1 << 16);
    give(&mut backend, ptr, slab);
}

#[test]
fn freed_memory_is_unmapped_and_leaves_the_process() {
    alone(module_path!(), "freed_memory_is_unmapped_and_leaves_the_process", || {
        for huge in [HugePages::None, HugePages::Transparent] {
            let mut backend = MmapBackend::new().with_huge_pages(huge);
            let before = resident();
            let chunk = layout(1 << 20, 64);
            let blocks: Vec<_> = (0..256).map(|_| take(&mut backend, chunk)).collect();
            for block in &blocks {
                // SAFETY: the block is ours and this long.
                unsafe { block.write_bytes(1, chunk.size()) };
            }
            assert!(resident() > before + (250 << 20));
            for &block in &blocks {
                give(&mut backend, block, chunk);
            }
            assert!(resident() < before + (4 << 20));
            assert!(blocks.iter().all(|block| mapping(block.addr().get()).is_none()), "still mapped");
        }
    });
}

#[test]
fn prefaulted_memory_is_in_memory_before_it_is_touched() {
    let chunk = layout(1 << 20, 4096);
    for prefault in [false, true] {
        let mut backend = MmapBackend::new().with_prefault(prefault);
        let ptr = take(&mut backend, chunk);
        let all = chunk.size() / rustix::param::page_size();
        let present = pages_in_memory(ptr, chunk.size());
        if prefault {
            assert_eq!(present, all);
        } else {
            assert!(present < all, "nothing to prove: the system faults everything in at once");
        }
        give(&mut backend, ptr, chunk);
    }
}

#[test]
fn a_name_shows_in_the_maps_or_is_reported_as_refused() {
    let mut backend = MmapBackend::new().with_name("frame [1] \u{e4}");
    assert_eq!(backend.name.as_deref().unwrap().to_str(), Ok("frame _1_ __"));
    let chunk = layout(1 << 16, 64);
    let ptr = take(&mut backend, chunk);
    match backend.monitor().report().name_error {
        None => assert!(mapping(ptr.addr().get()).unwrap().ends_with("[anon:frame _1_ __]")),
        Some(error) => assert_eq!(error, libc::EINVAL, "a kernel without names"),
    }
    give(&mut backend, ptr, chunk);
    assert_eq!(MmapBackend::new().with_name(&"x".repeat(200)).name.unwrap().count_bytes(), 79);
    assert!(MmapBackend::new().with_name("nul\0inside").name.is_some());
}

#[test]
fn how_memory_is_mapped_cannot_change_while_it_is_out() {
    let mut backend = MmapBackend::new();
    let chunk = layout(1 << 16, 64);
    let ptr = take(&mut backend, chunk);
    let monitor = backend.monitor();
    let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = backend.with_huge_pages(HugePages::Explicit2MiB);
    }));
    assert!(changed.is_err());
    // SAFETY: the backend is gone, and with it whatever would unmap this mapping of 64 KiB.
    unsafe { munmap(ptr.as_ptr().cast(), monitor.report().mapped) }.unwrap();
}

#[test]
fn small_blocks_share_huge_pages() {
    let mut backend = MmapBackend::new().with_huge_pages(HugePages::Transparent);
    let slab = layout(1 << 16, 1 << 16);
    let mut blocks: Vec<_> = (0..33).map(|_| take(&mut backend, slab)).collect();
    let report = backend.monitor().report();
    assert_eq!((report.mappings, report.mapped), (2, 2 * HUGE));
    give(&mut backend, blocks.pop().unwrap(), slab);
    assert_eq!(backend.monitor().report().mapped, HUGE, "an empty region is unmapped");
    for block in blocks {
        give(&mut backend, block, slab);
    }
    assert_eq!(backend.monitor().report().mapped, 0);
}

#[test]
fn transparent_huge_pages_are_advised_or_reported_as_refused() {
    let mut backend = MmapBackend::new().with_huge_pages(HugePages::Transparent);
    let block = layout(4 << 20, 64);
    let ptr = take(&mut backend, block);
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let start = format!("{:x}-", ptr.addr());
    let advised = smaps
        .split_once(&start)
        .and_then(|(_, rest)| rest.split_once("VmFlags:"))
        .is_some_and(|(_, flags)| flags.lines().next().unwrap().contains(" hg"));
    assert_eq!(advised, backend.monitor().report().huge_page_error.is_none());
    give(&mut backend, ptr, block);
}

#[test]
fn an_empty_pool_of_huge_pages_is_refused_or_falls_back() {
    let mut backend = MmapBackend::new().with_huge_pages(HugePages::Explicit2MiB);
    let chunk = layout(1 << 16, 64);
    match backend.allocate(chunk) {
        AllocationResult::Ok(memory) => {
            // SAFETY: the block is ours and this long.
            unsafe { memory.cast::<u8>().write_bytes(1, chunk.size()) };
            assert_eq!(backend.monitor().report().mapped, HUGE);
            give(&mut backend, memory.cast(), chunk);
            assert_eq!(backend.monitor().report().mapped, 0);
        }
        refused => {
            assert_eq!(refused, AllocationResult::Failed);
            assert!(backend.monitor().report().map_error.is_some());
            assert_eq!(backend.with_fallback().allocate(chunk), AllocationResult::Fallback);
        }
    }
}

/// With 32 bits the half of all addresses can be mapped.
#[test]
#[cfg(target_pointer_width = "64")]
fn what_the_kernel_cannot_map_is_refused_with_its_error() {
    for huge in [HugePages::None, HugePages::Transparent, HugePages::Explicit2MiB] {
        let mut backend = MmapBackend::new().with_huge_pages(huge);
        for layout in [
            layout(isize::MAX as usize, 1),
            layout(1, 1 << (usize::BITS - 2)),
            layout(1 << (usize::BITS - 4), 1 << (usize::BITS - 3)),
        ] {
            assert_eq!(backend.allocate(layout), AllocationResult::Failed);
            assert_eq!(backend.monitor().report().map_error, Some(libc::ENOMEM));
        }
        assert_eq!(backend.monitor().report().mapped, 0);
    }
}
