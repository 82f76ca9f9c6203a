//! The heaps behind one face: boxes of one pointer that own their value, and blocks whose size is known at run time only.
//!
//! Rivals are called as `Box` would call them if they were the global allocator: through `GlobalAlloc`, with the value's
//! layout.

#![allow(clippy::inline_always, reason = "what is measured is the heap behind it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use framealloc::prelude::*;

use super::names;

/// Something that boxes objects.
pub trait Heap: Send + Sync + 'static {
    /// As it stands in the tables.
    const NAME: &'static str;
    /// Owns its value and frees it on drop, on any thread.
    type Owned<T: Send + 'static>: DerefMut<Target = T> + Send + 'static;

    /// The heap.
    fn new() -> Self;
    /// Boxes a value.
    fn owned<T: Send + 'static>(&self, value: T) -> Self::Owned<T>;
    /// Memory for a layout whose size is not 0.
    fn take(&self, layout: Layout) -> NonNull<u8>;
    /// Frees memory.
    ///
    /// # Safety
    ///
    /// The memory came from [`take`](Self::take) of this heap with this layout, and is not used any more.
    unsafe fn give(&self, memory: NonNull<u8>, layout: Layout);
}

/// framealloc: boxes by `SmartAlloc::pool_box`, blocks through `Pool`'s `Allocator`, which is the door for sizes that no type
/// has.
pub struct Pooled(SmartAlloc);

impl Heap for Pooled {
    const NAME: &'static str = names::POOL;
    type Owned<T: Send + 'static> = PoolBox<T>;

    fn new() -> Self {
        Self(SmartAlloc::default())
    }

    #[inline(always)]
    fn owned<T: Send + 'static>(&self, value: T) -> PoolBox<T> {
        self.0.pool_box(value)
    }

    #[inline(always)]
    fn take(&self, layout: Layout) -> NonNull<u8> {
        self.0.pool().allocate(layout).expect("memory").cast()
    }

    #[inline(always)]
    unsafe fn give(&self, memory: NonNull<u8>, layout: Layout) {
        // SAFETY: by the caller's promise.
        unsafe { self.0.pool().deallocate(memory, layout) }
    }
}

/// A heap that could be the global allocator.
pub trait Global: GlobalAlloc + Copy + Send + Sync + 'static {
    /// As it stands in the tables.
    const NAME: &'static str;
    /// The only one there is.
    const HEAP: Self;
}

macro_rules! global {
    ($Name:ident, $heap:path, $name:expr) => {
        /// A heap called directly.
        #[derive(Clone, Copy)]
        pub struct $Name;

        // SAFETY: both calls are the heap's own.
        unsafe impl GlobalAlloc for $Name {
            #[inline(always)]
            unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                // SAFETY: by the caller's promise.
                unsafe { $heap.alloc(layout) }
            }

            #[inline(always)]
            unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
                // SAFETY: by the caller's promise.
                unsafe { $heap.dealloc(memory, layout) }
            }
        }

        impl Global for $Name {
            const NAME: &'static str = $name;
            const HEAP: Self = Self;
        }
    };
}

global!(Mimalloc, mimalloc::MiMalloc, names::MIMALLOC);
global!(Snmalloc, snmalloc_rs::SnMalloc, names::SNMALLOC);
global!(Jemalloc, tikv_jemallocator::Jemalloc, names::JEMALLOC);
global!(Glibc, System, names::SYSTEM);

/// A box in a global heap.
pub struct GlobalBox<T, G: Global> {
    value: NonNull<T>,
    owns: PhantomData<(T, G)>,
}

// SAFETY: the box owns its value, and these heaps free on any thread.
unsafe impl<T: Send, G: Global> Send for GlobalBox<T, G> {}

impl<T, G: Global> Deref for GlobalBox<T, G> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the box owns a valid value.
        unsafe { self.value.as_ref() }
    }
}

impl<T, G: Global> DerefMut for GlobalBox<T, G> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the box owns a valid value, and is borrowed for it alone.
        unsafe { self.value.as_mut() }
    }
}

impl<T, G: Global> Drop for GlobalBox<T, G> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the value is dropped once, and its memory was allocated with this layout.
        unsafe {
            self.value.drop_in_place();
            G::HEAP.dealloc(self.value.as_ptr().cast(), Layout::new::<T>());
        }
    }
}

impl<G: Global> Heap for G {
    const NAME: &'static str = <G as Global>::NAME;
    type Owned<T: Send + 'static> = GlobalBox<T, G>;

    fn new() -> Self {
        G::HEAP
    }

    #[inline(always)]
    fn owned<T: Send + 'static>(&self, value: T) -> GlobalBox<T, G> {
        let memory = Heap::take(self, Layout::new::<T>()).cast::<T>();
        // SAFETY: fresh memory of the value's layout.
        unsafe { memory.write(value) };
        GlobalBox { value: memory, owns: PhantomData }
    }

    #[inline(always)]
    fn take(&self, layout: Layout) -> NonNull<u8> {
        // SAFETY: the size is not 0.
        NonNull::new(unsafe { self.alloc(layout) }).expect("memory")
    }

    #[inline(always)]
    unsafe fn give(&self, memory: NonNull<u8>, layout: Layout) {
        // SAFETY: by the caller's promise.
        unsafe { self.dealloc(memory.as_ptr(), layout) }
    }
}

/// An object of so many words, of which the first line is written and read back: what a heap costs must not drown in what its
/// user does.
pub type Object<const WORDS: usize> = [std::mem::MaybeUninit<u64>; WORDS];

/// Words of a cache line.
const LINE: usize = 8;

/// Boxes an object.
#[inline(always)]
pub fn object<H: Heap, const WORDS: usize>(heap: &H, value: u64) -> H::Owned<Object<WORDS>> {
    let mut object = heap.owned([const { std::mem::MaybeUninit::uninit() }; WORDS]);
    write(&mut object, value);
    object
}

/// Writes an object's line.
#[inline(always)]
pub fn write<const WORDS: usize>(object: &mut Object<WORDS>, value: u64) {
    for word in object.iter_mut().take(LINE) {
        word.write(value);
    }
}

/// Reads an object's line back: its last word.
#[inline(always)]
pub fn read<const WORDS: usize>(object: &Object<WORDS>) -> u64 {
    // SAFETY: those that are read were written by [`write`]: all words of the line.
    unsafe { object[WORDS.min(LINE) - 1].assume_init() }
}

/// A block of a size known at run time only, which stands in its first word; its first line is written. Freed by [`Block::free`],
/// not on drop: a box would have to carry its heap.
pub struct Block(NonNull<u64>);

// SAFETY: the block owns its memory, and all heaps free on any thread.
unsafe impl Send for Block {}

impl Block {
    /// Takes a block of at least 8 bytes.
    #[inline(always)]
    pub fn new<H: Heap>(heap: &H, bytes: usize) -> Self {
        let memory = heap.take(Self::layout(bytes)).cast::<u64>();
        for word in 0..(bytes / 8).min(LINE) {
            // SAFETY: the block has so many words.
            unsafe { memory.add(word).write(bytes as u64) };
        }
        Self(memory)
    }

    /// Frees the block of this heap; 1 if its line still is as it was written.
    #[inline(always)]
    pub fn free<H: Heap>(self, heap: &H) -> u64 {
        // SAFETY: `new` wrote these words, and this is the heap that it came from.
        unsafe {
            let bytes = self.0.read();
            let last = self.0.add((bytes as usize / 8).min(LINE) - 1).read();
            heap.give(self.0.cast(), Self::layout(bytes as usize));
            u64::from(last == bytes)
        }
    }

    /// The pointer, for an atomic to carry.
    #[must_use]
    pub fn into_raw(self) -> *mut u64 {
        self.0.as_ptr()
    }

    /// # Safety
    ///
    /// The pointer came from [`into_raw`](Self::into_raw), and is used once.
    #[must_use]
    pub unsafe fn from_raw(memory: NonNull<u64>) -> Self {
        Self(memory)
    }

    const fn layout(bytes: usize) -> Layout {
        // SAFETY: the alignment is a power of two, and no block is near the end of the address space.
        unsafe { Layout::from_size_align_unchecked(bytes, 8) }
    }
}

/// Numbers that look random, and are the same in every contender: xorshift64*.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number, below `bound`.
    #[inline(always)]
    pub const fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((number * bound as u64) >> 32) as usize
    }

    /// A size between 8 and 4096 bytes, a multiple of 8.
    #[inline(always)]
    pub const fn size(&mut self) -> usize {
        8 + 8 * self.below(512)
    }

    /// All numbers below `count` in some order.
    #[must_use]
    pub fn order(mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for i in (1..count).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}
