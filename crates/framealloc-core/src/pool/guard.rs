//! What the feature `hardened` adds: memory that comes back to a pool is checked, and a program that broke it is ended.
//!
//! Promises that a double free, memory of no pool or of another one, memory with the wrong layout, and bytes written right behind
//! an object or a large block are found when the memory is freed: with one line on stderr, and an abort. Nothing of it can come
//! from safe code. Atomics are those of `core`, for nothing here is part of how threads exchange objects: a bit belongs to
//! whoever has its object, and the map is read for slabs that the reader keeps alive.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

mod blocks;
mod map;

use super::class;
use super::large;
use super::shared::PoolCore;
use super::slab::{self, SLAB, Slab};
use crate::watch;
pub(super) use crate::watch::{WATCHED, watch};

pub(super) use blocks::add as add_block;
pub(super) use map::{add_slab, remove_slab};

/// Bytes behind what is asked for that an object has at least: they are watched.
pub(super) const MARGIN: usize = 1;

/// What happened when something is wrong.
const FREE: &str = "free of";

/// What stands in the header of a slab.
pub(super) const MAGIC: u64 = 0x6c61_6269_6c73_6166;

/// Bytes of a slab's bitmap of live objects.
pub(super) const fn bitmap_bytes(class: usize) -> usize {
    (SLAB / class::size(class)).div_ceil(u64::BITS as usize) * size_of::<u64>()
}

/// Notes that an object is live, and watches what lies behind it.
///
/// # Safety
///
/// `object` was just taken from a slab of `class`, which is `layout`'s, and nobody has it yet.
pub(super) unsafe fn hand_out(object: NonNull<u8>, layout: Layout, class: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let slab = slab::of(object);
        let offset = (object.addr().get() & (SLAB - 1)) + slab::shift(slab, class);
        let index = offset / class::size(class) - slab::first(class);
        word(slab, class, index).fetch_or(bit(index), Ordering::Relaxed);
        watch(object, layout.size(), class::size(class));
    }
}

/// Checks memory that comes back to a slab, and notes that it is free.
///
/// # Safety
///
/// `layout` is of `class`. The memory may be anything; if it is an object of a slab, nobody has it any more.
pub(super) unsafe fn take_back(memory: NonNull<u8>, layout: Layout, class: usize) {
    let faulty = |fault: fmt::Arguments<'_>| fail(memory, layout, fault);
    let slab = find_slab(memory, &faulty);
    let size = class::size(class);
    // SAFETY: the map has the slab, so that its header can be read; what never changes needs no lock.
    let of = unsafe { slab::class(slab) };
    if of != class && class::size(of) == size {
        faulty(format_args!("its slab is of objects of another alignment"));
    }
    if of != class {
        faulty(format_args!("its slab is of objects of {} bytes, not {size}", class::size(of)));
    }
    // SAFETY: as above.
    let slots = unsafe { (*slab.as_ptr()).slots };
    let first = slab::first(class);
    let offset = (memory.addr().get() & (SLAB - 1)) + slab::shift(slab, class);
    if !offset.is_multiple_of(size) {
        faulty(format_args!("it is {} bytes inside of an object of {size} bytes", offset % size));
    }
    let index = (offset / size).wrapping_sub(first);
    if index >= slots {
        faulty(format_args!("it is in the header of a slab"));
    }
    // SAFETY: an index of this slab's.
    let live = unsafe { word(slab, class, index) }.fetch_and(!bit(index), Ordering::Relaxed);
    if live & bit(index) == 0 {
        faulty(format_args!("double free: no object is live there"));
    }
    // SAFETY: an object of this class, which was live until now, and is the caller's to give up.
    unsafe { inspect_object(memory, layout, size) };
}

/// Checks that memory which a user hands to a certain pool is that pool's.
pub(super) fn check_pool(core: &PoolCore, memory: NonNull<u8>, layout: Layout) {
    let faulty = |fault: fmt::Arguments<'_>| fail(memory, layout, fault);
    let id = if layout.size() == 0 {
        return;
    } else if class::of(layout).is_some() {
        let slab = find_slab(memory, &faulty);
        // SAFETY: the map has the slab, whose core never changes.
        unsafe { slab::core(slab) }.id()
    } else {
        check_block(memory, layout);
        // SAFETY: a large block that is live.
        unsafe { large::core(memory) }.id()
    };
    if id != core.id() {
        faulty(format_args!("it is of another pool"));
    }
}

/// Watches what lies behind a large block, which has room for that.
///
/// # Safety
///
/// [`WATCHED`] bytes behind the `layout` at `block` are valid, and nobody's.
pub(super) unsafe fn watch_block(block: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller's promise.
    unsafe { watch(block, layout.size(), layout.size() + WATCHED) };
}

/// Checks a large block that comes back, and notes that it is free.
pub(super) fn take_back_block(memory: NonNull<u8>, layout: Layout) {
    check_block(memory, layout);
    if !blocks::remove(memory) {
        fail(memory, layout, format_args!("double free: another thread has freed it meanwhile"));
    }
}

/// Checks that there is a large block, of this layout.
fn check_block(memory: NonNull<u8>, layout: Layout) {
    if !blocks::contains(memory) {
        fail(memory, layout, format_args!("double free or foreign memory: no block of a pool is live there"));
    }
    // SAFETY: a large block is live there, behind its header.
    if !unsafe { large::is_sound(memory, layout) } {
        fail(memory, layout, format_args!("the header before it was overwritten, or it has another size"));
    }
    // SAFETY: as above.
    unsafe { inspect_block(memory, layout) };
}

fn find_slab(memory: NonNull<u8>, faulty: &dyn Fn(fmt::Arguments<'_>)) -> Slab {
    if !map::has_slab(memory.addr().get()) {
        faulty(format_args!("foreign memory: no pool has a slab there"));
    }
    // SAFETY: a slab is there, whose provenance an object's pointer has; another pointer's is the only one to be had.
    let slab = unsafe { slab::of(memory) };
    // SAFETY: the map has the slab; the field never changes.
    let magic = unsafe { (*slab.as_ptr()).magic };
    if magic != MAGIC {
        faulty(format_args!("the header of its slab was overwritten"));
    }
    slab
}

/// The word of a slab's bitmap that has the bit of the object at `index`.
///
/// # Safety
///
/// The slab is alive and of `class`, and `index` is less than its slots.
unsafe fn word<'a>(slab: Slab, class: usize, index: usize) -> &'a AtomicU64 {
    // SAFETY: the bitmap has a bit for each of the slots, was written by `slab::build`, and is accessed atomically only.
    unsafe { &*slab::bitmap(slab, class).add(index / u64::BITS as usize) }
}

const fn bit(index: usize) -> u64 {
    1 << (index % u64::BITS as usize)
}

/// Checks what is watched behind an object for `layout`.
///
/// # Safety
///
/// A live object of a slab, for which [`watch`] was called, of `whole` bytes.
pub(super) unsafe fn inspect_object(object: NonNull<u8>, layout: Layout, whole: usize) {
    #[cfg(feature = "trace")]
    // SAFETY: the caller's promise.
    let origin = || unsafe { super::tracer_of(object) }?.origin(object);
    #[cfg(not(feature = "trace"))]
    let origin = || None::<&str>;
    // SAFETY: the caller's promise.
    unsafe { watch::inspect(FREE, object, layout, whole, origin) };
}

/// Checks what is watched behind a large block of `layout`.
///
/// # Safety
///
/// It is live, and its header sound.
unsafe fn inspect_block(block: NonNull<u8>, layout: Layout) {
    #[cfg(feature = "trace")]
    // SAFETY: the caller's promise.
    let origin = || unsafe { large::core(block) }.tracer()?.origin(block);
    #[cfg(not(feature = "trace"))]
    let origin = || None::<&str>;
    // SAFETY: the bytes behind it are watched since it was handed out.
    unsafe { watch::inspect(FREE, block, layout, layout.size() + WATCHED, origin) };
}

/// Says what is wrong, and ends the program.
fn fail(memory: NonNull<u8>, layout: Layout, fault: fmt::Arguments<'_>) -> ! {
    watch::fail(FREE, memory, layout, fault)
}
