//! The calls of Tracy that `tracy-client` has no safe form of: memory pools with names, and zones that are plain values.
//!
//! Promises that nothing is sent before the program has started the client, nothing while no viewer is connected, and nothing by a
//! thread whose part of the client is gone. Addresses are numbers here: nothing is read there.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char};

use tracy_client::{Client, sys};

/// A text that stays, and whose address is its name: a name is to be made once.
fn leak(text: &str) -> &'static CStr {
    // A tag may be called anything.
    let text: Vec<u8> = text.bytes().filter(|&byte| byte != 0).collect();
    Box::leak(CString::new(text).unwrap_or_default().into_boxed_c_str())
}

/// A memory pool of the viewer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool(&'static CStr);

impl Pool {
    pub(super) fn new(name: &str) -> Self {
        Self(leak(name))
    }

    /// A block appears; none of this address is there.
    pub(super) fn allocated(self, address: usize, bytes: usize) {
        if Client::is_connected() {
            let address = std::ptr::without_provenance(address);
            // SAFETY: the client runs, and no safe code can stop it. The name ends with a zero and stays; of the block only numbers are
            // sent. What the call needs of the thread has no destructor.
            unsafe { sys::___tracy_emit_memory_alloc_named(address, bytes, self.0.as_ptr()) };
        }
    }

    /// A block goes.
    pub(super) fn freed(self, address: usize) {
        if Client::is_connected() {
            // SAFETY: as above.
            unsafe { sys::___tracy_emit_memory_free_named(std::ptr::without_provenance(address), self.0.as_ptr()) };
        }
    }

    /// All blocks go.
    pub(super) fn discard(self) {
        if Client::is_connected() {
            // SAFETY: as above.
            unsafe { sys::___tracy_emit_memory_discard(self.0.as_ptr()) };
        }
    }
}

/// What zones are of: a place in the program to Tracy.
#[derive(Debug)]
pub(crate) struct Place(sys::___tracy_source_location_data);

// SAFETY: its pointers are to texts that stay and are only read.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Place {
    pub(super) const fn new(name: &'static CStr) -> Self {
        Self::of(name.as_ptr(), c"framealloc".as_ptr())
    }

    /// One that stays.
    pub(super) fn leak(name: &str, function: &str) -> &'static Self {
        Box::leak(Box::new(Self::of(leak(name).as_ptr(), leak(function).as_ptr())))
    }

    const fn of(name: *const c_char, function: *const c_char) -> Self {
        let file = c"".as_ptr();
        Self(sys::___tracy_source_location_data { name, function, file, line: 0, color: 0 })
    }
}

/// A zone that is open on this thread. To be [ended](Self::end) there, the innermost first.
#[derive(Clone, Copy)]
pub(crate) struct Zone(sys::___tracy_c_zone_context);

impl Zone {
    /// Opens a zone, if somebody is looking.
    pub(crate) fn begin(place: impl FnOnce() -> &'static Place) -> Option<Self> {
        if !Client::is_connected() || !has_producer() {
            return None;
        }
        // SAFETY: the client runs, and no safe code can stop it. The place and its texts stay. The thread's producer is there.
        Some(Self(unsafe { sys::___tracy_emit_zone_begin(&raw const place().0, 1) }))
    }

    pub(crate) fn end(self) {
        if has_producer() {
            // SAFETY: as above; a zone of a connection that is gone is ignored.
            unsafe { sys::___tracy_emit_zone_end(self.0) };
        }
    }

    /// The number of the connection it is told over.
    pub(super) fn connection(self) -> u64 {
        self.0.connectionId
    }
}

impl std::fmt::Debug for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Zone").field(&self.0.id).finish()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Producer {
    /// Not asked for yet.
    Unknown,
    There,
    Gone,
}

thread_local! {
    static PRODUCER: Cell<Producer> = const { Cell::new(Producer::Unknown) };
}

/// Whether this thread has its queue to the client, or can have one. The client gives it to another thread when this one ends, by a
/// destructor of C++, which for threads of Rust runs before those of Rust: what these did with it would be a race.
fn has_producer() -> bool {
    match PRODUCER.get() {
        Producer::There => true,
        Producer::Gone => false,
        Producer::Unknown => {
            let there = outlived_by_producer();
            PRODUCER.set(if there { Producer::There } else { Producer::Gone });
            there
        }
    }
}

/// Sees to it that [`PRODUCER`] is `Gone` before the queue is; whether that is so.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn outlived_by_producer() -> bool {
    use std::ffi::{c_int, c_void};

    unsafe extern "C" {
        fn __cxa_thread_atexit_impl(
            destructor: unsafe extern "C" fn(*mut c_void),
            object: *mut c_void,
            library: *mut c_void,
        ) -> c_int;
        static __dso_handle: u8;
    }
    unsafe extern "C" fn gone(_: *mut c_void) {
        PRODUCER.set(Producer::Gone);
    }
    static WARM: Place = Place::new(c"attach thread");

    // SAFETY: the client runs, as `has_producer` is asked after that only. A zone that begins and ends has the queue made, and its
    // destructor registered.
    unsafe { sys::___tracy_emit_zone_end(sys::___tracy_emit_zone_begin(&raw const WARM.0, 1)) };
    // SAFETY: registered after the queue's destructor, so that it runs before. It touches a cell without a destructor. The handle
    // is that of this library, whose code the destructor is.
    unsafe { __cxa_thread_atexit_impl(gone, std::ptr::null_mut(), (&raw const __dso_handle).cast_mut().cast()) == 0 }
}

/// Elsewhere no such destructor can be registered, and a tag that is opened by a thread's last destructors is as a span of `tracy-client`
/// is there.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn outlived_by_producer() -> bool {
    true
}
