//! Leaks: what is live is told of by line, tag and age, while the allocator is there and when it is gone.

#![cfg(feature = "trace")]

use framealloc_budget::LeakReport;
use framealloc_core::{AllocConfig, SmartAlloc};

fn traced() -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_tracing())
}

#[test]
fn live_objects_are_grouped_by_line_tag_and_age() {
    let mut alloc = traced();
    let census = alloc.pool().census().unwrap();
    assert_eq!(LeakReport::of(&census), LeakReport::default());
    assert_eq!(LeakReport::of(&census).to_string(), "no object is live\n");
    let mut kept = Vec::new();
    let (mut lines, mut large) = ([0; 2], None);
    for frame in 0..1200u64 {
        alloc.begin_frame();
        if frame % 100 == 0 {
            for tag in ["ai", "audio"] {
                kept.push(alloc.with_tag("game", |a| a.with_tag(tag, |a| a.pool_box([frame; 4]))));
                lines[0] = line!() - 1;
            }
        }
        if frame == 1199 {
            large = Some(alloc.heap_box([0u8; 10_000]));
            lines[1] = line!() - 1;
        }
        drop(alloc.pool_box(frame));
        if frame != 1199 {
            alloc.end_frame();
        }
    }
    let report = LeakReport::of(&census);
    assert_eq!((report.blocks, report.bytes), (25, 24 * 32 + 10_000));
    let ages: Vec<_> = report.ages.iter().map(|age| (age.from, age.to, age.blocks, age.bytes)).collect();
    // Made in frames 0, 100, and so on; the frame is the 1200th.
    assert_eq!(ages, [(0, Some(0), 1, 10_000), (10, Some(99), 2, 64), (100, Some(999), 18, 576), (1000, None, 4, 128)]);
    let sites: Vec<_> =
        report.sites.iter().map(|of| (of.line, of.tag.as_str(), of.blocks, of.bytes, of.youngest, of.oldest)).collect();
    assert_eq!(
        sites,
        [
            (lines[1], "", 1, 10_000, 0, 0),
            (lines[0], "game/ai", 12, 384, 99, 1199),
            (lines[0], "game/audio", 12, 384, 99, 1199)
        ]
    );
    assert!(report.sites.iter().all(|of| of.file == file!()));
    let text = report.to_string();
    for part in [
        "25 objects are live, 10.5 KiB",
        "         1     9.77 KiB  made in this frame",
        "         4        128 B  1000 frames old and older",
        &format!("99 to 1199  {}:{}  game/ai", file!(), lines[0]),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let old = LeakReport::older_than(&census, 1000);
    assert_eq!((old.blocks, old.ages.len(), old.sites[0].youngest), (4, 1, 1099));
    drop(alloc);
    assert_eq!(LeakReport::of(&census).blocks, 25, "at exit");
    drop((kept, large));
    assert!(LeakReport::of(&census).is_empty());
}

#[test]
fn stacks_are_those_of_the_oldest() {
    #[inline(never)]
    fn leaky(alloc: &SmartAlloc) -> framealloc_core::PoolBox<u64> {
        std::hint::black_box(alloc.pool_box(7))
    }
    let alloc = SmartAlloc::new(AllocConfig::default().with_traced_stacks());
    let _kept = leaky(&alloc);
    let report = LeakReport::of(&alloc.pool().census().unwrap());
    assert!(report.sites[0].stack.contains("leaky"), "{}", report.sites[0].stack);
    assert!(report.to_string().contains("leaky"));
    let without = traced();
    let _kept = leaky(&without);
    assert_eq!(LeakReport::of(&without.pool().census().unwrap()).sites[0].stack, "");
}
