//! Destructors run, once each: under panics at every place, and whatever they do themselves.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use framealloc_core::*;
use support::{Entered, Ledger, panic_text};

const COUNT: usize = 6;

fn small() -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_frame_chunk(1024, 4096))
}

/// Runs `f` for every place at which something may panic. Everything made is dropped once, the memory is given back, and
/// the allocator is usable.
#[track_caller]
fn at_every_k(bytes_kept: usize, f: impl Fn(&SmartAlloc, &Ledger, &dyn Fn(usize))) {
    for k in 0..=COUNT {
        let (mut alloc, ledger) = (small(), Ledger::default());
        alloc.frame().alloc(0u64);
        let before = alloc.frame().stats().bytes_allocated;
        let at = |i: usize| assert!(i != k, "panics at {k}");
        let panicked = catch_unwind(AssertUnwindSafe(|| f(&alloc, &ledger, &at))).is_err();
        assert_eq!(panicked, k < COUNT, "panics at {k}");
        if panicked {
            let grown = alloc.frame().stats().bytes_allocated - before;
            assert!(grown <= bytes_kept, "{grown} bytes stay after a panic at {k}");
        }
        alloc.end_frame();
        ledger.assert_settled();
        assert_eq!(alloc.frame().alloc_slice_fill(100, 7u8), [7; 100]);
        alloc.end_frame();
    }
}

#[test]
fn panic_in_an_initialiser_of_a_box() {
    // A box's memory stays until the frame ends; that of the one which failed does not.
    at_every_k((COUNT - 1) * size_of::<Entered>(), |alloc, ledger, at| {
        for i in 0..COUNT {
            drop(alloc.frame().alloc_box_with(|| {
                let value = ledger.enter(i as u64);
                at(i);
                value
            }));
        }
    });
}

#[test]
fn panic_in_the_initialiser_of_a_slice() {
    at_every_k(0, |alloc, ledger, at| {
        let slice = alloc.frame().alloc_box_slice_with(COUNT, |i| {
            at(i);
            ledger.enter(i as u64)
        });
        assert!(slice.iter().enumerate().all(|(i, entered)| entered.value == i as u64));
    });
}

#[test]
fn panic_in_an_iterator() {
    for known_length in [false, true] {
        at_every_k(0, |alloc, ledger, at| {
            let iter = (0..COUNT).map(|i| {
                at(i);
                ledger.enter(i as u64)
            });
            let slice = if known_length {
                alloc.frame().alloc_box_slice_from_iter(iter)
            } else {
                alloc.frame().alloc_box_slice_from_iter(iter.filter(|_| true))
            };
            assert_eq!(slice.len(), COUNT);
        });
    }
}

#[test]
fn panic_in_an_iterator_that_is_collected() {
    at_every_k(0, |alloc, ledger, at| {
        let iter = (0..COUNT).map(|i| {
            at(i);
            ledger.enter(i as u64)
        });
        assert_eq!(alloc.frame().collect(iter).len(), COUNT);
    });
}

#[test]
fn panic_in_clone() {
    at_every_k(usize::MAX, |alloc, ledger, at| {
        let source = alloc.frame().collect((0..COUNT as u64).map(|i| ledger.enter(i)));
        let k = (0..COUNT).find(|&i| catch_unwind(AssertUnwindSafe(|| at(i))).is_err());
        ledger.panic_at_clone(k.unwrap_or(COUNT));
        let clone = source.clone();
        assert!(clone.iter().zip(&source).all(|(a, b)| a.value == b.value));
        ledger.panic_at_clone(usize::MAX - 1);
    });
}

#[test]
fn panic_in_a_predicate() {
    at_every_k(usize::MAX, |alloc, ledger, at| {
        let mut vec = alloc.frame().collect((0..COUNT as u64).map(|i| ledger.enter(i)));
        let mut i = 0;
        vec.retain(|entered| {
            at(i);
            i += 1;
            entered.value % 2 == 0
        });
        assert_eq!(vec.len(), COUNT / 2);
    });
}

#[test]
fn panic_in_a_published_initialiser_iterator_or_default() {
    at_every_k(0, |alloc, ledger, at| {
        let handle = alloc.publish_slice_fill_with(COUNT, |i| {
            at(i);
            ledger.enter(i as u64)
        });
        assert_eq!(alloc.get(handle).unwrap()[COUNT - 1].value, COUNT as u64 - 1);
    });
    at_every_k(0, |alloc, ledger, at| {
        let handle = alloc.publish_slice_fill_iter((0..COUNT).filter(|_| true).map(|i| {
            at(i);
            ledger.enter(i as u64)
        }));
        assert_eq!(alloc.get(handle).unwrap().len(), COUNT);
    });
}

thread_local! {
    static DEFAULTS: std::cell::RefCell<Option<(Ledger, usize)>> = const { std::cell::RefCell::new(None) };
}

struct Defaulted(#[allow(dead_code, reason = "its destructor counts")] Entered);

impl Default for Defaulted {
    fn default() -> Self {
        DEFAULTS.with_borrow_mut(|state| {
            let (ledger, left) = state.as_mut().unwrap();
            assert!(*left > 0, "the default panics");
            *left -= 1;
            Self(ledger.enter(0))
        })
    }
}

#[test]
fn panic_in_a_default_of_columns() {
    for k in 0..=2 * COUNT {
        let (alloc, ledger) = (small(), Ledger::default());
        alloc.frame().alloc(0u64);
        let before = alloc.frame().stats().bytes_allocated;
        DEFAULTS.set(Some((ledger.clone(), k)));
        let made = catch_unwind(AssertUnwindSafe(|| alloc.frame_columns::<(Defaulted, u8, Defaulted)>(COUNT).0.len()));
        assert_eq!(made.is_ok(), k == 2 * COUNT);
        if made.is_err() {
            // All but the padding up to a cache line.
            let grown = alloc.frame().stats().bytes_allocated - before;
            assert!(grown < 64, "{grown} bytes stay after a panic at {k}");
        }
        ledger.assert_settled();
    }
}

#[test]
fn panic_in_one_of_many_destructors() {
    let makes: [(&str, Make); 5] = [
        ("box", |alloc, values| drop(alloc.frame().alloc_box(values))),
        ("slice", |alloc, values| drop(alloc.frame().alloc_box_slice_from_iter(values))),
        ("iterator", |alloc, values| drop(alloc.frame().alloc_box_slice_from_iter(values).into_iter().next())),
        ("vec", |alloc, values| drop(alloc.frame().collect(values))),
        ("deque", |alloc, values| {
            let mut deque = alloc.frame_deque();
            deque.extend(values);
            deque.pop_back();
            if let Some(first) = deque.pop_front() {
                deque.push_front(first);
            }
        }),
    ];
    for (name, make) in makes {
        panic_in_each_destructor(make, |ledger| {
            assert_eq!(ledger.dropped(), ledger.made(), "{name}");
            ledger.assert_settled();
        });
    }
}

type Make = fn(&SmartAlloc, Vec<Entered>);

/// Makes something of a few values and drops it, each time with another one whose destructor panics.
fn panic_in_each_destructor(make: Make, after: impl Fn(&Ledger)) {
    for k in 0..COUNT {
        let (mut alloc, ledger) = (small(), Ledger::default());
        let value = |i| if i == k { ledger.enter_panicking(i as u64) } else { ledger.enter(i as u64) };
        let values: Vec<_> = (0..COUNT).map(value).collect();
        assert!(panic_text(|| make(&alloc, values)).is_some(), "at {k}");
        after(&ledger);
        alloc.end_frame();
    }
}

/// A table's destructor stops at the first panic, as std's does: what is left is leaked, never dropped twice.
#[test]
#[cfg_attr(asan, ignore = "what it leaks would be reported")]
fn panic_in_a_destructor_of_a_map_leaks() {
    let make: Make = |alloc, values| {
        let mut map = alloc.frame_map();
        map.extend((0..).zip(values));
    };
    panic_in_each_destructor(make, |ledger| assert!(ledger.dropped() <= ledger.made()));
}

#[test]
fn panic_in_a_published_destructor_reclaims_everything_then_goes_on() {
    for k in 0..COUNT {
        for in_flight in 1..=2 {
            let config = AllocConfig::default().with_frame_chunk(1024, 4096).with_frames_in_flight(in_flight);
            let (mut alloc, ledger) = (SmartAlloc::new(config), Ledger::default());
            for i in 0..COUNT {
                let value = if i == k { ledger.enter_panicking(i as u64) } else { ledger.enter(i as u64) };
                alloc.publish(value);
                alloc.frame().alloc([0u8; 700]);
            }
            for _ in 1..in_flight {
                alloc.end_frame();
            }
            let number = alloc.stats().frame;
            assert_eq!(panic_text(|| alloc.end_frame()).as_deref(), Some("the destructor panics"));
            ledger.assert_settled();
            assert_eq!(alloc.stats().frame, number + 1);
            // Reclaimed: the next frame needs nothing new, and all of it can go.
            let taken = alloc.stats().backend_allocations;
            alloc.frame().alloc_slice_fill(700, 1u8);
            assert_eq!(alloc.stats().backend_allocations, taken);
            for _ in 0..in_flight {
                alloc.end_frame();
            }
            alloc.trim();
            assert_eq!(alloc.stats().committed, 0);
        }
    }
}

#[test]
fn panic_in_every_published_destructor_is_one_panic() {
    let (mut alloc, ledger) = (small(), Ledger::default());
    for i in 0..100 {
        alloc.publish(ledger.enter_panicking(i));
    }
    assert!(panic_text(|| alloc.end_frame()).is_some());
    ledger.assert_settled();
    let sealed = {
        alloc.publish(ledger.enter_panicking(1));
        alloc.publish(ledger.enter(2));
        alloc.seal_frame()
    };
    assert!(panic_text(|| drop(sealed)).is_some());
    ledger.assert_settled();
    // Dropping a sealed frame while unwinding does not abort.
    alloc.publish(ledger.enter_panicking(1));
    let sealed = alloc.seal_frame();
    let text = panic_text(|| {
        let _sealed = sealed;
        panic!("the first");
    });
    assert_eq!(text.as_deref(), Some("the first"));
    alloc.publish(ledger.enter_panicking(1));
    assert!(panic_text(|| drop(alloc)).is_some());
    ledger.assert_settled();
}

/// A destructor that does what it was made to do.
struct Busy(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Busy {
    fn new(f: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(f)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

#[test]
fn destructors_may_use_other_allocators_pools_and_sealed_frames() {
    static OTHER: LazyLock<SmartAlloc> = LazyLock::new(small);
    let ledger = Ledger::default();
    let ran = Arc::new(AtomicUsize::new(0));
    let other: &'static SmartAlloc = &OTHER;
    let ended = Arc::new(Mutex::new(small()));
    let mut alloc = small();
    for round in 0..10u64 {
        let count = || {
            let ran = ran.clone();
            move || {
                ran.fetch_add(1, Ordering::Relaxed);
            }
        };
        // Allocates and publishes in another allocator.
        let (done, mine) = (count(), ledger.clone());
        alloc.publish(Busy::new(move || {
            assert_eq!(other.frame().alloc_slice_fill(3000, 1u8).len(), 3000);
            let handle = other.publish(5);
            assert_eq!(other.get(handle), Ok(&5));
            drop(other.scratch().alloc_box(mine.enter(1)));
            done();
        }));
        // Uses the pool of this very allocator, and frees what was pooled.
        let (done, pool, kept) = (count(), alloc.pool().clone(), alloc.pool_box(ledger.enter(2)));
        let mine = ledger.clone();
        alloc.publish(Busy::new(move || {
            let boxes: Vec<_> = (0..100).map(|i| pool.alloc_box(mine.enter(i))).collect();
            drop(boxes);
            drop(kept);
            pool.trim();
            done();
        }));
        // Ends another allocator's frame, in which something was published that does the same again.
        let (done, inner, again) = (count(), ended.clone(), ledger.enter(3));
        alloc.publish(Busy::new(move || {
            let mut inner = inner.lock().unwrap();
            inner.publish(Busy::new(move || drop(again)));
            inner.end_frame();
            done();
        }));
        // Drops a sealed frame of this allocator.
        alloc.publish(Busy::new(count()));
        alloc.publish(ledger.enter(4));
        let sealed = alloc.seal_frame();
        let done = count();
        alloc.publish(Busy::new(move || {
            drop(sealed);
            done();
        }));
        alloc.publish_slice_fill_with(3, |i| ledger.enter(i as u64 + round));
        alloc.end_frame();
    }
    assert_eq!(ran.load(Ordering::Relaxed), 50);
    ledger.assert_settled();
    // All of it over again, by the allocator's drop.
    let (pool, kept) = (alloc.pool().clone(), alloc.pool_box(ledger.enter(2)));
    alloc.publish(Busy::new(move || {
        drop(kept);
        drop(pool.alloc_box(1));
    }));
    alloc.publish(Busy::new(|| {
        other.publish(1);
    }));
    drop(alloc);
    ledger.assert_settled();
}

#[test]
fn initialisers_may_allocate_publish_and_take_scratch() {
    let (mut alloc, ledger) = (small(), Ledger::default());
    let outer = alloc.frame().alloc_box_slice_with(20, |i| {
        let inner = alloc.frame().alloc_slice_fill(i * 10, i as u8);
        let handle = alloc.publish(ledger.enter(i as u64));
        let scratch = alloc.scratch();
        scratch.alloc_slice_fill(1000, 0xffu8);
        (inner, handle)
    });
    for (i, (inner, handle)) in outer.iter().enumerate() {
        assert!(inner.len() == i * 10 && inner.iter().all(|&byte| byte == i as u8));
        assert_eq!(alloc.get(*handle).unwrap().value, i as u64);
    }
    drop(outer);
    let handle = alloc.publish_slice_fill_with(10, |i| {
        let nested = alloc.publish(ledger.enter(i as u64));
        (ledger.enter(0), nested)
    });
    assert!(alloc.get(handle).unwrap().iter().all(|(_, nested)| alloc.get(*nested).is_ok()));
    assert_eq!(alloc.end_frame().destructors, 40);
    ledger.assert_settled();
}

#[test]
fn boxes_drop_what_they_hold_once() {
    let (mut alloc, ledger) = (small(), Ledger::default());
    let value = FrameBox::into_inner(alloc.frame_box(ledger.enter(1)));
    let mut iter = alloc.frame().alloc_box_slice_with(5, |i| ledger.enter(i as u64)).into_iter();
    drop((iter.next(), iter.next_back()));
    assert_eq!(ledger.dropped(), 2);
    drop(iter);
    assert_eq!(ledger.dropped(), 5);
    let kept = alloc.promote(alloc.frame_box(value));
    let mut vec = alloc.frame_vec();
    vec.extend((0..9).map(|i| ledger.enter(i)));
    let handle = alloc.publish_vec(vec);
    assert_eq!(alloc.get(handle).unwrap()[8].value, 8);
    let from_scratch = {
        let scratch = alloc.scratch();
        let mut vec = scratch.vec();
        vec.extend((0..9).map(|i| ledger.enter(i)));
        alloc.publish_vec(vec)
    };
    assert_eq!(alloc.get(from_scratch).unwrap()[8].value, 8);
    let once: FrameBox<'_, dyn OnceFn<(), Output = u64>> = {
        let entered = ledger.enter(3);
        unsize!(alloc.frame_box(move || entered.value))
    };
    assert_eq!(FrameBox::call_once(once, ()), 3);
    let never_called: FrameBox<'_, dyn OnceFn<(), Output = u64>> = {
        let entered = ledger.enter(3);
        unsize!(alloc.frame_box(move || entered.value))
    };
    drop(never_called);
    alloc.end_frame();
    assert_eq!(kept.value, 1);
    drop(kept);
    ledger.assert_settled();
}
