//! A backend of one's own: the upload heap of a console, a static window of 64 KiB pages that a GPU could see.
//! It counts what it serves and answers `Fallback` for everything else, which then comes from the program's allocator.

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use framealloc::prelude::*;

const PAGE: usize = 64 << 10;
const PAGES: usize = 8;

#[repr(align(65536))]
struct Page {
    _bytes: [MaybeUninit<u8>; PAGE],
}

static mut WINDOW: [Page; PAGES] = [const { Page { _bytes: [MaybeUninit::uninit(); PAGE] } }; PAGES];
static IN_USE: AtomicBool = AtomicBool::new(false);

/// What the heap has done, for whoever kept a clone: the backend itself disappears into the allocator.
#[derive(Default)]
struct Report {
    served: AtomicUsize,
    returned: AtomicUsize,
    passed_on: AtomicUsize,
    passed_on_bytes: AtomicUsize,
}

struct UploadHeap {
    free: Vec<NonNull<Page>>,
    report: Arc<Report>,
}

impl UploadHeap {
    fn new(report: Arc<Report>) -> Self {
        assert!(!IN_USE.swap(true, Relaxed), "there is one window");
        let window: *mut [Page; PAGES] = &raw mut WINDOW;
        // SAFETY: nothing else names the window, and the flag lets one heap be made of it in the life of the program.
        let pages = unsafe { &mut *window };
        Self { free: pages.iter_mut().map(NonNull::from).collect(), report }
    }
}

// SAFETY: the pages are the heap's own, as a box's value is the box's.
unsafe impl Send for UploadHeap {}

// SAFETY: a page is valid for the life of the program, has the size and alignment that are checked before it is handed out,
// and is in the list exactly while nobody has it. Nothing here calls the allocator that is served, or panics.
unsafe impl AllocatorBackend for UploadHeap {
    fn allocate(&mut self, layout: Layout) -> AllocationResult {
        let fits = layout.size() <= PAGE && layout.align() <= align_of::<Page>();
        if let Some(page) = if fits { self.free.pop() } else { None } {
            self.report.served.fetch_add(1, Relaxed);
            return AllocationResult::Ok(NonNull::slice_from_raw_parts(page.cast(), PAGE));
        }
        self.report.passed_on.fetch_add(1, Relaxed);
        self.report.passed_on_bytes.fetch_add(layout.size(), Relaxed);
        AllocationResult::Fallback
    }

    unsafe fn deallocate(&mut self, ptr: NonNull<u8>, _: Layout) {
        self.report.returned.fetch_add(1, Relaxed);
        // There is room: no page is added that was not taken off. (What was passed on goes back to where it came from.)
        self.free.push(ptr.cast());
    }

    fn name(&self) -> &'static str {
        "upload heap"
    }
}

fn is_in_window<T: ?Sized>(value: &T) -> bool {
    let window = (&raw const WINDOW).addr();
    (window..window + PAGES * PAGE).contains(&std::ptr::from_ref(value).addr())
}

fn main() {
    let report = Arc::new(Report::default());
    let heap = Box::new(UploadHeap::new(Arc::clone(&report)));
    // Chunks of one page each, so that frames live in the window as long as it has pages.
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_backend(heap).with_frame_chunk(PAGE, PAGE));

    for frame in 1..=5 {
        alloc.begin_frame();
        let uniforms = alloc.frame().alloc_slice_aligned_with(64, 256, |i| i as f32);
        assert!(is_in_window(uniforms) && uniforms.as_ptr().addr().is_multiple_of(256));
        let vertices = alloc.frame_slice::<[f32; 8]>(frame * 1500);
        assert_eq!(is_in_window(&*vertices), frame == 1, "larger than a page from the second frame on");
        drop(vertices);
        alloc.end_frame();
    }
    let light = alloc.pool_box([1.0f32; 16]);
    let terrain = alloc.heap_box([0u8; 2 * PAGE]);
    assert!(is_in_window(&*light), "a slab is one page");
    assert!(!is_in_window(&*terrain));

    let pages = report.served.load(Relaxed);
    let (passed_on, bytes) = (report.passed_on.load(Relaxed), report.passed_on_bytes.load(Relaxed));
    println!("upload heap: {pages} pages of {} KiB served", PAGE >> 10);
    println!("passed on to the program's allocator: {passed_on} requests, {} KiB", bytes >> 10);
    assert!(pages >= 2 && passed_on >= 2);

    drop((light, terrain));
    drop(alloc);
    assert_eq!(report.returned.load(Relaxed), pages);
    println!("every page came back");
}
