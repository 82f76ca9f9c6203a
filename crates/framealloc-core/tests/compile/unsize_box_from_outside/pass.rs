// What `unsize!` takes apart is a box of this crate.

use framealloc_core::__UnsizeBox;
use std::marker::PhantomData;

struct Elsewhere<T>(*mut T);

unsafe impl<T> __UnsizeBox for Elsewhere<T> {
    type Target = T;
    type Brand = PhantomData<T>;

    fn into_raw(self) -> (*mut T, PhantomData<T>) {
        (self.0, PhantomData)
    }
}

pub fn main() {
    assert!(Elsewhere(std::ptr::null_mut::<u8>()).into_raw().0.is_null());
}
