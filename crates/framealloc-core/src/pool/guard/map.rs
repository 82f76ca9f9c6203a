//! Which pieces of the address space are slabs: a bit for each piece of a slab's size, in two levels.
//!
//! Read without a lock at every free. The upper level is zeros of which the operating system gives pages when they are
//! written; leaves are made when they are needed and stay.

use core::alloc::Layout;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::super::slab::{SLAB, Slab};

/// Slabs of a leaf: 4 GiB of addresses.
const LEAF: usize = 1 << 16;

/// Leaves: for 48 bits of address, which is what programs get unless they ask for more.
const LEAVES: usize = 1 << 16;

type Leaf = [AtomicU64; LEAF / u64::BITS as usize];

static ROOT: [AtomicPtr<Leaf>; LEAVES] = [const { AtomicPtr::new(ptr::null_mut()) }; LEAVES];

/// Whether the address lies in a slab that was added and not removed. Unknown ones, above all leaves, count as such: what their
/// header says decides.
pub(super) fn has_slab(address: usize) -> bool {
    let Some((root, word, bit)) = place(address) else { return true };
    // Acquire: pairs with the exchange in `add_slab`.
    // SAFETY: a leaf that is linked stays for ever.
    unsafe { root.load(Ordering::Acquire).as_ref() }.is_some_and(|leaf| leaf[word].load(Ordering::Relaxed) & bit != 0)
}

/// Adds a slab; false if there is no memory for the leaf.
pub(in super::super) fn add_slab(slab: Slab) -> bool {
    let Some((root, word, bit)) = place(slab.addr().get()) else { return true };
    let mut leaf = root.load(Ordering::Acquire);
    if leaf.is_null() {
        let layout = Layout::new::<Leaf>();
        // SAFETY: a leaf takes memory.
        let new = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<Leaf>();
        if new.is_null() {
            return false;
        }
        // Release: pairs with the loads of the leaf, which see its zeros.
        leaf = match root.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: just allocated with this layout, and nobody has seen it.
                unsafe { std::alloc::dealloc(new.cast(), layout) };
                other
            }
        };
    }
    // Relaxed: whoever has an object of the slab got it after this, by whatever made it theirs.
    // SAFETY: a leaf that is linked stays for ever; zeros are what it is made of.
    let leaf = unsafe { &*leaf };
    leaf[word].fetch_or(bit, Ordering::Relaxed);
    true
}

/// Removes a slab, if it was added.
pub(in super::super) fn remove_slab(slab: Slab) {
    let Some((root, word, bit)) = place(slab.addr().get()) else { return };
    // SAFETY: as in `has_slab`.
    if let Some(leaf) = unsafe { root.load(Ordering::Acquire).as_ref() } {
        leaf[word].fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Leaf, word and bit of an address.
fn place(address: usize) -> Option<(&'static AtomicPtr<Leaf>, usize, u64)> {
    let piece = address / SLAB;
    let bit = 1 << (piece % u64::BITS as usize);
    Some((ROOT.get(piece / LEAF)?, piece % LEAF / u64::BITS as usize, bit))
}

#[cfg(test)]
mod tests {
    use core::ptr::NonNull;

    use super::*;

    fn slab(piece: usize) -> Slab {
        NonNull::without_provenance((piece * SLAB).try_into().unwrap())
    }

    #[test]
    fn exactly_the_slabs_that_are_added_are_found() {
        // Addresses that no program is given: above the middle of the 48 bits.
        let base = (LEAVES - 2) * LEAF;
        let pieces = [base, base + 63, base + 64, base + LEAF - 1, base + LEAF];
        let found = || pieces.map(|piece| has_slab(piece * SLAB + 17));
        assert_eq!(found(), [false; 5]);
        for (n, &piece) in pieces.iter().enumerate() {
            assert!(add_slab(slab(piece)));
            assert_eq!(found().iter().filter(|&&found| found).count(), n + 1);
        }
        assert!(!has_slab((base + 1) * SLAB) && !has_slab(base * SLAB - 1));
        for piece in pieces {
            remove_slab(slab(piece));
        }
        assert_eq!(found(), [false; 5]);
        remove_slab(slab(3 * LEAF));
        assert!(has_slab(usize::MAX), "unknown");
    }
}
