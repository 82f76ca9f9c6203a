//! The one place where atomics, locks and thread-local storage come from.
//!
//! In unit tests every atomic read-modify-write and every lock is counted, so that a test can assert that a warm frame
//! does none. In unit tests under `--cfg loom` they are those of a model: `modelled` says what is real there and what is not.

#[cfg(all(test, loom))]
pub(crate) mod modelled;

#[cfg(not(test))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
#[cfg(not(test))]
pub(crate) use parking_lot::Mutex;

#[cfg(all(test, not(loom)))]
pub(crate) use counted::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Mutex, Ordering, operations};

#[cfg(all(test, loom))]
pub(crate) use modelled::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Mutex, Ordering, thread_local};
#[cfg(not(all(test, loom)))]
pub(crate) use std::thread_local;

/// What statics are made of. They live as long as the process, through all runs of a model, and are no part of it.
pub(crate) mod process {
    #[cfg(not(all(test, loom)))]
    pub(crate) use super::{AtomicBool, AtomicU64, Mutex};
    #[cfg(all(test, loom))]
    pub(crate) use core::sync::atomic::{AtomicBool, AtomicU64};
    #[cfg(all(test, loom))]
    pub(crate) use parking_lot::Mutex;
}

#[cfg(all(test, not(loom)))]
mod counted {
    use core::cell::Cell;
    pub(crate) use core::sync::atomic::Ordering;
    use std::thread_local;

    thread_local! {
        static OPERATIONS: Cell<u64> = const { Cell::new(0) };
    }

    /// Locks taken and atomic read-modify-writes done by this thread.
    pub(crate) fn operations() -> u64 {
        OPERATIONS.get()
    }

    fn count() {
        OPERATIONS.set(OPERATIONS.get() + 1);
    }

    macro_rules! atomic {
        ($name:ident, $value:ty) => {
            #[derive(Debug, Default)]
            pub(crate) struct $name(core::sync::atomic::$name);

            #[allow(dead_code, reason = "one surface for all the atomics")]
            impl $name {
                pub(crate) const fn new(value: $value) -> Self {
                    Self(core::sync::atomic::$name::new(value))
                }
                pub(crate) fn load(&self, order: Ordering) -> $value {
                    self.0.load(order)
                }
                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    self.0.store(value, order);
                }
                pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                    count();
                    self.0.swap(value, order)
                }
                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    count();
                    self.0.compare_exchange(current, new, success, failure)
                }
            }
        };
    }
    atomic!(AtomicBool, bool);
    atomic!(AtomicU64, u64);
    atomic!(AtomicUsize, usize);

    #[derive(Debug)]
    pub(crate) struct AtomicPtr<T>(core::sync::atomic::AtomicPtr<T>);

    impl<T> AtomicPtr<T> {
        pub(crate) const fn new(value: *mut T) -> Self {
            Self(core::sync::atomic::AtomicPtr::new(value))
        }
        pub(crate) fn load(&self, order: Ordering) -> *mut T {
            self.0.load(order)
        }
        pub(crate) fn compare_exchange(
            &self,
            current: *mut T,
            new: *mut T,
            success: Ordering,
            failure: Ordering,
        ) -> Result<*mut T, *mut T> {
            count();
            self.0.compare_exchange(current, new, success, failure)
        }
    }

    macro_rules! arithmetic {
        ($name:ident, $value:ty) => {
            #[allow(dead_code, reason = "one surface for all the atomics")]
            impl $name {
                pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    count();
                    self.0.fetch_add(value, order)
                }
                pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                    count();
                    self.0.fetch_sub(value, order)
                }
                pub(crate) fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                    count();
                    self.0.fetch_max(value, order)
                }
            }
        };
    }
    arithmetic!(AtomicU64, u64);
    arithmetic!(AtomicUsize, usize);

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(parking_lot::Mutex::new(value))
        }
        pub(crate) fn lock(&self) -> parking_lot::MutexGuard<'_, T> {
            count();
            self.0.lock()
        }
        #[allow(dead_code, reason = "the surface of parking_lot's")]
        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut()
        }
        #[allow(dead_code, reason = "the surface of parking_lot's")]
        pub(crate) fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }
}
