//! Pressure as a game hears of it: once for each change, with the figures of the frame.

use std::sync::{Arc, Mutex};

use framealloc_budget::bytes::kib;
use framealloc_budget::{Account, Budget, Level, Limit, Pressure, PressurePolicy};
use framealloc_core::{AllocConfig, SmartAlloc};

fn heard(budget: Budget) -> (Budget, Arc<Mutex<Vec<Pressure>>>) {
    let heard: Arc<Mutex<Vec<Pressure>>> = Arc::default();
    let ears = heard.clone();
    (budget.on_pressure(move |pressure| ears.lock().unwrap().push(pressure.clone())), heard)
}

fn governed(budget: &Budget) -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()))
}

#[test]
fn each_account_is_told_of_at_its_edges() {
    let policy = PressurePolicy { exit_ratio: 0.5, hysteresis: 2, renotify: 0 };
    let (budget, heard) = heard(
        Budget::new()
            .with_pressure(policy)
            .with_frame(Limit::soft(kib(8)))
            .with_thread(Limit::soft(kib(6)))
            .with_pools(Limit::soft(kib(63)))
            .with_committed(Limit::soft(kib(127)))
            .with_sealed(Limit::soft(kib(63)))
            .with_tag("tag", Limit::soft(100).with_hard(200)),
    );
    let mut alloc = governed(&budget);
    let frame = |alloc: &mut SmartAlloc, bytes: usize| {
        alloc.with_tag("tag", |a| drop(a.frame().try_alloc_slice_fill(bytes, 1u8)));
        alloc.end_frame();
        std::mem::take(&mut *heard.lock().unwrap())
    };
    assert_eq!(frame(&mut alloc, 96), []);
    let told = frame(&mut alloc, 104);
    assert_eq!(told.len(), 1, "{told:?}");
    let Pressure { level, before, used, limit, frame: number, .. } = told[0];
    assert_eq!((level, before, used, limit, number), (Level::Soft, Level::Normal, 104, 100, 2));
    assert_eq!((told[0].tag(), budget.level(&Account::tag("tag"))), (Some("tag"), Level::Soft));
    assert_eq!(told[0].to_string(), "frame 2: tag tag is above the soft limit: 104 bytes of 100");
    assert_eq!(frame(&mut alloc, 160), [], "not again");
    // Refused: what was used is little, and the limit was met all the same.
    let told = frame(&mut alloc, 300);
    assert_eq!((told.len(), told[0].level, told[0].used, told[0].limit), (1, Level::Hard, 0, 200));
    assert_eq!(frame(&mut alloc, 16), [], "calm for one frame");
    let told = frame(&mut alloc, 16);
    assert_eq!((told.len(), told[0].level, told[0].before), (1, Level::Normal, Level::Hard));

    // The others.
    alloc.frame().alloc_slice_fill(7000, 1u8);
    std::thread::scope(|s| {
        s.spawn(|| alloc.frame().alloc_slice_fill(2000, 1u8).len());
    });
    alloc.publish(1u64);
    let sealed = alloc.seal_frame();
    let boxed = alloc.pool_box(1);
    let mut told = frame(&mut alloc, 16);
    told.sort_by_key(|pressure| pressure.account.clone());
    let accounts: Vec<_> = told.iter().map(|pressure| (pressure.account.clone(), pressure.level)).collect();
    let soft = |account| (account, Level::Soft);
    let expected = [Account::Committed, Account::Pools, Account::Sealed, Account::Frame, Account::Thread].map(soft);
    assert_eq!(accounts, expected);
    drop((sealed, boxed));
}

#[test]
fn what_a_callback_gives_back_is_seen_at_the_end_of_the_next_frame() {
    use framealloc_core::HeapBox;
    let cache: Arc<Mutex<Vec<HeapBox<[u8; 5000]>>>> = Arc::default();
    let evicted = Arc::downgrade(&cache);
    let budget = Budget::new().with_pools(Limit::soft(kib(4))).on_pressure(move |_| {
        let boxes = evicted.upgrade().map(|cache| std::mem::take(&mut *cache.lock().unwrap()));
        drop(boxes);
    });
    let mut alloc = governed(&budget);
    let boxed = alloc.heap_box([1; 5000]);
    cache.lock().unwrap().push(boxed);
    alloc.end_frame();
    assert!(cache.lock().unwrap().is_empty(), "it was told");
    assert_eq!(budget.used(&Account::Pools), 0);
    alloc.end_frame();
    assert_eq!(budget.metrics().last().unwrap().pools, 0);
}

#[test]
fn limits_that_are_taken_away_end_their_pressure() {
    let (budget, heard) = heard(Budget::new().with_tag("tag", Limit::soft(10)));
    let mut alloc = governed(&budget);
    for _ in 0..3 {
        alloc.with_tag("tag", |a| a.frame().alloc([1u64; 4]).len());
        alloc.end_frame();
    }
    budget.set_limit(Account::tag("tag"), Limit::NONE).unwrap();
    for _ in 0..3 {
        alloc.with_tag("tag", |a| a.frame().alloc([1u64; 4]).len());
        alloc.end_frame();
    }
    let levels: Vec<_> = heard.lock().unwrap().iter().map(|pressure| (pressure.frame, pressure.level)).collect();
    assert_eq!(levels, [(1, Level::Soft), (5, Level::Normal)]);
}

#[test]
fn a_callback_may_read_and_set_the_budget() {
    let cell: Arc<std::sync::OnceLock<Budget>> = Arc::default();
    let inner = cell.clone();
    let budget = Budget::new().with_tag("tag", Limit::soft(10).with_hard(80)).on_pressure(move |pressure| {
        let budget = inner.get().unwrap();
        assert_eq!(budget.metrics().last().unwrap().frame, pressure.frame);
        budget.set_limit(pressure.account.clone(), Limit::hard(160)).unwrap();
    });
    cell.set(budget.clone()).unwrap();
    let mut alloc = governed(&budget);
    let fits = |alloc: &SmartAlloc| alloc.with_tag("tag", |a| a.frame().try_alloc([1u8; 160]).is_ok());
    assert!(!fits(&alloc));
    alloc.end_frame();
    assert!(!fits(&alloc), "set at the end of that frame: it holds from the end of this one on");
    alloc.end_frame();
    assert!(fits(&alloc));
}

#[test]
fn callbacks_are_added_in_their_order() {
    let heard: Arc<Mutex<Vec<(u8, usize)>>> = Arc::default();
    let mut budget = Budget::new().with_tag("tag", Limit::soft(8));
    for name in 0..3 {
        let ears = heard.clone();
        budget = budget.on_pressure(move |pressure| ears.lock().unwrap().push((name, pressure.used)));
    }
    let mut alloc = governed(&budget);
    alloc.with_tag("tag", |a| a.frame().alloc([0u64; 2]).len());
    alloc.end_frame();
    assert_eq!(*heard.lock().unwrap(), [(0, 16), (1, 16), (2, 16)]);
}

#[test]
fn each_limit_is_told_with_what_the_last_frame_used() {
    let budget = Budget::new()
        .with_frame(Limit::hard(kib(8)))
        .with_tag("tag", Limit::soft(100))
        .with_tag("outer/inner", Limit::soft(40).with_hard(64));
    let mut alloc = governed(&budget);
    let told = || {
        let mut told = Vec::new();
        budget.each_limit(|of| told.push((of.account.to_string(), of.soft, of.hard, of.used, of.headroom())));
        told
    };
    alloc.with_tag("outer", |a| a.with_tag("inner", |a| a.frame().alloc([0u64; 6]).len()));
    alloc.with_tag("tag", |a| a.frame().alloc([0u64; 16]).len());
    alloc.end_frame();
    assert_eq!(
        told(),
        [
            ("frame".to_owned(), None, Some(8192), 176, 8016),
            ("tag tag".to_owned(), Some(100), None, 128, 0),
            ("tag outer/inner".to_owned(), Some(40), Some(64), 48, 16),
        ]
    );
    alloc.end_frame();
    assert!(told().iter().all(|(.., used, _)| *used == 0));
}
