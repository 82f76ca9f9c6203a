//! Figures: sums over tags and threads are the arena's own, by random programs; the history and the report by hand.

use std::time::Duration;

use framealloc_budget::bytes::kib;
use framealloc_budget::{
    Account, Advice, Budget, FrameRecord, Limit, OverLimit, assert_budget, assert_frame_bytes, assert_steady,
};
use framealloc_core::{AllocConfig, SmartAlloc};
use proptest::prelude::*;

fn governed(budget: &Budget) -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_frame_chunk(1 << 10, 8 << 10).with_governor(budget.clone()))
}

#[derive(Clone, Debug)]
enum Step {
    /// So many bytes; refused ones count nothing.
    Bytes(usize),
    /// A vector that grows, and is dropped or kept.
    Vec(usize, bool),
    Tag(usize, Vec<Step>),
    Scratch(usize),
    Panic,
    Other(Vec<Step>),
}

const TAGS: [&str; 4] = ["a", "b", "a/b", "limited"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let leaf = prop_oneof![
        6 => (0usize..3000).prop_map(Step::Bytes),
        1 => (9000usize..20_000).prop_map(Step::Bytes),
        2 => (1usize..200, any::<bool>()).prop_map(|(len, kept)| Step::Vec(len, kept)),
        1 => (0usize..2000).prop_map(Step::Scratch),
        1 => Just(Step::Panic),
    ];
    let tree = leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            4 => (0..TAGS.len(), prop::collection::vec(inner.clone(), 0..6)).prop_map(|(tag, steps)| Step::Tag(tag, steps)),
            1 => prop::collection::vec(inner, 0..6).prop_map(Step::Other),
        ]
    });
    prop::collection::vec(tree, 0..12)
}

/// What a plain model of tags counts: own bytes by path.
#[derive(Default, Debug)]
struct Model {
    own: std::collections::BTreeMap<String, isize>,
}

fn run(alloc: &SmartAlloc, steps: &[Step], path: &str, model: &std::sync::Mutex<Model>) {
    let frame = alloc.frame();
    let bytes = || frame.stats().bytes_allocated.cast_signed();
    for step in steps {
        let before = bytes();
        let mut count = true;
        match step {
            Step::Bytes(size) => drop(frame.try_alloc_slice_fill(*size, 1u8)),
            Step::Vec(len, kept) => {
                let mut vec = frame.vec::<u64>();
                for word in 0..*len as u64 {
                    if vec.try_push(word).is_err() {
                        break;
                    }
                }
                if *kept {
                    std::mem::forget(vec);
                }
            }
            Step::Scratch(size) => drop(alloc.scratch().try_alloc_slice_fill(*size, 1u8)),
            Step::Panic => {
                let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    alloc.with_tag("a", |a| {
                        let _ = a.frame().try_alloc([1u8; 40]);
                        std::panic::resume_unwind(Box::new(()));
                    })
                }));
                assert!(unwound.is_err());
                count = false;
                let inner = child(path, "a");
                *model.lock().unwrap().own.entry(inner).or_default() += bytes() - before;
            }
            Step::Tag(tag, steps) => {
                count = false;
                let inner = child(path, TAGS[*tag]);
                alloc.with_tag(TAGS[*tag], |a| run(a, steps, &inner, model));
            }
            Step::Other(steps) => {
                count = false;
                std::thread::scope(|s| {
                    s.spawn(|| run(alloc, steps, "", model));
                });
            }
        }
        if count {
            *model.lock().unwrap().own.entry(path.into()).or_default() += bytes() - before;
        }
    }
}

/// The path of a tag inside a path: the innermost name once.
fn child(path: &str, tag: &str) -> String {
    let mut path = path.to_owned();
    for name in tag.split('/') {
        if path.rsplit('/').next() != Some(name) {
            path = if path.is_empty() { name.into() } else { format!("{path}/{name}") };
        }
    }
    path
}

fn total(record: &FrameRecord, paths: &[std::sync::Arc<str>], of: &str) -> isize {
    let inside =
        |path: &str| of.is_empty() || path == of || path.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'));
    record.tags.iter().zip(paths).filter(|(_, path)| inside(path)).map(|(tag, _)| tag.own).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_over_tags_and_threads_are_the_arenas_own(frames in prop::collection::vec((steps(), 0u8..3), 1..4)) {
        let budget = Budget::new().with_tag("limited", Limit::hard(2000)).with_tag("a/b", Limit::hard(5000));
        let mut alloc = governed(&budget);
        for (steps, end) in &frames {
            let model = std::sync::Mutex::new(Model::default());
            run(&alloc, steps, "", &model);
            let own = alloc.frame().stats();
            let stats = if *end == 0 {
                *alloc.seal_frame().stats()
            } else {
                alloc.end_frame()
            };
            let record = budget.metrics().last().unwrap();
            let paths = budget.metrics().tags();
            prop_assert_eq!((record.frame, record.bytes, record.waste), (stats.frame, stats.bytes_allocated, stats.waste));
            prop_assert_eq!(record.threads.iter().map(|share| share.peak).sum::<usize>(), stats.bytes_allocated);
            prop_assert_eq!(record.threads.iter().map(|share| share.waste).sum::<usize>(), stats.waste);
            prop_assert_eq!(record.threads.iter().map(|share| share.refused).sum::<usize>(), stats.refused);
            prop_assert!(record.threads.iter().all(|share| share.chunk_bytes >= share.peak + share.waste));
            prop_assert!(record.tags.iter().all(|tag| tag.waste <= stats.waste) && record.tags[0].waste == stats.waste);
            prop_assert!(record.threads.iter().any(|share| share.peak == own.peak) || own.peak == 0);
            // Each tag's own bytes are the model's, and each total is that of all paths below.
            let model = model.into_inner().unwrap();
            for (tag, path) in record.tags.iter().zip(&paths) {
                prop_assert_eq!(tag.own, model.own.get(&**path).copied().unwrap_or(0), "{} of {:?}", path, model);
                prop_assert_eq!(tag.total, total(&record, &paths, path), "{}", path);
            }
            prop_assert_eq!(record.tags[0].total, model.own.values().sum::<isize>());
            prop_assert!(record.tags[0].total <= record.bytes.cast_signed());
            // Refusals of tags are those that the arenas counted.
            prop_assert_eq!(record.tags[0].refused, stats.refused);
            prop_assert_eq!(record.tags[1..].iter().map(|tag| tag.refused).sum::<usize>(), stats.refused);
        }
        drop(alloc);
        prop_assert_eq!(budget.used(&Account::Committed), 0);
    }
}

#[test]
fn the_history_is_a_ring() {
    let budget = Budget::new().with_history(5);
    let mut alloc = governed(&budget);
    for frame in 1..=12usize {
        alloc.with_tag("tag", |a| a.frame().alloc_slice_fill(frame * 8, 1u8).len());
        alloc.end_frame();
    }
    let frames = budget.metrics().frames();
    let figures: Vec<_> = frames.iter().map(|record| (record.frame, record.bytes, record.tags[1].total)).collect();
    assert_eq!(figures, (8..=12).map(|n| (n as u64, n * 8, n as isize * 8)).collect::<Vec<_>>());
    assert!(frames.iter().all(|record| record.threads.len() == 1 && record.interval > Duration::ZERO));
    budget.set_history(2).unwrap();
    assert!(
        budget.set_history(0).is_err() && budget.set_history(1_000_001).unwrap_err().to_string().contains("1000001")
    );
    assert_eq!(budget.metrics().frames().len(), 2);
    let report = budget.metrics().report();
    assert_eq!((report.frames, report.all_frames, report.worst_frame), (2, 12, 12));
}

/// What is lost when a chunk is left is the loss of the scope that leaves it, and of those around.
#[test]
fn losses_at_the_ends_of_chunks_are_told_by_tag_and_thread() {
    let budget = Budget::new().with_thread(Limit::hard(kib(100)));
    let config = AllocConfig::default().with_frame_chunk(kib(16), kib(16)).with_governor(budget.clone());
    let mut alloc = SmartAlloc::new(config);
    alloc.with_tag("before", |a| a.frame().alloc_slice_fill(7000, 1u8).len());
    alloc.with_tag("outer", |a| {
        a.frame().alloc_slice_fill(100, 1u8);
        a.with_tag("leaves", |a| {
            a.frame().alloc_slice_fill(7500, 1u8).len() + a.frame().alloc_slice_fill(3000, 1u8).len()
        });
        a.with_tag("stays", |a| a.frame().alloc_slice_fill(100, 1u8).len());
    });
    assert!(alloc.frame().try_alloc_uninit_slice::<u8>(kib(200)).is_err());
    std::thread::scope(|scope| scope.spawn(|| alloc.frame().alloc(1u64)).join().unwrap());
    let stats = alloc.end_frame();
    let record = budget.metrics().last().unwrap();
    let waste = |path: &str| {
        let at = budget.metrics().tags().iter().position(|tag| **tag == *path).unwrap();
        record.tags[at].waste
    };
    assert!(stats.waste > 1000, "{stats:?}");
    let by_tag = ["", "outer", "outer/leaves", "outer/stays", "before"].map(waste);
    assert_eq!(by_tag, [stats.waste, stats.waste, stats.waste, 0, 0]);
    let mut threads: Vec<_> =
        record.threads.iter().map(|of| (of.arena, of.waste, of.chunk_bytes, of.refused)).collect();
    threads.sort_unstable();
    assert_eq!(threads, [(0, stats.waste, 2 * kib(16), 1), (1, 0, kib(16), 0)]);
}

#[test]
fn the_report_sums_up_the_history() {
    let budget = Budget::new();
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
    // 1 to 100 times 80 bytes, in an order that does not rise.
    for frame in 0..100usize {
        let times = (frame * 37) % 100 + 1;
        alloc.with_tag("work", |a| {
            a.frame().alloc_slice_fill(times * 60, 1u8);
            a.with_tag("inside", |a| a.frame().alloc_slice_fill(times * 20, 1u8).len());
        });
        std::thread::sleep(Duration::from_micros(100));
        alloc.end_frame();
    }
    let report = budget.metrics().report();
    let bytes = report.bytes;
    assert!((bytes.mean - 4040.0).abs() < 8.0, "{bytes:?}");
    for (quantile, value) in [(bytes.p50, 4000), (bytes.p95, 7600), (bytes.p99, 7920), (bytes.max, 8000)] {
        assert!(quantile.abs_diff(value) <= value / 500 + 8, "{bytes:?}");
    }
    let frames: Vec<_> = (0..100)
        .map(|frame| f64::from(frame * 37 % 100 + 1))
        .map(|n| 8.0 * (60.0 * n / 8.0).ceil() + 8.0 * (20.0 * n / 8.0).ceil())
        .collect();
    let ema = frames.iter().copied().reduce(|ema, bytes| ema + (bytes - ema) * 2.0 / 31.0).unwrap();
    assert!((bytes.ema - ema).abs() < 1e-6, "{} and {ema}", bytes.ema);
    let (work, inside) = (report.tag("work").unwrap(), report.tag("work/inside").unwrap());
    assert_eq!((work.bytes.max, inside.bytes.max), (8000, 2000));
    assert!(work.own_bytes.abs_diff(3 * inside.own_bytes) < 1000, "{report:?}");
    assert!(report.tag("work/outside").is_none());
    // What was handed out in the time that passed.
    assert!(report.seconds >= 0.0099 && report.interval.p50 >= 100_000);
    let (all, parts) = (report.bandwidth * report.seconds, work.bandwidth * report.seconds);
    assert!((work.bandwidth / inside.bandwidth - 4.0).abs() < 0.01, "a quarter of it");
    assert!((all - parts).abs() < 1.0 && (all - bytes.mean * 99.0).abs() < 10_000.0, "{all} {parts}");
    assert!(report.efficiency > 0.05 && report.efficiency < 0.07, "of 64 KiB: {}", report.efficiency);
    assert_eq!(report.peak_committed, 65_536);
    assert_eq!(report.worst_tags, [("work".into(), 8000), ("work/inside".into(), 2000)]);
    let text = report.to_string();
    for part in ["100 frames of 100", "work/inside", "1.95 KiB", "tag work", "no limit"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn the_report_judges_limits_by_all_frames() {
    let budget = Budget::new()
        .with_history(10)
        .with_tag("tight", Limit::hard(kib(400)))
        .with_tag("close", Limit::hard(kib(400)))
        .with_tag("wide", Limit::hard(kib(1000)))
        .with_tag("fine", Limit::hard(kib(400)))
        .with_tag("half", Limit::hard(kib(400)))
        .with_tag("over", Limit::hard(kib(400)).with_over(OverLimit::Heap))
        .with_tag("soft", Limit::soft(kib(100)))
        .with_tag("soft in hard", Limit::soft(kib(100)).with_hard(kib(400)))
        .with_tag("kept", Limit::soft(kib(400)));
    let mut alloc = governed(&budget);
    let advice = |name: &str| budget.metrics().report().account(&Account::tag(name)).unwrap().advice;
    for frame in 1..=600u32 {
        let worst = frame == 123;
        let use_up = |tag: &'static str, most: usize, else_: usize| {
            let bytes = kib(if worst { most } else { else_ });
            alloc.with_tag(tag, |a| a.frame().try_alloc_uninit_slice::<u8>(bytes).is_ok())
        };
        assert_eq!(use_up("tight", 480, 240), !worst);
        let others = [
            use_up("close", 384, 100),
            use_up("wide", 300, 10),
            use_up("fine", 320, 5),
            use_up("half", 200, 5),
            use_up("over", 600, 9),
            use_up("soft", 200, 1),
            use_up("soft in hard", 200, 1),
            use_up("kept", 200, 1),
        ];
        assert_eq!(others, [true; 8]);
        if frame == 599 {
            assert_eq!(advice("wide"), Advice::TooEarly);
        }
        alloc.end_frame();
    }
    // A quarter above, in whole units of 4 KiB.
    assert_eq!(advice("tight"), Advice::Raise { to: kib(500) }, "above the limit, which refused");
    assert_eq!(advice("close"), Advice::Raise { to: kib(480) }, "above what was used");
    assert_eq!(advice("wide"), Advice::Lower { to: kib(376) }, "375 KiB");
    assert_eq!((advice("fine"), advice("half")), (Advice::Fits, Advice::Fits));
    assert_eq!(advice("over"), Advice::Raise { to: kib(752) }, "750 KiB");
    assert_eq!(
        (advice("soft"), advice("soft in hard")),
        (Advice::Soft { to: kib(252) }, Advice::Soft { to: kib(252) })
    );
    assert_eq!(advice("kept"), Advice::Fits);
    assert_eq!(budget.metrics().report().account(&Account::Frame).unwrap().advice, Advice::NoLimit);
    let report = budget.metrics().report();
    let row = report.account(&Account::tag("close")).unwrap();
    assert_eq!((row.peak, row.worst_frame, row.refused, row.over), (kib(384), 123, 0, 0));
    let row = report.account(&Account::tag("tight")).unwrap();
    assert_eq!((row.peak, row.refused), (kib(240), 1), "what was refused is not used");
    assert_eq!(report.account(&Account::tag("over")).unwrap().over, kib(200));
    let text = report.to_string();
    for part in ["above soft; less, or 252 KiB", "~100 KiB", "raise to 500 KiB", "lower to 376 KiB"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// What a limit refused says nothing about the one that is there now.
#[test]
fn a_limit_that_is_moved_is_judged_anew() {
    let budget = Budget::new().with_tag("tag", Limit::hard(1000)).with_pools(Limit::hard(kib(64)));
    let mut alloc = governed(&budget);
    let frame = |alloc: &mut SmartAlloc| {
        let fits = alloc.with_tag("tag", |a| a.frame().try_alloc([0u8; 1200]).is_ok());
        let pooled = alloc.pool().try_alloc_box([0u8; 100_000]).is_ok();
        alloc.end_frame();
        (fits, pooled)
    };
    assert_eq!(frame(&mut alloc), (false, false));
    budget.set_limit(Account::tag("tag"), Limit::hard(kib(4))).unwrap();
    budget.set_limit(Account::Pools, Limit::hard(kib(4000))).unwrap();
    assert_eq!(frame(&mut alloc), (false, false), "from the next frame on");
    assert_eq!(frame(&mut alloc), (true, true));
    let report = budget.metrics().report();
    for (account, advice) in [(Account::tag("tag"), Advice::Fits), (Account::Pools, Advice::TooEarly)] {
        let row = report.account(&account).unwrap();
        assert_eq!((row.refused, row.advice), (0, advice), "{account}");
    }
    // The same hard limit with another soft one.
    budget.set_limit(Account::tag("tag"), Limit::soft(10).with_hard(kib(4))).unwrap();
    assert!(alloc.with_tag("tag", |a| a.frame().try_alloc([0u8; 8000]).is_err()));
    alloc.end_frame();
    assert_eq!(budget.metrics().report().account(&Account::tag("tag")).unwrap().refused, 1);
}

/// Scopes that follow one another use the same memory: their tag, and what lies around it, hand it out each time.
#[test]
fn bandwidth_of_all_is_no_less_than_that_of_its_parts() {
    let budget = Budget::new();
    let mut alloc = governed(&budget);
    for _ in 0..20 {
        for _ in 0..100 {
            alloc.with_tag("tag", |a| drop(a.frame().vec_with_capacity::<u8>(1000)));
        }
        std::thread::sleep(Duration::from_micros(200));
        alloc.end_frame();
    }
    let report = budget.metrics().report();
    let bytes = |rate: f64| (rate * report.seconds / 19.0).round();
    assert_eq!(bytes(report.tag("tag").unwrap().bandwidth), 100_000.0);
    assert_eq!(bytes(report.tag("").unwrap().bandwidth), 100_000.0);
    assert_eq!(bytes(report.bandwidth), 100_000.0);
}

/// While a report is made of a long history, frames end.
#[test]
fn reports_hold_no_frame_up() {
    let budget = Budget::new().with_history(6_000);
    let mut alloc = governed(&budget);
    let tags: Vec<&'static str> = (0..50).map(|n| &*format!("tag {n}").leak()).collect();
    let frame = |alloc: &mut SmartAlloc| {
        tags.iter().for_each(|&tag| _ = alloc.with_tag(tag, |a| a.frame().alloc(1u64)));
        alloc.end_frame();
    };
    (0..6_000).for_each(|_| frame(&mut alloc));
    let metrics = budget.metrics();
    let (begins, begun) = std::sync::mpsc::channel();
    let report = std::thread::spawn(move || {
        begins.send(()).unwrap();
        metrics.report()
    });
    begun.recv().unwrap();
    let mut frames = 0;
    while !report.is_finished() {
        frame(&mut alloc);
        frames += 1;
    }
    assert_eq!(report.join().unwrap().frames, 6_000);
    assert!(frames > 5, "{frames} frames ended meanwhile");
    // A record that somebody has is not written over.
    assert_eq!(budget.metrics().frames().len(), 6_000);
}

#[test]
fn assertions_hold_and_fail_with_their_figures() {
    fn message(f: impl FnOnce()) -> String {
        let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_err();
        *payload.downcast::<String>().unwrap()
    }
    let budget = Budget::new().with_tag("ui", Limit::soft(500).with_hard(2000));
    let mut alloc = governed(&budget);
    let kept = assert_frame_bytes!(alloc, <= 80, || alloc.frame().alloc([7u8; 80]));
    assert_eq!(assert_frame_bytes!(alloc, == 0, || kept[5]), 7);
    assert_frame_bytes!(alloc, < 1, || drop(alloc.frame().vec_with_capacity::<u64>(100)));
    let text = message(|| assert_frame_bytes!(alloc, < 16, || _ = alloc.frame().alloc([0u64; 2])));
    assert_eq!(text, "assertion failed: frame bytes < 16: 16 bytes");

    for _ in 0..10 {
        alloc.with_tag("ui", |a| a.frame().alloc([1u8; 400]).len());
        alloc.end_frame();
    }
    assert_budget!(budget);
    assert_budget!(budget, "ui");
    assert_steady!(budget, 9);
    assert!(message(|| assert_steady!(budget, 11)).contains("11 frames were to be looked at, but 10"));
    assert!(message(|| assert_budget!(budget, "gui")).contains("tag gui is not known"));
    // Above the soft limit, then refused.
    alloc.with_tag("ui", |a| a.frame().alloc([1u8; 600]).len());
    alloc.end_frame();
    assert!(
        message(|| assert_budget!(budget, "ui"))
            .contains("tag ui: 600 bytes in frame 11 are above the soft limit of 500")
    );
    alloc.with_tag("ui", |a| assert!(a.frame().try_alloc([1u8; 2500]).is_err()));
    alloc.end_frame();
    assert!(message(|| assert_budget!(budget)).contains("tag ui: 1 requests were refused"));
    assert!(message(|| assert_steady!(budget, 1)).contains("1 requests for frame memory were refused"));
    // Taken and given back within a frame: the same is held at its end.
    alloc.end_frame();
    assert_steady!(budget, 1);
    drop(alloc.heap_box([1u8; 10_000]));
    alloc.end_frame();
    assert!(message(|| assert_steady!(budget, 1)).contains("taken or given back 2 times"));
}
