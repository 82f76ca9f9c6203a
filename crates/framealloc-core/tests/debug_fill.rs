//! The feature `debug_fill`: memory that is handed out bears one pattern, and memory that is free another.
//!
//! Blocks come from the `Allocator` trait, whose pointers are the arena's own: what they point at stays the allocator's memory
//! when it is free, and was filled there. Checkers of memory would report the reads.

#![cfg(all(feature = "debug_fill", feature = "std", not(any(asan, memcheck))))]

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use framealloc_core::{AllocConfig, Arena, FREED_FILL, FRESH_FILL, FixedBackend, SmartAlloc};

/// What the owner of a block writes.
const MINE: u8 = 0x11;

/// A block, which was filled when it was handed out, and is read without being owned.
#[derive(Clone, Copy)]
struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

impl Block {
    /// Takes a block, sees that it is fresh, and writes all of it.
    #[track_caller]
    fn take(from: &impl Allocator, size: usize, align: usize) -> Self {
        let layout = Layout::from_size_align(size, align).unwrap();
        let block = Self { start: from.allocate(layout).unwrap().cast(), layout };
        block.assert_all(FRESH_FILL);
        block.write();
        block
    }

    fn write(self) {
        // SAFETY: the block is the test's.
        unsafe { self.start.write_bytes(MINE, self.layout.size()) };
    }

    /// Gives the block back to where it came from.
    fn free(self, to: &impl Allocator) {
        // SAFETY: it came from there, with this layout, and is given back once.
        unsafe { to.deallocate(self.start, self.layout) };
    }

    /// Bytes that are `MINE`, `FRESH_FILL`, `FREED_FILL`, and others.
    fn census(self) -> [usize; 4] {
        let mut census = [0; 4];
        for at in 0..self.layout.size() {
            // SAFETY: memory of a chunk or slab that its allocator keeps, each byte of which was written: by a fill, or by the test.
            let byte = unsafe { self.start.add(at).read() };
            census[[MINE, FRESH_FILL, FREED_FILL].iter().position(|&known| known == byte).unwrap_or(3)] += 1;
        }
        census
    }

    #[track_caller]
    fn assert_all(self, byte: u8) {
        let expected = [MINE, FRESH_FILL, FREED_FILL].map(|known| if known == byte { self.layout.size() } else { 0 });
        assert_eq!(self.census()[..3], expected, "of {:?} all are to be {byte:#x}", self.layout);
    }
}

const SHAPES: [(usize, usize); 8] =
    [(1, 1), (8, 8), (13, 1), (100, 4), (64, 64), (1000, 256), (70_000, 8), (5 << 18, 4096)];

#[test]
fn frame_is_fresh_when_it_begins_and_filled_when_it_ends() {
    let mut alloc = SmartAlloc::default();
    for _ in 0..3 {
        alloc.begin_frame();
        let blocks: Vec<_> = SHAPES.iter().map(|&(size, align)| Block::take(&alloc.frame(), size, align)).collect();
        blocks.iter().for_each(|block| block.assert_all(MINE));
        alloc.end_frame();
        blocks.iter().for_each(|block| block.assert_all(FREED_FILL));
    }
}

#[test]
fn uninitialised_forms_show_the_pattern() {
    let mut alloc = SmartAlloc::default();
    for _ in 0..2 {
        alloc.begin_frame();
        let place: &mut MaybeUninit<[u64; 32]> = alloc.frame_alloc();
        // SAFETY: the fill wrote all of it.
        assert_eq!(unsafe { place.assume_init_read() }, [u64::from_ne_bytes([FRESH_FILL; 8]); 32]);
        place.write([0; 32]);
        alloc.end_frame();
    }
}

#[test]
fn frame_in_flight_stays_until_it_is_reclaimed() {
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_frames_in_flight(2));
    alloc.begin_frame();
    let block = Block::take(&alloc.frame(), 5000, 8);
    alloc.end_frame();
    block.assert_all(MINE);
    alloc.begin_frame();
    alloc.end_frame();
    block.assert_all(FREED_FILL);
}

#[test]
fn sealed_frame_is_filled_when_it_is_dropped_on_whatever_thread() {
    let mut alloc = SmartAlloc::default();
    alloc.begin_frame();
    let blocks = [(100, 8), (5 << 18, 8)].map(|(size, align)| Block::take(&alloc.frame(), size, align));
    let sealed = alloc.seal_frame();
    blocks.iter().for_each(|block| block.assert_all(MINE));
    std::thread::spawn(move || drop(sealed)).join().unwrap();
    blocks.iter().for_each(|block| block.assert_all(FREED_FILL));
}

#[test]
fn rewound_scope_is_filled_and_what_is_outside_stays() {
    let mut arena: Arena = Arena::new();
    // In the scope's own chunk, and with chunks that it takes.
    for size in [100, 40_000, 5 << 18] {
        let before = Block::take(&&arena, 24, 8);
        let mut inside = Vec::new();
        arena.scope(|scope| inside.extend((0..4).map(|_| Block::take(&scope.frame(), size, 8))));
        inside.iter().for_each(|block| block.assert_all(FREED_FILL));
        before.assert_all(MINE);
        arena.reset();
        before.assert_all(FREED_FILL);
    }
}

#[test]
fn scratch_is_filled_when_it_is_given_back() {
    let alloc = SmartAlloc::default();
    let scratch = alloc.scratch();
    let block = Block::take(&scratch.frame(), 500, 8);
    let kept = Block::take(&alloc.frame(), 500, 8);
    drop(scratch);
    block.assert_all(FREED_FILL);
    kept.assert_all(MINE);
}

#[test]
fn block_keeps_its_bytes_when_its_size_changes() {
    let arena: Arena = Arena::new();
    let small = Block::take(&&arena, 100, 4);
    let layout = Layout::from_size_align(300, 4).unwrap();
    // SAFETY: a block of this arena with that layout, which is larger.
    let grown = unsafe { (&arena).grow(small.start, small.layout, layout) }.unwrap().cast();
    assert_eq!(grown, small.start, "in place");
    let grown = Block { start: grown, layout };
    assert_eq!(grown.census(), [100, 200, 0, 0]);
    grown.write();
    // SAFETY: as above, and smaller.
    unsafe { (&arena).shrink(grown.start, layout, small.layout) }.unwrap();
    assert_eq!(grown.census(), [100, 0, 200, 0]);
    // Not the last block any more: it is copied.
    Block::take(&&arena, 8, 8);
    // SAFETY: as above.
    let moved = Block { start: unsafe { (&arena).grow(small.start, small.layout, layout) }.unwrap().cast(), layout };
    assert_ne!(moved.start, small.start);
    assert_eq!(moved.census(), [100, 200, 0, 0]);
    small.assert_all(FREED_FILL);
}

#[test]
fn vector_has_fresh_room_and_leaves_filled_memory() {
    let mut arena: Arena = Arena::new();
    let (block, len) = arena.scope(|scope| {
        let mut list = scope.frame().vec_with_capacity::<u8>(64);
        list.extend([MINE; 10]);
        let start = NonNull::new(list.as_mut_ptr()).unwrap();
        let block = Block { start, layout: Layout::new::<[u8; 64]>() };
        assert_eq!(block.census(), [10, 54, 0, 0]);
        (block, list.len())
    });
    assert_eq!(len, 10);
    block.assert_all(FREED_FILL);
}

#[test]
fn objects_of_a_pool_are_fresh_and_then_filled() {
    let alloc = SmartAlloc::default();
    let pool = alloc.pool();
    // Another object keeps the slab.
    for (size, align) in [(1, 1), (8, 8), (24, 8), (100, 4), (64, 64), (1000, 256)] {
        let kept = Block::take(pool, size, align);
        let block = Block::take(pool, size, align);
        block.free(pool);
        block.assert_all(FREED_FILL);
        let again = Block::take(pool, size, align);
        assert_eq!(again.start, block.start, "the last one that was freed");
        let remote = pool.clone();
        let address = again.start.as_ptr().expose_provenance();
        std::thread::spawn(move || {
            let start = NonNull::new(std::ptr::with_exposed_provenance_mut(address)).unwrap();
            Block { start, layout: Layout::from_size_align(size, align).unwrap() }.free(&remote);
        })
        .join()
        .unwrap();
        again.assert_all(FREED_FILL);
        kept.assert_all(MINE);
    }
}

#[test]
fn large_blocks_are_fresh_and_then_filled() {
    // A buffer that stays when its blocks are free.
    let buffer: &'static mut [MaybeUninit<u8>] = Box::leak(Box::new_uninit_slice(1 << 20));
    let alloc = SmartAlloc::new(AllocConfig::default().with_backend(Box::new(FixedBackend::from_static(buffer))));
    let block = Block::take(alloc.pool(), 100_000, 8);
    block.free(alloc.pool());
    block.assert_all(FREED_FILL);
}
