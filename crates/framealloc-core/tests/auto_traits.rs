//! What may be sent, shared, copied, moved while pinned, and used for longer or shorter: of every public type.
//!
//! Inside a generic type stand a `Cell` (sent, not shared), a `Guard` (shared, not sent), an `Rc` (neither) and a `u8`.

#![cfg(feature = "std")]

use std::cell::Cell;
use std::marker::{PhantomData, PhantomPinned};
use std::rc::Rc;
use std::sync::MutexGuard;

use framealloc_core::*;

type Guard = MutexGuard<'static, u8>;

/// The inherent constants of a `Probe` hide those of `Absent` where their bounds hold.
struct Probe<T: ?Sized>(PhantomData<T>);

trait Absent {
    const SEND: bool = false;
    const SYNC: bool = false;
    const UNPIN: bool = false;
    const CLONE: bool = false;
    const COPY: bool = false;
}

impl<T: ?Sized> Absent for Probe<T> {}

impl<T: ?Sized + Send> Probe<T> {
    const SEND: bool = true;
}

impl<T: ?Sized + Sync> Probe<T> {
    const SYNC: bool = true;
}

impl<T: ?Sized + Unpin> Probe<T> {
    const UNPIN: bool = true;
}

impl<T: Clone> Probe<T> {
    const CLONE: bool = true;
}

impl<T: Copy> Probe<T> {
    const COPY: bool = true;
}

/// Checks that each type has exactly the traits named.
macro_rules! table {
    ($($type:ty: $($trait:ident)*;)*) => {{
        let mut wrong = Vec::new();
        $({
            let probes = [
                ("Send", Probe::<$type>::SEND),
                ("Sync", Probe::<$type>::SYNC),
                ("Unpin", Probe::<$type>::UNPIN),
                ("Clone", Probe::<$type>::CLONE),
                ("Copy", Probe::<$type>::COPY),
            ];
            let found: Vec<_> = probes.iter().filter(|probe| probe.1).map(|probe| probe.0).collect();
            let meant: &[&str] = &[$(stringify!($trait)),*];
            if found != meant {
                wrong.push(format!("{}: meant {meant:?}, found {found:?}", stringify!($type)));
            }
        })*
        assert!(wrong.is_empty(), "{wrong:#?}");
    }};
}

#[test]
fn the_probe_tells_traits_apart() {
    table! {
        u8: Send Sync Unpin Clone Copy;
        String: Send Sync Unpin Clone;
        Cell<u8>: Send Unpin Clone;
        Guard: Sync Unpin;
        Rc<u8>: Unpin Clone;
        PhantomPinned: Send Sync Clone Copy;
        dyn Fn(): ;
    }
}

#[test]
fn allocators_are_shared_and_have_one_owner() {
    table! {
        SmartAlloc: Send Sync Unpin;
        Lease: Send Sync Unpin Clone;
        Pool: Send Sync Unpin Clone;
        Fallible<Pool>: Send Sync Unpin Clone;
        Fallible<Frame<'static>>: Unpin Clone Copy;
        Fallible<&'static Arena>: Unpin Clone Copy;
        Fallible<Cell<u8>>: Send Unpin Clone;
        Fallible<Guard>: Sync Unpin;
        Fallible<Rc<u8>>: Unpin Clone;
        SealedFrame: Send Sync Unpin;
    }
}

#[test]
fn arenas_are_sent_and_not_shared() {
    table! {
        Arena: Send Unpin;
        Arena<64>: Send Unpin;
        AllocConfig: Send Unpin;
    }
}

#[test]
fn views_of_a_frame_stay_on_their_thread() {
    table! {
        Frame<'static>: Unpin Clone Copy;
        &Frame<'static>: Unpin Clone Copy;
        Scope<'static, 'static>: Unpin;
        Scope<'static, 'static, 64>: Unpin;
        &mut Scope<'static, 'static>: Unpin;
        Scratch<'static>: Unpin;
        &Scratch<'static>: Unpin Clone Copy;
    }
}

#[test]
fn collections_stay_on_the_thread_of_their_frame() {
    table! {
        FrameVec<'static, u8>: Unpin Clone;
        FrameVec<'static, Cell<u8>>: Unpin Clone;
        FrameVec<'static, Guard>: Unpin;
        FrameVec<'static, Rc<u8>>: Unpin Clone;
        &FrameVec<'static, u8>: Unpin Clone Copy;
        &mut FrameVec<'static, u8>: Unpin;
        <FrameVec<'static, u8> as IntoIterator>::IntoIter: Unpin Clone;
        <FrameVec<'static, u8> as std::ops::Deref>::Target: Unpin Clone;
        FrameString<'static>: Unpin Clone;
        FrameMap<'static, u8, u8>: Unpin;
        FrameMap<'static, Cell<u8>, Cell<u8>>: Unpin;
        FrameMap<'static, Guard, Guard>: Unpin;
        FrameMap<'static, Rc<u8>, Rc<u8>>: Unpin;
        <FrameMap<'static, u8, u8> as IntoIterator>::IntoIter: Unpin;
        <FrameMap<'static, u8, u8> as std::ops::Deref>::Target: Unpin Clone;
        FrameSet<'static, u8>: Unpin;
        FrameSet<'static, Cell<u8>>: Unpin;
        FrameSet<'static, Guard>: Unpin;
        FrameSet<'static, Rc<u8>>: Unpin;
        <FrameSet<'static, u8> as IntoIterator>::IntoIter: Unpin;
        FrameDeque<'static, u8>: Unpin;
        FrameDeque<'static, Cell<u8>>: Unpin;
        FrameDeque<'static, Guard>: Unpin;
        FrameDeque<'static, Rc<u8>>: Unpin;
    }
}

#[test]
fn boxes_in_a_frame_are_sent_and_shared_as_their_values_are() {
    table! {
        FrameBox<'static, u8>: Send Sync Unpin;
        FrameBox<'static, Cell<u8>>: Send Unpin;
        FrameBox<'static, Guard>: Sync Unpin;
        FrameBox<'static, Rc<u8>>: Unpin;
        FrameBox<'static, str>: Send Sync Unpin;
        FrameBox<'static, [u8]>: Send Sync Unpin;
        FrameBox<'static, [Cell<u8>]>: Send Unpin;
        FrameBox<'static, [Guard]>: Sync Unpin;
        FrameBox<'static, [Rc<u8>]>: Unpin;
        FrameBox<'static, dyn Fn() + Unpin>: Unpin;
        FrameBox<'static, dyn Fn() + Send + Unpin>: Send Unpin;
        FrameBox<'static, dyn Fn() + Sync + Unpin>: Sync Unpin;
        FrameBox<'static, PhantomPinned>: Send Sync;
        BoxedSliceIter<'static, u8>: Send Sync Unpin;
        BoxedSliceIter<'static, Cell<u8>>: Send Unpin;
        BoxedSliceIter<'static, Guard>: Sync Unpin;
        BoxedSliceIter<'static, Rc<u8>>: Unpin;
        PromoteError<'static, u8>: Send Sync Unpin;
        PromoteError<'static, Cell<u8>>: Send Unpin;
        PromoteError<'static, Guard>: Sync Unpin;
        PromoteError<'static, Rc<u8>>: Unpin;
    }
}

#[test]
fn boxes_of_pools_are_sent_and_shared_as_their_values_are() {
    table! {
        PoolBox<u8>: Send Sync Unpin;
        PoolBox<Cell<u8>>: Send Unpin;
        PoolBox<Guard>: Sync Unpin;
        PoolBox<Rc<u8>>: Unpin;
        PoolBox<PhantomPinned>: Send Sync Unpin;
        PoolBox<dyn Fn()>: Unpin;
        PoolBox<dyn Fn() + Send>: Send Unpin;
        HeapBox<u8>: Send Sync Unpin;
        HeapBox<Cell<u8>>: Send Unpin;
        HeapBox<Guard>: Sync Unpin;
        HeapBox<Rc<u8>>: Unpin;
        HeapBox<PhantomPinned>: Send Sync Unpin;
        HeapBox<[u8]>: Send Sync Unpin;
        allocator_api2::vec::Vec<u8, Pool>: Send Sync Unpin Clone;
        allocator_api2::vec::Vec<Rc<u8>, Pool>: Unpin Clone;
    }
}

#[test]
fn handles_go_everywhere() {
    // Without a lifetime, too.
    let _: fn(FrameHandle<[String]>) -> Box<dyn std::any::Any + Send + Sync> = |handle| Box::new(handle);
    table! {
        FrameHandle<u8>: Send Sync Unpin Clone Copy;
        FrameHandle<String>: Send Sync Unpin Clone Copy;
        FrameHandle<Cell<u8>>: Send Sync Unpin Clone Copy;
        FrameHandle<Guard>: Send Sync Unpin Clone Copy;
        FrameHandle<Rc<u8>>: Send Sync Unpin Clone Copy;
        FrameHandle<PhantomPinned>: Send Sync Unpin Clone Copy;
        FrameHandle<str>: Send Sync Unpin Clone Copy;
        FrameHandle<[Rc<u8>]>: Send Sync Unpin Clone Copy;
        StaleHandle: Send Sync Unpin Clone Copy;
    }
}

#[test]
fn backends_are_sent_and_governors_are_shared() {
    table! {
        Box<dyn AllocatorBackend>: Send Unpin;
        SystemBackend: Send Sync Unpin Clone Copy;
        FixedBackend: Send Unpin;
        dyn Governor: Send Sync;
        Ungoverned: Send Sync Unpin Clone Copy;
        Request: Send Sync Unpin Clone Copy;
        Outcome: Send Sync Unpin Clone Copy;
        Release: Send Sync Unpin Clone Copy;
        HeldBlock: Send Sync Unpin Clone Copy;
        Stage: Send Sync Unpin Clone Copy;
        Scarce: Send Sync Unpin Clone Copy;
        Shortage: Send Sync Unpin Clone Copy;
        TagScope: Send Sync Unpin Clone Copy;
        TagUse: Send Sync Unpin Clone Copy;
        Resource: Send Sync Unpin Clone Copy;
        Verdict: Send Sync Unpin Clone Copy;
        Tag: Send Sync Unpin Clone Copy;
        AllocationResult: Unpin Clone Copy;
    }
    #[cfg(feature = "trace")]
    table! {
        Census: Send Sync Unpin Clone;
        LiveBlock: Send Sync Unpin Clone;
    }
    #[cfg(feature = "sample")]
    table! {
        Sample: Send Sync Unpin Clone Copy;
    }
    #[cfg(target_os = "linux")]
    table! {
        NumaRouter: Send Sync Unpin;
        MmapBackend: Send Unpin;
        MmapMonitor: Send Sync Unpin Clone;
        MmapReport: Send Sync Unpin Clone Copy;
        HugePages: Send Sync Unpin Clone Copy;
        NumaBackend: Send Unpin;
        NumaMonitor: Send Sync Unpin Clone;
        NumaReport: Send Sync Unpin Clone Copy;
    }
}

#[test]
fn figures_and_errors_are_plain_values() {
    table! {
        AllocError: Send Sync Unpin Clone Copy;
        AllocErrorKind: Send Sync Unpin Clone Copy;
        InitError<u8>: Send Sync Unpin Clone Copy;
        InitError<Cell<u8>>: Send Unpin Clone;
        InitError<Guard>: Sync Unpin;
        InitError<Rc<u8>>: Unpin Clone;
        FrameStats: Send Sync Unpin Clone Copy;
        ThreadStats: Send Sync Unpin Clone Copy;
        AllocStats: Send Sync Unpin Clone Copy;
        PoolStats: Send Sync Unpin Clone Copy;
        ClassStats: Send Sync Unpin Clone Copy;
        SlabStats: Send Sync Unpin Clone Copy;
        PoolSurvey: Send Sync Unpin Clone Copy;
        FrameEnd<'static>: Send Sync Unpin Clone Copy;
        TagStats: Send Sync Unpin Clone Copy;
        TrimPolicy: Send Sync Unpin Clone Copy;
        bump::Bump: Send Sync Unpin Clone Copy;
    }
}

/// What `unsize!` takes boxes apart into.
#[test]
fn brands_of_boxes_are_plain_values() {
    table! {
        __FrameBrand<'static>: Send Sync Unpin;
        __PoolBrand: Send Sync Unpin;
        __HeapBrand: Send Sync Unpin;
    }
}

/// A longer lifetime serves where a shorter one is wanted: compiles only if the type is covariant.
macro_rules! covariant {
    ($($name:ident: $of:ident<$life:lifetime> = $type:ty;)*) => {
        $(
            mod $name {
                use super::*;

                type $of<$life> = $type;

                #[allow(dead_code, reason = "to be compiled")]
                fn shorten<'short, 'long: 'short>(long: $of<'long>) -> $of<'short> {
                    long
                }
            }
        )*
    };
}

covariant! {
    frame: Of<'a> = Frame<'a>;
    frame_box: Of<'a> = FrameBox<'a, u8>;
    frame_box_value: Of<'a> = FrameBox<'static, &'a u8>;
    frame_box_slice: Of<'a> = FrameBox<'a, [&'a u8]>;
    frame_box_dyn: Of<'a> = FrameBox<'a, dyn Fn()>;
    boxed_slice_iter: Of<'a> = BoxedSliceIter<'a, u8>;
    boxed_slice_iter_value: Of<'a> = BoxedSliceIter<'static, &'a u8>;
    frame_vec: Of<'a> = FrameVec<'a, u8>;
    frame_vec_value: Of<'a> = FrameVec<'static, &'a u8>;
    frame_string: Of<'a> = FrameString<'a>;
    frame_map: Of<'a> = FrameMap<'a, u8, u8>;
    frame_map_value: Of<'a> = FrameMap<'static, &'a u8, &'a u8>;
    frame_set: Of<'a> = FrameSet<'a, u8>;
    frame_set_value: Of<'a> = FrameSet<'static, &'a u8>;
    frame_deque: Of<'a> = FrameDeque<'a, u8>;
    frame_deque_value: Of<'a> = FrameDeque<'static, &'a u8>;
    scratch: Of<'a> = Scratch<'a>;
    promote_error: Of<'a> = PromoteError<'a, &'a u8>;
    pool_box: Of<'a> = PoolBox<&'a u8>;
    heap_box: Of<'a> = HeapBox<&'a u8>;
    frame_handle: Of<'a> = FrameHandle<&'a u8>;
    frame_handle_slice: Of<'a> = FrameHandle<[&'a u8]>;
    init_error: Of<'a> = InitError<&'a u8>;
    fallible: Of<'a> = Fallible<&'a Arena>;
    frame_end: Of<'a> = FrameEnd<'a>;
    frame_brand: Of<'a> = __FrameBrand<'a>;
}

/// Invariant, by a program that must not compile for each of its lifetimes: the type, and the programs.
const INVARIANT: &[(&str, &[&str])] = &[("Scope", &["scope_shortened", "scope_of_a_longer_surrounding"])];

#[test]
fn what_is_invariant_is_shortened_by_no_program() {
    for program in INVARIANT.iter().flat_map(|(_, programs)| *programs) {
        let path = format!("{}/tests/compile/{program}/fail.stderr", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(text.starts_with("error: lifetime may not live long enough") && text.contains("invariant"), "{text}");
    }
}
