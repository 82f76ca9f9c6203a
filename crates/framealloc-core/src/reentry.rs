//! Lists that grow where the program's allocator may come back into this crate: it is user code, whoever wrote it.

use core::cell::UnsafeCell;
use core::mem;
use std::vec::Vec;

/// Appends `value`. Memory is taken and given back while nothing is borrowed: what the program's allocator does to the list
/// meanwhile, it does before or after.
///
/// # Safety
///
/// Nobody else than the calling thread touches the list meanwhile, and no borrow of it is alive.
pub(crate) unsafe fn push<T>(list: &UnsafeCell<Vec<T>>, value: T) {
    loop {
        let needed = {
            // SAFETY: this function's contract; nothing is allocated while the borrow is alive.
            let list = unsafe { &mut *list.get() };
            if list.len() < list.capacity() {
                list.push(value);
                return;
            }
            list.len() + 1
        };
        let mut larger = Vec::with_capacity(needed.next_power_of_two().max(4));
        exchange(list, &mut larger);
        drop(larger);
    }
}

/// Moves the list's elements into `larger` and puts that in its place, if it is larger. What is not needed is left in `larger`.
fn exchange<T>(list: &UnsafeCell<Vec<T>>, larger: &mut Vec<T>) {
    // SAFETY: `push`'s contract; the elements fit, so that nothing is allocated while the borrow is alive.
    let list = unsafe { &mut *list.get() };
    if list.capacity() < larger.capacity() {
        larger.append(list);
        mem::swap(list, larger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_grows_by_doubling() {
        let list = UnsafeCell::new(Vec::new());
        let mut capacities = Vec::new();
        for i in 0..100 {
            // SAFETY: nobody else has the list.
            let list = unsafe {
                push(&list, i);
                &*list.get()
            };
            assert!(list.iter().copied().eq(0..=i));
            if capacities.last() != Some(&list.capacity()) {
                capacities.push(list.capacity());
            }
        }
        assert!(capacities.len() <= 6, "{capacities:?}");
    }
}
