//! The feature `hardened`: whatever a broken program can do to a pool ends it, with one line that says where and what.
//!
//! Each corruption runs in a process of its own, which is this test again.

#![cfg(all(feature = "hardened", unix, not(any(asan, memcheck))))]

#[path = "support/dies.rs"]
mod dies;

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as PoolVec;
use dies::dies;
use framealloc_core::{HeapBox, Pool, PoolBox, SmartAlloc};

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

fn take(pool: &Pool, layout: Layout) -> NonNull<u8> {
    pool.allocate(layout).unwrap().cast()
}

/// # Safety
///
/// None is possible: this is what goes wrong.
unsafe fn free(pool: &Pool, memory: NonNull<u8>, layout: Layout) {
    // SAFETY: none.
    unsafe { pool.deallocate(memory, layout) }
}

const SMALL: Layout = Layout::new::<[u64; 8]>();
const LARGE: Layout = Layout::new::<[u64; 1000]>();

macro_rules! corruptions {
    ($($name:ident: $fault:literal, |$alloc:ident, $say:ident| $body:block)*) => {$(
        #[test]
        fn $name() {
            dies(stringify!($name), "free of", $fault, |$say| {
                let $alloc = SmartAlloc::default();
                // SAFETY: none: this is what a broken program does, and the process ends before anything comes of it.
                unsafe { $body }
            });
        }
    )*};
}

corruptions! {
    object_freed_twice: "double free: no object is live there", |alloc, say| {
        let object = take(alloc.pool(), SMALL);
        free(alloc.pool(), object, SMALL);
        say(object);
        free(alloc.pool(), object, SMALL);
    }

    object_freed_twice_with_others_in_between: "double free", |alloc, say| {
        let objects: Vec<_> = (0..5000).map(|_| take(alloc.pool(), SMALL)).collect();
        objects.iter().for_each(|&object| free(alloc.pool(), object, SMALL));
        say(objects[17]);
        free(alloc.pool(), objects[17], SMALL);
    }

    object_freed_by_two_threads: "double free", |alloc, say| {
        let object = take(alloc.pool(), SMALL);
        let (pool, address) = (alloc.pool().clone(), object.as_ptr().expose_provenance());
        std::thread::spawn(move || {
            free(&pool, NonNull::new(std::ptr::with_exposed_provenance_mut(address)).unwrap(), SMALL);
        }).join().unwrap();
        say(object);
        free(alloc.pool(), object, SMALL);
    }

    box_made_of_a_pointer_twice: "double free", |alloc, say| {
        let raw = alloc.pool_box([1u64; 8]).__into_raw();
        drop(PoolBox::__from_raw(raw));
        say(NonNull::new(raw).unwrap().cast());
        drop(PoolBox::__from_raw(raw));
    }

    object_freed_twice_after_its_pool: "double free", |alloc, say| {
        let (kept, raw) = (alloc.pool_box([1u64; 8]), alloc.pool_box([2u64; 8]).__into_raw());
        drop(alloc);
        drop(PoolBox::__from_raw(raw));
        say(NonNull::new(raw).unwrap().cast());
        drop(PoolBox::__from_raw(raw));
        drop(kept);
    }

    object_freed_after_its_slab: "foreign memory: no pool has a slab there", |alloc, say| {
        let raw = alloc.pool_box([2u64; 8]).__into_raw();
        drop(alloc);
        drop(PoolBox::__from_raw(raw));
        say(NonNull::new(raw).unwrap().cast());
        drop(PoolBox::__from_raw(raw));
    }

    memory_of_the_heap: "foreign memory: no pool has a slab there", |alloc, say| {
        let foreign = NonNull::from(Box::leak(Box::new([0u64; 8]))).cast();
        take(alloc.pool(), SMALL);
        say(foreign);
        free(alloc.pool(), foreign, SMALL);
    }

    memory_of_the_stack: "foreign memory: no pool has a slab there", |alloc, say| {
        let mut foreign = [0u64; 8];
        take(alloc.pool(), SMALL);
        say(NonNull::from(&mut foreign).cast());
        free(alloc.pool(), NonNull::from(&mut foreign).cast(), SMALL);
    }

    memory_of_a_frame: "foreign memory: no pool has a slab there", |alloc, say| {
        let foreign = NonNull::from(alloc.frame().alloc([0u64; 8])).cast();
        say(foreign);
        free(alloc.pool(), foreign, SMALL);
    }

    memory_of_another_pool: "it is of another pool", |alloc, say| {
        let other = SmartAlloc::default();
        let object = take(other.pool(), SMALL);
        say(object);
        free(alloc.pool(), object, SMALL);
    }

    pointer_into_an_object: "it is 8 bytes inside of an object of 96 bytes", |alloc, say| {
        let inside = take(alloc.pool(), SMALL).add(8);
        say(inside);
        free(alloc.pool(), inside, SMALL);
    }

    pointer_to_a_header: "it is in the header of a slab", |alloc, say| {
        let header = take(alloc.pool(), SMALL).map_addr(|address| (address.get() & !0xffff).try_into().unwrap());
        say(header);
        free(alloc.pool(), header, SMALL);
    }

    object_that_was_never_handed_out: "double free: no object is live there", |alloc, say| {
        let next = take(alloc.pool(), SMALL).add(96);
        say(next);
        free(alloc.pool(), next, SMALL);
    }

    layout_of_another_class: "its slab is of objects of 96 bytes, not 192", |alloc, say| {
        let object = take(alloc.pool(), SMALL);
        say(object);
        free(alloc.pool(), object, layout(160, 8));
    }

    overwritten_slab: "the header of its slab was overwritten", |alloc, say| {
        let object = take(alloc.pool(), SMALL);
        object.map_addr(|address| (address.get() & !0xffff).try_into().unwrap()).write_bytes(0, 128);
        say(object);
        free(alloc.pool(), object, SMALL);
    }

    overrun_by_a_byte: "overrun: byte 0 behind its end is 0x00 instead of 0xc5", |alloc, say| {
        let object = take(alloc.pool(), SMALL);
        object.add(SMALL.size()).write(0);
        say(object);
        free(alloc.pool(), object, SMALL);
    }

    overrun_into_slack: "overrun: byte 2 behind its end is 0x07", |alloc, say| {
        let object = take(alloc.pool(), layout(61, 1));
        object.add(63).write(7);
        say(object);
        free(alloc.pool(), object, layout(61, 1));
    }

    overrun_of_a_box: "overrun: byte 0", |alloc, say| {
        let mut object = alloc.pool_box([0u8; 8]);
        object.as_mut_ptr().add(8).write(1);
        say(NonNull::from(&mut *object).cast());
        drop(object);
    }

    overrun_that_another_thread_finds: "overrun: byte 0", |alloc, say| {
        let mut object = alloc.pool_box([0u64; 4]);
        object.as_mut_ptr().cast::<u8>().add(32).write(1);
        say(NonNull::from(&mut *object).cast());
        drop(alloc);
        let _ = std::thread::spawn(move || drop(object)).join();
    }

    overrun_found_by_growing: "overrun: byte 0", |alloc, say| {
        let object = take(alloc.pool(), layout(50, 1));
        object.add(50).write(1);
        say(object);
        let _ = alloc.pool().grow(object, layout(50, 1), layout(60, 1));
    }

    overrun_behind_what_was_shrunk: "overrun: byte 1", |alloc, say| {
        let object = take(alloc.pool(), layout(60, 1));
        alloc.pool().shrink(object, layout(60, 1), layout(52, 1)).unwrap();
        object.add(53).write(1);
        say(object);
        free(alloc.pool(), object, layout(52, 1));
    }

    block_freed_twice: "double free or foreign memory: no block of a pool is live there", |alloc, say| {
        let block = take(alloc.pool(), LARGE);
        free(alloc.pool(), block, LARGE);
        say(block);
        free(alloc.pool(), block, LARGE);
    }

    heap_box_made_of_a_pointer_twice: "double free or foreign memory", |alloc, say| {
        let raw = alloc.heap_box([1u64; 8]).__into_raw();
        drop(HeapBox::__from_raw(raw));
        say(NonNull::new(raw).unwrap().cast());
        drop(HeapBox::__from_raw(raw));
    }

    large_memory_of_the_heap: "double free or foreign memory", |alloc, say| {
        let foreign = NonNull::from(Box::leak(Box::new([0u64; 1000]))).cast();
        say(foreign);
        free(alloc.pool(), foreign, LARGE);
    }

    block_of_another_pool: "it is of another pool", |alloc, say| {
        let other = SmartAlloc::default();
        let block = take(other.pool(), LARGE);
        say(block);
        free(alloc.pool(), block, LARGE);
    }

    block_of_another_size: "the header before it was overwritten, or it has another size", |alloc, say| {
        let block = take(alloc.pool(), LARGE);
        say(block);
        free(alloc.pool(), block, layout(LARGE.size() - 8, 8));
    }

    underrun_of_a_block: "the header before it was overwritten, or it has another size", |alloc, say| {
        let block = take(alloc.pool(), LARGE);
        block.sub(1).write(1);
        say(block);
        free(alloc.pool(), block, LARGE);
    }

    overrun_of_a_block: "overrun: byte 15 behind its end is 0x01", |alloc, say| {
        let block = take(alloc.pool(), LARGE);
        block.add(LARGE.size() + 15).write(1);
        say(block);
        free(alloc.pool(), block, LARGE);
    }
}

/// The harmless twin of all of the above: everything a sound program may do, on many threads.
#[test]
fn sound_use_is_not_reported() {
    let alloc = SmartAlloc::default();
    let mut kept = Vec::new();
    for round in 0..3 {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let receiver = scope
                .spawn(move || receiver.iter().filter(|list: &PoolVec<u8, Pool>| list.len().is_multiple_of(3)).count());
            for thread in 0..3 {
                let (pool, sender) = (alloc.pool().clone(), sender.clone());
                scope.spawn(move || {
                    for n in 0..4000 {
                        let mut list = PoolVec::new_in(pool.clone());
                        list.extend(std::iter::repeat_n(0xff, (n * 7 + thread) % 5000));
                        list.shrink_to_fit();
                        list.push(1);
                        sender.send(list).unwrap();
                    }
                });
            }
            drop(sender);
            assert!(receiver.join().unwrap() > 0);
        });
        kept.push(alloc.pool_box([round; 100]));
        alloc.pool().trim();
    }
    let large: HeapBox<[u8]> = framealloc_core::unsize!(alloc.heap_box([7u8; 333]));
    drop(alloc);
    let sum = std::thread::spawn(move || kept.drain(..).map(|object| PoolBox::into_inner(object)[99]).sum::<i32>());
    assert_eq!((sum.join().unwrap(), large[332]), (3, 7));
}
