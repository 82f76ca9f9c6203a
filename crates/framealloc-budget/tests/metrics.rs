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
    assert!(bytes.ema > 1000.0 && bytes.ema < 8000.0);
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
    for part in ["100 frames of 100", "work/inside", "1.95 KiB", "tag work", "no hard limit"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn the_report_judges_limits_by_all_frames() {
    let budget = Budget::new()
        .with_history(10)
        .with_tag("tight", Limit::hard(1000))
        .with_tag("close", Limit::hard(1000))
        .with_tag("wide", Limit::hard(kib(64)))
        .with_tag("fine", Limit::hard(1000))
        .with_tag("over", Limit::hard(1000).with_over(OverLimit::Heap));
    let mut alloc = governed(&budget);
    let advice = |name: &str| budget.metrics().report().account(&Account::tag(name)).unwrap().advice;
    for frame in 1..=600u32 {
        let worst = frame == 123;
        let use_up = |tag: &'static str, most: usize, else_: usize| {
            alloc.with_tag(tag, |a| a.frame().try_alloc_slice_fill(if worst { most } else { else_ }, 1u8).is_ok())
        };
        assert_eq!(use_up("tight", 1200, 600), !worst);
        assert!(
            use_up("close", 960, 500) && use_up("wide", 3000, 100) && use_up("fine", 800, 5) && use_up("over", 1500, 9)
        );
        if frame == 599 {
            assert_eq!(advice("wide"), Advice::TooEarly);
        }
        alloc.end_frame();
    }
    assert_eq!(advice("tight"), Advice::Raise { to: 4096 });
    assert_eq!(advice("close"), Advice::Raise { to: 4096 });
    assert_eq!(advice("wide"), Advice::Lower { to: 4096 });
    assert_eq!(advice("fine"), Advice::Fits);
    assert_eq!(advice("over"), Advice::Raise { to: 4096 });
    let report = budget.metrics().report();
    let row = report.account(&Account::tag("close")).unwrap();
    assert_eq!((row.peak, row.worst_frame, row.refused, row.over), (960, 123, 0, 0));
    let row = report.account(&Account::tag("tight")).unwrap();
    assert_eq!((row.peak, row.refused), (600, 1), "what was refused is not used");
    assert_eq!(report.account(&Account::tag("over")).unwrap().over, 504);
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
