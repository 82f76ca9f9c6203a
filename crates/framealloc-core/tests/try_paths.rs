//! Every public `try_` function, with a backend that fails at call N, for every N: the error comes back, nothing has changed,
//! and a second try succeeds. That none is missing is checked against the sources.

#![cfg(feature = "std")]

mod support;

use std::alloc::Layout;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use allocator_api2::alloc::{AllocError as NoMemory, Allocator};
use allocator_api2::vec::Vec as List;
use framealloc_core::*;
use support::{Answer, Scripted, panic_text};

type Outcome = Result<(), AllocError>;
/// Does what its name says, where memory is to be taken. What a failure must leave unchanged beside the figures, it checks itself.
type Try = fn(&mut SmartAlloc) -> Outcome;

fn init<T>(result: Result<T, InitError<()>>) -> Outcome {
    result.map(drop).map_err(|error| match error {
        InitError::Alloc(error) => error,
        InitError::Init(()) => unreachable!("the initialiser does not fail"),
    })
}

/// The value that comes back with a refusal is the one that was to be pushed.
fn back<T: PartialEq>(result: Result<(), (AllocError, T)>, value: &T) -> Outcome {
    result.map_err(|(error, given)| {
        assert!(given == *value, "another value comes back");
        error
    })
}

/// A collection that was refused is as it was; the elements are those of `0..4`.
fn unchanged(outcome: &Outcome, elements: impl IntoIterator<Item = u64>) {
    let elements: Vec<_> = elements.into_iter().collect();
    assert!(outcome.is_ok() || elements == [0, 1, 2, 3], "{elements:?}");
}

const LARGE: usize = 6000;

/// Of a frame: each also as the method of arenas, scopes and scratch arenas, which are one body.
macro_rules! of_frames {
    ($($name:ident = |$f:ident| $try_it:expr;)*) => {
        const OF_FRAMES: &[(&str, fn(Frame<'_>) -> Outcome)] = &[$((stringify!($name), |$f| $try_it)),*];
    };
}

of_frames! {
    try_alloc = |f| f.try_alloc([1u8; LARGE]).map(drop);
    try_alloc_with = |f| init(f.try_alloc_with(|| Ok([1u8; LARGE])));
    try_alloc_uninit = |f| f.try_alloc_uninit::<[u8; LARGE]>().map(drop);
    try_alloc_uninit_slice = |f| f.try_alloc_uninit_slice::<u8>(LARGE).map(drop);
    try_alloc_layout = |f| f.try_alloc_layout(Layout::from_size_align(LARGE, 512).unwrap()).map(drop);
    try_alloc_batch = |f| f.try_alloc_batch([[1u8; LARGE]; 2]).map(drop);
    try_alloc_str = |f| f.try_alloc_str(&"x".repeat(LARGE)).map(drop);
    try_alloc_slice_copy = |f| f.try_alloc_slice_copy(&[1u8; LARGE]).map(drop);
    try_alloc_slice_clone = |f| f.try_alloc_slice_clone(&[1u8; LARGE]).map(drop);
    try_alloc_slice_fill = |f| f.try_alloc_slice_fill(LARGE, 1u8).map(drop);
    try_alloc_slice_fill_with = |f| f.try_alloc_slice_fill_with(LARGE, |i| i as u8).map(drop);
    try_alloc_slice_fill_iter = |f| f.try_alloc_slice_fill_iter((0..).take(LARGE)).map(drop);
    try_alloc_slice_copy_aligned = |f| f.try_alloc_slice_copy_aligned(&[1u8; LARGE], 256).map(drop);
    try_alloc_slice_aligned_with = |f| f.try_alloc_slice_aligned_with(LARGE, 256, |i| i as u8).map(drop);
    try_alloc_box = |f| f.try_alloc_box((Rc::new(1), [1u8; LARGE])).map(drop);
    try_alloc_box_with = |f| f.try_alloc_box_with(|| (Rc::new(1), [1u8; LARGE])).map(drop);
    try_alloc_box_slice_with = |f| f.try_alloc_box_slice_with(LARGE / 8, Rc::new).map(drop);
    try_alloc_box_slice_from_iter = |f| f.try_alloc_box_slice_from_iter((0..).take(LARGE).map(Rc::new)).map(drop);
    try_slice = |f| f.try_slice::<Vec<u8>>(LARGE / 8).map(drop);
    try_vec_with_capacity = |f| f.try_vec_with_capacity::<u8>(LARGE).map(drop);
    try_map_with_capacity = |f| f.try_map_with_capacity::<u64, u64>(LARGE / 8).map(drop);
    try_collect = |f| f.try_collect((0..).take(LARGE).map(Rc::new)).map(drop);
    try_columns = |f| f.try_columns::<(u64, Vec<u8>)>(LARGE / 16).map(drop);
    try_with_capacity_in = |f| {
        FrameVec::<u8>::try_with_capacity_in(LARGE, f)?;
        FrameString::try_with_capacity_in(LARGE, f)?;
        FrameSet::<u64>::try_with_capacity_in(LARGE / 8, f)?;
        FrameMap::<u64, u64>::try_with_capacity_in(LARGE / 8, f).map(drop)
    };
    try_from_array_in = |f| FrameVec::try_from_array_in([[1u8; LARGE]], f).map(drop);
    try_format = |f| FrameString::try_format(f, format_args!("{:6000}", 1)).map(drop);
    try_reserve = |f| {
        let (mut vec, mut deque) = (f.try_collect(0..4u64)?, f.deque());
        deque.try_extend(0..4u64)?;
        let (mut string, mut set, mut map) = (f.string(), f.set(), f.map());
        string.try_push_str("0123")?;
        set.try_reserve(1)?;
        map.try_reserve(1)?;
        set.insert(7u64);
        map.insert(7u64, 7u64);
        let outcome = vec.try_reserve(LARGE);
        unchanged(&outcome, vec.iter().copied());
        outcome?;
        let outcome = deque.try_reserve(LARGE);
        unchanged(&outcome, deque.iter().copied());
        outcome?;
        let outcome = string.try_reserve(LARGE);
        assert_eq!(&*string, "0123");
        outcome?;
        let outcome = set.try_reserve(LARGE);
        assert!(set.contains(&7) && set.len() == 1);
        outcome?;
        let outcome = map.try_reserve(LARGE);
        assert!(map.get(&7) == Some(&7) && map.len() == 1);
        outcome
    };
    try_reserve_exact = |f| {
        let mut vec = f.try_collect(0..4u64)?;
        let outcome = vec.try_reserve_exact(LARGE);
        unchanged(&outcome, vec.iter().copied());
        outcome
    };
    try_push = |f| {
        let (mut vec, mut string) = (f.vec(), f.string());
        for i in 0..LARGE as u64 {
            let outcome = back(vec.try_push(i), &i);
            assert!(outcome.is_ok() || vec.iter().copied().eq(0..i));
            outcome?;
            if i % 100 == 0 {
                let outcome = string.try_push('ü');
                assert!(outcome.is_ok() || string.chars().all(|c| c == 'ü'));
                outcome?;
            }
        }
        Ok(())
    };
    try_extend = |f| {
        let (mut vec, mut deque) = (f.vec(), f.deque());
        let outcome = vec.try_extend((0..LARGE as u64).filter(|_| true));
        assert!(vec.iter().copied().eq(0..vec.len() as u64));
        outcome?;
        let outcome = deque.try_extend(0..LARGE as u64);
        assert!(deque.iter().copied().eq(0..deque.len() as u64));
        outcome
    };
    try_extend_from_slice = |f| {
        let mut vec = f.try_collect(0..4u64)?;
        let outcome = vec.try_extend_from_slice(&[1; LARGE]);
        unchanged(&outcome, vec.iter().copied());
        outcome
    };
    try_push_str = |f| {
        let mut string = f.string();
        string.try_push_str("0123")?;
        let outcome = string.try_push_str(&"é".repeat(LARGE));
        assert_eq!(outcome.is_err(), &*string == "0123");
        outcome
    };
    try_push_back = |f| {
        let mut deque = f.deque();
        (0..LARGE as u64).try_for_each(|i| back(deque.try_push_back(i), &i))
    };
    try_push_front = |f| {
        let mut deque = f.deque();
        (0..LARGE as u64).try_for_each(|i| back(deque.try_push_front(i), &i))
    };
}

macro_rules! of_allocators {
    ($($name:ident = |$a:ident| $try_it:expr;)*) => {
        const OF_ALLOCATORS: &[(&str, Try)] = &[$((stringify!($name), |$a| $try_it)),*];
    };
}

of_allocators! {
    try_frame_alloc = |a| a.try_frame_alloc::<[u8; LARGE]>().map(drop);
    try_frame_alloc_with = |a| init(a.try_frame_alloc_with(|| Ok([1u8; LARGE])));
    try_frame_alloc_layout = |a| a.try_frame_alloc_layout(Layout::from_size_align(LARGE, 8).unwrap()).map(drop);
    try_frame_alloc_str = |a| a.try_frame_alloc_str(&"x".repeat(LARGE)).map(drop);
    try_frame_alloc_slice_copy = |a| a.try_frame_alloc_slice_copy(&[1u8; LARGE]).map(drop);
    try_frame_alloc_slice_clone = |a| a.try_frame_alloc_slice_clone(&[1u8; LARGE]).map(drop);
    try_frame_alloc_slice_fill = |a| a.try_frame_alloc_slice_fill(LARGE, 1u8).map(drop);
    try_frame_alloc_slice_fill_with = |a| a.try_frame_alloc_slice_fill_with(LARGE, |i| i).map(drop);
    try_frame_alloc_slice_fill_iter = |a| a.try_frame_alloc_slice_fill_iter((0..).take(LARGE)).map(drop);
    try_frame_alloc_slice_copy_aligned = |a| a.try_frame_alloc_slice_copy_aligned(&[1u8; LARGE], 64).map(drop);
    try_frame_alloc_slice_aligned_with = |a| a.try_frame_alloc_slice_aligned_with(LARGE, 64, |i| i).map(drop);
    try_frame_alloc_uninit_slice = |a| a.try_frame_alloc_uninit_slice::<u8>(LARGE).map(drop);
    try_frame_alloc_batch = |a| a.try_frame_alloc_batch([[1u8; LARGE]; 2]).map(drop);
    try_frame_box = |a| a.try_frame_box([1u8; LARGE]).map(drop);
    try_frame_box_with = |a| a.try_frame_box_with(|| [1u8; LARGE]).map(drop);
    try_frame_box_slice_with = |a| a.try_frame_box_slice_with(LARGE / 8, Rc::new).map(drop);
    try_frame_box_slice_from_iter = |a| a.try_frame_box_slice_from_iter((0..).take(LARGE).map(Rc::new)).map(drop);
    try_frame_slice = |a| a.try_frame_slice::<u8>(LARGE).map(drop);
    try_frame_vec_with_capacity = |a| a.try_frame_vec_with_capacity::<u8>(LARGE).map(drop);
    try_frame_map_with_capacity = |a| a.try_frame_map_with_capacity::<u64, u8>(LARGE / 8).map(drop);
    try_frame_collect = |a| a.try_frame_collect((0..).take(LARGE)).map(drop);
    try_frame_columns = |a| a.try_frame_columns::<(u64, u8)>(LARGE / 8).map(drop);
    try_publish = |a| a.try_publish((String::from("x"), [1u8; LARGE])).map(drop);
    try_publish_str = |a| a.try_publish_str(&"x".repeat(LARGE)).map(drop);
    try_publish_slice_copy = |a| a.try_publish_slice_copy(&[1u8; LARGE]).map(drop);
    try_publish_slice_fill_with = |a| a.try_publish_slice_fill_with(LARGE / 8, |i| i.to_string()).map(drop);
    try_publish_slice_fill_iter = |a| a.try_publish_slice_fill_iter((0..LARGE).map(|i| i.to_string())).map(drop);
    try_publish_vec = |a| {
        // Of this frame, and of a scratch arena, whose elements are moved.
        a.try_publish_vec(a.frame().try_collect((0..400).map(|i| i.to_string()))?)?;
        let scratch = a.scratch();
        a.try_publish_vec(scratch.try_collect((0..400).map(|i| i.to_string()))?).map(drop)
    };
    try_pool_box = |a| {
        a.try_pool_box([1u8; 100])?;
        a.try_pool_box([1u8; LARGE]).map(drop)
    };
    try_heap_box = |a| {
        a.try_heap_box(1u8)?;
        a.pool().try_heap_box([1u8; LARGE]).map(drop)
    };
    try_alloc_box_with = |a| a.pool().try_alloc_box_with(|| [1u8; 700]).map(drop);
    try_promote = |a| {
        a.try_promote(a.try_frame_box(Rc::new(5))?).map(drop).map_err(|refusal| {
            assert_eq!((Rc::strong_count(&refusal.value), **refusal.value), (1, 5));
            refusal.error
        })
    };
}

/// Those that take no memory of the allocator's backend: they are refused for another reason, each in a test of its own here.
const OTHERS: &[&str] = &["try_new", "try_with", "try_with_chunk_sizes", "try_end_frame", "try_seal_frame"];

/// Those of a trait that is not exported: collections reach them through `Fallible`, as the test of that name does.
const THROUGH_FALLIBLE: &[&str] = &["try_allocate", "try_resize", "try_grow_zeroed"];

fn fresh(backend: &Scripted) -> (SmartAlloc, FrameHandle<[u64]>) {
    backend.restart();
    let config = AllocConfig::default().with_frame_chunk(1024, 2048).with_backend(backend.boxed());
    let alloc = SmartAlloc::new(config);
    let kept = alloc.publish_slice_fill_with(50, |i| i as u64);
    (alloc, kept)
}

/// From call N on the backend answers so, for every N, until the try does without it.
fn at_every_call(name: &str, answer: Answer, try_it: &dyn Fn(&mut SmartAlloc) -> Outcome) {
    let backend = Scripted::new();
    for n in 0.. {
        assert!(n < 100, "{name} makes calls without end");
        let (mut alloc, kept) = fresh(&backend);
        let first = backend.calls();
        (n..n + 40).for_each(|call| backend.at(first + call, answer));
        if answer == Answer::Panic {
            let text = panic_text(|| try_it(&mut alloc));
            if text.is_none() {
                assert!(n > 0, "{name} takes no memory");
                break;
            }
            assert_eq!(text.as_deref(), Some("the backend panics"), "{name}");
        } else {
            match try_it(&mut alloc) {
                Ok(()) => {
                    assert!(n > 0, "{name} takes no memory");
                    break;
                }
                Err(error) => {
                    assert!(error.to_string().chars().any(|c| c.is_ascii_digit()), "{name}: {error}");
                }
            }
        }
        assert!(alloc.get(kept).unwrap().iter().copied().eq(0..50), "{name} at {n}");
        backend.restart();
        try_it(&mut alloc).unwrap_or_else(|error| panic!("{name} at {n}, tried again: {error}"));
        assert!(alloc.get(kept).unwrap().iter().copied().eq(0..50), "{name} at {n}, tried again");
        alloc.end_frame();
        try_it(&mut alloc).unwrap_or_else(|error| panic!("{name} at {n}, in the next frame: {error}"));
        drop(alloc);
        assert_eq!(backend.live(), (0, 0), "{name} at {n}");
    }
}

#[test]
fn every_try_is_refused_and_succeeds_later() {
    for answer in [Answer::Failed, Answer::Short, Answer::Misaligned, Answer::Panic] {
        for (name, try_it) in OF_FRAMES {
            at_every_call(name, answer, &|alloc| try_it(alloc.frame()));
            at_every_call(name, answer, &|alloc| try_it(alloc.scratch().frame()));
        }
        for (name, try_it) in OF_ALLOCATORS {
            at_every_call(name, answer, try_it);
        }
    }
}

/// A single request that is refused charges nothing: neither bytes nor memory.
#[test]
fn single_request_that_is_refused_charges_nothing() {
    let backend = Scripted::new();
    // These make several.
    let several = [
        "try_with_capacity_in",
        "try_reserve",
        "try_reserve_exact",
        "try_push",
        "try_extend",
        "try_extend_from_slice",
        "try_push_str",
        "try_push_back",
        "try_push_front",
    ];
    assert!(several.iter().all(|name| OF_FRAMES.iter().any(|row| row.0 == *name)));
    for (name, try_it) in OF_FRAMES.iter().filter(|row| !several.contains(&row.0)) {
        let (alloc, _) = fresh(&backend);
        let before = (alloc.frame().stats().bytes_allocated, alloc.stats().committed);
        backend.always(Answer::Failed);
        assert!(try_it(alloc.frame()).is_err(), "{name}");
        assert_eq!((alloc.frame().stats().bytes_allocated, alloc.stats().committed), before, "{name}");
    }
}

#[test]
fn construction_is_refused_by_its_settings_and_its_backend() {
    assert!(SmartAlloc::try_new(AllocConfig::default().with_frames_in_flight(0)).is_err());
    assert!(FixedBackend::try_new(usize::MAX).is_err());
    assert!(Arena::try_with_chunk_sizes(1000, 2000).is_err());
    assert!(<Arena>::try_with(Box::new(SystemBackend::new()), 1024, 1000).is_err());
    let backend = Scripted::new();
    let config = || AllocConfig::default().with_backend(backend.boxed()).with_prefault(3 << 20);
    for n in 0..3 {
        backend.restart();
        backend.at(n, Answer::Failed);
        assert!(SmartAlloc::try_new(config()).is_err());
        assert_eq!(backend.live(), (0, 0), "what was prefaulted before goes back");
    }
    backend.restart();
    drop(SmartAlloc::try_new(config()).unwrap());
    assert_eq!(backend.live(), (0, 0));
    #[cfg(target_os = "linux")]
    assert!(NumaRouter::try_new(|_| AllocConfig::default().with_frames_in_flight(0)).is_err());
}

#[test]
fn boundary_is_refused_while_leases_are_out() {
    let mut alloc = SmartAlloc::default();
    let handle = alloc.publish(5);
    let lease = alloc.lease();
    assert!(alloc.try_end_frame().unwrap_err().to_string().contains('1'));
    assert!(alloc.try_seal_frame().unwrap_err().to_string().contains('1'));
    assert_eq!((alloc.get(handle), lease.get(handle)), (Ok(&5), Ok(&5)));
    drop(lease);
    assert_eq!(alloc.try_seal_frame().unwrap().get(handle), Ok(&5));
    assert_eq!(alloc.try_end_frame().unwrap().frame, 2);
    #[cfg(target_os = "linux")]
    {
        let mut router = NumaRouter::try_new(|_| AllocConfig::default()).unwrap();
        let lease = router.local().lease();
        assert!(router.try_end_frame().is_err());
        drop(lease);
        assert!(router.try_end_frame().is_ok());
    }
}

#[test]
fn fallible_allocators_refuse_at_every_call() {
    let backend = Scripted::new();
    for n in 0..40 {
        let (mut alloc, _) = fresh(&backend);
        backend.at(backend.calls() + n, Answer::Failed);
        {
            let mut pooled = List::new_in(alloc.pool().fallible());
            let mut framed = List::new_in(alloc.frame().fallible());
            for i in 0..3000u64 {
                while pooled.try_reserve(1).is_err() {
                    assert!(pooled.iter().copied().eq(0..i));
                }
                pooled.push(i);
                while framed.try_reserve(1).is_err() {
                    assert!(framed.iter().copied().eq(0..i));
                }
                framed.push(i);
                if i % 777 == 0 {
                    // In place. A pool's objects move to shrink, and a collection that cannot shrink aborts.
                    framed.shrink_to_fit();
                }
            }
            let blocks = alloc.pool().fallible();
            let (old, new) = (Layout::new::<[u8; 100]>(), Layout::new::<[u8; LARGE]>());
            while let Err(NoMemory) = blocks.allocate_zeroed(old).map(|block| {
                // SAFETY: a block of this layout, and, grown, of the other one.
                unsafe {
                    while let Err(NoMemory) = blocks.grow_zeroed(block.cast(), old, new).map(|grown| {
                        assert!(grown.as_ref().iter().all(|&byte| byte == 0) && grown.len() >= LARGE);
                        blocks.deallocate(grown.cast(), new);
                    }) {}
                }
            }) {}
        }
        alloc.end_frame();
        drop(alloc);
        assert_eq!(backend.live(), (0, 0), "at {n}");
    }
}

// ---- none is missing -------------------------------------------------------------------------------------------------

fn sources(folder: &Path, visit: &mut dyn FnMut(&str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                sources(&path, visit);
            }
        } else if !path.ends_with("tests.rs") && !path.ends_with("scripted.rs") {
            let text = fs::read_to_string(&path).unwrap();
            // Unit tests stand at the end.
            visit(text.split("#[cfg(test)]\nmod tests").next().unwrap());
        }
    }
}

/// The word that begins here.
fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()
}

/// The `try_` functions of a source: written as such, or named in the first line of a macro's row.
fn tries(text: &str, found: &mut BTreeSet<String>) {
    let mut in_trait = false;
    for line in text.lines() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        in_trait = (in_trait && line != "}") || code.starts_with("pub unsafe trait ") || code.starts_with("pub trait ");
        let function = ["pub fn ", "pub const fn ", "pub unsafe fn "].iter().find_map(|start| code.strip_prefix(start));
        let method = ["fn ", "unsafe fn "].iter().find_map(|start| code.strip_prefix(start)).filter(|_| in_trait);
        let in_a_row = || {
            // `name, try_name = body..`, `name, try_name -> type`, `name, try_name<T>(..)` and `try_name = body[..](..)`.
            let named =
                code.split_once(", ").map_or(code, |(first, rest)| if word(first) == first { rest } else { code });
            let end = named.get(word(named).len()..)?;
            let row = [" = ", " -> ", "<"].iter().any(|sign| end.starts_with(sign)) && !code.starts_with("let ");
            row.then_some(named)
        };
        let Some(name) = function.or(method).or_else(in_a_row).map(word) else { continue };
        if name.starts_with("try_") {
            found.insert(name.to_owned());
        }
    }
}

#[test]
fn every_try_function_of_the_sources_is_here() {
    let mut found = BTreeSet::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |text| tries(text, &mut found));
    let mut here: BTreeSet<&str> = OF_FRAMES.iter().map(|row| row.0).collect();
    here.extend(OF_ALLOCATORS.iter().map(|row| row.0));
    here.extend(OTHERS.iter().chain(THROUGH_FALLIBLE));
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    let missing: Vec<_> = found.difference(&here).collect();
    assert!(missing.is_empty(), "no test fails these: {missing:?}");
    let unknown: Vec<_> = here.difference(&found).collect();
    assert!(unknown.is_empty(), "these are not in the sources, or are not found there: {unknown:?}");
}

#[test]
fn a_new_try_function_would_be_found() {
    let mut found = BTreeSet::new();
    let text = "
    pub fn try_one(&self) -> u8 {
        a, try_two = body<T>(x: T);
    a, try_three -> [T] = body<T>(x: T);
    a, try_four<T>(value: T) -> T = |alloc, E| x;
    try_five = try_six[T](len: usize) -> u8;
    // pub fn try_comment()
    self.try_seven()?;
    let x = a, try_eight = 1;
pub trait New {
    fn try_nine(&self);
}
    fn try_private(&self);
";
    tries(text, &mut found);
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        ["try_five", "try_four", "try_nine", "try_one", "try_three", "try_two"]
    );
}
