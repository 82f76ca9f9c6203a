//! Programs that touch frame and pool memory which is not theirs, by raw pointers, for a memory checker to report.
//!
//! `misuse list` prints their names, one a line, with what has to find each; `misuse NAME` runs one, `misuse NAME sound` its
//! harmless twin: the same steps, but for the one access. Without a checker nothing is found, and nothing is promised.

use std::alloc::Layout;
use std::hint::black_box;
use std::process::ExitCode;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use framealloc::prelude::*;

/// What tells a misuse.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finder {
    /// Every checker.
    Any,
    /// Every checker, where there are gaps between the blocks of a frame.
    RedZone,
    /// One that knows what was written.
    Memcheck,
}

struct Case {
    name: &'static str,
    finder: Finder,
    /// Runs it, soundly if told so.
    run: fn(bool),
}

const CASES: [Case; 19] = [
    Case { name: "read-after-frame", finder: Finder::Any, run: read_after_frame },
    Case { name: "write-after-frame", finder: Finder::Any, run: write_after_frame },
    Case { name: "read-after-frame-of-many-chunks", finder: Finder::Any, run: read_after_frame_of_many_chunks },
    Case { name: "read-after-frame-in-flight", finder: Finder::Any, run: read_after_frame_in_flight },
    Case { name: "read-after-sealed-frame", finder: Finder::Any, run: read_after_sealed_frame },
    Case { name: "read-after-scope", finder: Finder::Any, run: read_after_scope },
    Case { name: "read-after-scope-of-many-chunks", finder: Finder::Any, run: read_after_scope_of_many_chunks },
    Case { name: "read-after-scratch", finder: Finder::Any, run: read_after_scratch },
    Case { name: "read-after-vector", finder: Finder::Any, run: read_after_vector },
    Case { name: "read-behind-cursor", finder: Finder::Any, run: read_behind_cursor },
    Case { name: "read-after-object", finder: Finder::Any, run: read_after_object },
    Case { name: "read-after-object-in-depot", finder: Finder::Any, run: read_after_object_in_depot },
    Case { name: "read-of-uncarved-object", finder: Finder::Any, run: read_of_uncarved_object },
    Case { name: "read-after-large-block", finder: Finder::Any, run: read_after_large_block },
    Case { name: "overrun-of-object", finder: Finder::Any, run: overrun_of_object },
    Case { name: "overrun-of-block-into-padding", finder: Finder::Any, run: overrun_of_block_into_padding },
    Case { name: "overrun-of-block", finder: Finder::RedZone, run: overrun_of_block },
    Case { name: "overrun-of-vector", finder: Finder::RedZone, run: overrun_of_vector },
    Case { name: "use-of-unwritten", finder: Finder::Memcheck, run: use_of_unwritten },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (name, sound) = match arguments[..] {
        ["list"] => {
            for case in &CASES {
                let finder = match case.finder {
                    Finder::Any => "any",
                    Finder::RedZone => "redzone",
                    Finder::Memcheck => "memcheck",
                };
                println!("{} {finder}", case.name);
            }
            return ExitCode::SUCCESS;
        }
        [name] => (name, false),
        [name, "sound"] => (name, true),
        _ => {
            eprintln!("misuse list | NAME [sound]");
            return ExitCode::from(2);
        }
    };
    match CASES.iter().find(|case| case.name == name) {
        Some(case) => (case.run)(sound),
        None => {
            eprintln!("there is no case '{name}'");
            return ExitCode::from(2);
        }
    }
    println!("nothing was found in {name}");
    ExitCode::SUCCESS
}

/// Reads a byte that may be anybody's.
#[inline(never)]
fn touch(byte: *const u8) {
    // SAFETY: none where it is misused: that is to be found. Elsewhere the byte is the caller's, and written.
    black_box(unsafe { byte.read_volatile() });
}

/// Takes a block of `size` bytes and writes it.
fn block(from: &impl Allocator, size: usize) -> NonNull<u8> {
    let block: NonNull<u8> = from.allocate(Layout::from_size_align(size, 8).unwrap()).unwrap().cast();
    // SAFETY: the block is ours.
    unsafe { block.write_bytes(1, size) };
    block
}

/// Reads a byte of each block, `late` being when they are no longer there.
fn touch_if(here: bool, blocks: &[NonNull<u8>]) {
    if here {
        blocks.iter().for_each(|block| touch(block.as_ptr()));
    }
}

fn read_after_frame(sound: bool) {
    let mut alloc = SmartAlloc::default();
    alloc.begin_frame();
    let block = block(&alloc.frame(), 64);
    touch_if(sound, &[block]);
    alloc.end_frame();
    touch_if(!sound, &[block]);
}

fn write_after_frame(sound: bool) {
    let mut alloc = SmartAlloc::default();
    alloc.begin_frame();
    let block = block(&alloc.frame(), 64);
    let write = || {
        // SAFETY: none where it is misused.
        unsafe { block.as_ptr().write_volatile(2) }
    };
    if sound {
        write();
    }
    alloc.end_frame();
    if !sound {
        write();
    }
}

fn read_after_frame_of_many_chunks(sound: bool) {
    let mut alloc = SmartAlloc::default();
    alloc.begin_frame();
    let first = block(&alloc.frame(), 64);
    for _ in 0..8 {
        block(&alloc.frame(), 60_000);
    }
    touch_if(sound, &[first]);
    alloc.end_frame();
    touch_if(!sound, &[first]);
}

fn read_after_frame_in_flight(sound: bool) {
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_frames_in_flight(2));
    alloc.begin_frame();
    let block = block(&alloc.frame(), 64);
    alloc.end_frame();
    // Still in flight.
    touch(block.as_ptr());
    alloc.begin_frame();
    alloc.end_frame();
    touch_if(!sound, &[block]);
}

fn read_after_sealed_frame(sound: bool) {
    let mut alloc = SmartAlloc::default();
    alloc.begin_frame();
    let block = block(&alloc.frame(), 64);
    let sealed = alloc.seal_frame();
    touch(block.as_ptr());
    std::thread::spawn(move || drop(sealed)).join().unwrap();
    // Before the next boundary.
    touch_if(!sound, &[block]);
}

fn read_after_scope(sound: bool) {
    let mut arena: Arena = Arena::new();
    block(&&arena, 64);
    let block = arena.scope(|scope| {
        let block = block(&scope.frame(), 64);
        touch(block.as_ptr());
        block
    });
    touch_if(!sound, &[block]);
}

fn read_after_scope_of_many_chunks(sound: bool) {
    let mut arena: Arena = Arena::new();
    block(&&arena, 64);
    let blocks = arena.scope(|scope| {
        let blocks = [100, 60_000, 60_000, 3 << 20].map(|size| block(&scope.frame(), size));
        touch_if(true, &blocks);
        blocks
    });
    touch_if(!sound, &blocks[2..3]);
}

fn read_after_scratch(sound: bool) {
    let alloc = SmartAlloc::default();
    let scratch = alloc.scratch();
    let block = block(&scratch.frame(), 64);
    touch_if(sound, &[block]);
    drop(scratch);
    touch_if(!sound, &[block]);
}

fn read_after_vector(sound: bool) {
    let alloc = SmartAlloc::default();
    let mut list = alloc.frame_vec_with_capacity::<u8>(64);
    list.push(1);
    let start = NonNull::new(list.as_mut_ptr()).unwrap();
    touch_if(sound, &[start]);
    drop(list);
    touch_if(!sound, &[start]);
}

fn read_behind_cursor(sound: bool) {
    let alloc = SmartAlloc::default();
    let block = block(&alloc.frame(), 64);
    touch(block.as_ptr().wrapping_add(if sound { 63 } else { 4096 }));
}

fn read_after_object(sound: bool) {
    let alloc = SmartAlloc::default();
    let object = alloc.pool_box([1u8; 64]);
    let start = NonNull::from(&*object).cast();
    touch_if(sound, &[start]);
    drop(object);
    touch_if(!sound, &[start]);
}

fn read_after_object_in_depot(sound: bool) {
    let alloc = SmartAlloc::default();
    let objects: Vec<_> = (0..5000).map(|_| alloc.pool_box([1u8; 64])).collect();
    let starts: Vec<NonNull<u8>> = objects.iter().map(|object| NonNull::from(&**object).cast()).collect();
    touch_if(sound, &starts[..1]);
    std::thread::spawn(move || drop(objects)).join().unwrap();
    touch_if(!sound, &starts[..1]);
}

fn read_of_uncarved_object(sound: bool) {
    let alloc = SmartAlloc::default();
    let object = alloc.pool_box([1u8; 64]);
    let start = std::ptr::from_ref(&*object).cast::<u8>();
    // Slabs hold hundreds of objects of this size; half of a magazine was taken from the slab.
    touch(start.wrapping_add(if sound { 63 } else { 64 * 400 }));
}

fn read_after_large_block(sound: bool) {
    let alloc = SmartAlloc::default();
    let block = alloc.heap_box([1u8; 10_000]);
    let start = NonNull::from(&*block).cast();
    touch_if(sound, &[start]);
    drop(block);
    touch_if(!sound, &[start]);
}

fn overrun_of_object(sound: bool) {
    let alloc = SmartAlloc::default();
    let objects = [alloc.pool_box([1u8; 61]), alloc.pool_box([1u8; 61])];
    touch(std::ptr::from_ref(&*objects[0]).cast::<u8>().wrapping_add(if sound { 60 } else { 61 }));
}

fn overrun_of_block_into_padding(sound: bool) {
    let alloc = SmartAlloc::default();
    let block = [block(&alloc.frame(), 61), block(&alloc.frame(), 61)][0];
    touch(block.as_ptr().wrapping_add(if sound { 60 } else { 61 }));
}

fn overrun_of_block(sound: bool) {
    let alloc = SmartAlloc::default();
    let blocks: [&[u8]; 2] = [alloc.frame().alloc([1; 64]), alloc.frame().alloc([1; 64])];
    touch(blocks[0].as_ptr().wrapping_add(if sound { 63 } else { 64 }));
    black_box(blocks[1]);
}

fn overrun_of_vector(sound: bool) {
    let alloc = SmartAlloc::default();
    let mut list = alloc.frame_vec::<u64>();
    list.extend(0..100);
    list.shrink_to_fit();
    let next = alloc.frame().alloc(1u64);
    touch(list.as_ptr().cast::<u8>().wrapping_add(if sound { 799 } else { 800 }));
    black_box(next);
}

fn use_of_unwritten(sound: bool) {
    let mut alloc = SmartAlloc::default();
    alloc.begin_frame();
    block(&alloc.frame(), 64);
    alloc.end_frame();
    alloc.begin_frame();
    // The same bytes again, which the last frame has written.
    let block: NonNull<u8> = alloc.frame().allocate(Layout::from_size_align(64, 8).unwrap()).unwrap().cast();
    if sound {
        // SAFETY: the block is ours.
        unsafe { block.write(1) };
    }
    // SAFETY: none where it is misused: nobody has written the byte.
    if black_box(unsafe { block.as_ptr().read_volatile() }) == 1 {
        println!("it is 1");
    }
}
