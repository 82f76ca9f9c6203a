//! Sites: what is said about lines, sizes and tags is what the program did, within the error that is said beside it.

#![cfg(feature = "sample")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use framealloc_budget::bytes::kib;
use framealloc_budget::{Budget, Estimate, Limit, Sampling, Sites};
use framealloc_core::{AllocConfig, SmartAlloc};

fn governed(budget: &Budget) -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()))
}

/// No farther off than five errors, of which one run in a million is.
#[track_caller]
fn near(estimate: Estimate, is: f64) {
    assert!((estimate.value - is).abs() <= 5.0 * estimate.error, "{estimate:?} for {is}");
}

/// Frames with a site in each of two tags, on two threads; their lines, of the small and of the large one.
fn play(alloc: &mut SmartAlloc, frames: usize) -> [u32; 2] {
    let mut lines = [0; 2];
    for _ in 0..frames {
        alloc.begin_frame();
        std::thread::scope(|scope| {
            let alloc = &*alloc;
            let small = scope.spawn(move || {
                alloc.with_tag("ai", |a| {
                    a.with_tag("paths", |a| {
                        let frame = a.frame();
                        for n in 0..1000u32 {
                            frame.alloc([n; 3]);
                        }
                        line!() - 2
                    })
                })
            });
            let large = alloc.with_tag("render", |a| {
                for n in 0..10 {
                    a.frame().alloc_slice_aligned_with(300, 64, |_| n);
                }
                line!() - 2
            });
            lines = [small.join().unwrap(), large];
        });
        alloc.end_frame();
    }
    lines
}

#[test]
fn estimates_are_within_their_errors() {
    let budget = Budget::new().with_sampling(Sampling::every(2000).with_seed(7));
    let mut alloc = governed(&budget);
    let lines = play(&mut alloc, 300);
    let sites = budget.metrics().sites().unwrap();
    assert_eq!((sites.interval, sites.frames), (2000, 300));
    // The first one of a frame begins at a chunk's start, which is aligned.
    let (small, large) = (1000.0 * 16.0 * 300.0, (1200.0 + 9.0 * 1216.0) * 300.0);
    near(sites.bytes, small + large);
    near(sites.blocks, 1010.0 * 300.0);
    near(sites.lost, 1000.0 * 4.0 * 300.0 + 9.0 * 16.0 * 300.0);
    assert!(sites.bytes.relative() < 0.03 && sites.lost.relative() < 0.05, "{sites}");
    assert_eq!(sites.sites.len(), 2);
    let of = |line| sites.sites.iter().find(|site| site.line == line).unwrap();
    let [paths, render] = lines.map(of);
    assert_eq!((paths.tag.as_str(), paths.largest, paths.file.as_str()), ("ai/paths", 12, file!()));
    near(paths.bytes, small);
    near(paths.blocks, 1000.0 * 300.0);
    assert_eq!((render.tag.as_str(), render.largest), ("render", 1200));
    near(render.bytes, large);
    near(render.lost, 9.0 * 16.0 * 300.0);
    assert_eq!(sites.sites[0].line, lines[0], "more bytes than the other");
    let sizes: Vec<_> = sites.sizes.iter().map(|row| row.up_to).collect();
    assert_eq!(sizes, [16, 2048]);
    near(sites.sizes[0].blocks, 1000.0 * 300.0);
    near(sites.sizes[1].blocks, 10.0 * 300.0);
    assert_eq!(sites.samples, sites.sizes.iter().map(|row| row.samples).sum::<u64>());
    let bytes: f64 = sites.sites.iter().map(|site| site.bytes.value).sum();
    assert!((bytes - sites.bytes.value).abs() < 1e-6 * bytes);
}

/// As often as its error says, an estimate is right: over many seeds the errors are neither too small nor too large.
#[test]
fn errors_are_what_they_say() {
    const SEEDS: u64 = 300;
    let (mut within_one, mut within_two) = (0, 0);
    for seed in 0..SEEDS {
        let budget = Budget::new().with_sampling(Sampling::every(1000).with_seed(seed));
        let mut alloc = governed(&budget);
        for n in 0..400 {
            alloc.frame().alloc_slice_fill(1 + n % 100, 0u64);
            if n % 50 == 49 {
                alloc.end_frame();
            }
        }
        let bytes = budget.metrics().sites().unwrap().bytes;
        let off = (bytes.value - 4.0 * 8.0 * 5050.0).abs() / bytes.error;
        within_one += u64::from(off < 1.0);
        within_two += u64::from(off < 2.0);
    }
    // 68.3 % and 95.4 % of a normal distribution, and what chance makes of them.
    let part = |count: u64| count as f64 / SEEDS as f64;
    assert!((0.58..0.78).contains(&part(within_one)), "{within_one}");
    assert!((0.91..0.99).contains(&part(within_two)), "{within_two}");
}

#[test]
fn memory_that_is_used_again_counts_again() {
    let budget = Budget::new().with_sampling(Sampling::every(kib(1)).with_seed(1));
    let alloc = governed(&budget);
    for _ in 0..10_000 {
        drop(alloc.frame().vec_with_capacity::<u8>(100));
    }
    let sites = budget.metrics().sites().unwrap();
    near(sites.bytes, 10_000.0 * 104.0);
    assert!(sites.bytes.relative() < 0.05);
    assert_eq!(alloc.frame().stats().bytes_allocated, 0);
}

#[test]
fn limits_hold_to_the_byte_while_samples_are_taken() {
    let budget = Budget::new().with_tag("ui", Limit::hard(kib(8))).with_sampling(Sampling::every(100));
    let mut alloc = governed(&budget);
    for _ in 0..50 {
        let placed = alloc.with_tag("ui", |a| {
            let frame = a.frame();
            (0..10_000u64).take_while(|&id| frame.try_alloc(id).is_ok()).count()
        });
        assert_eq!(placed, kib(8) / 8);
        alloc.end_frame();
    }
    near(budget.metrics().sites().unwrap().bytes, (50 * kib(8)) as f64);
}

#[test]
fn sampling_is_off_until_it_is_wanted_and_begins_anew() {
    let budget = Budget::new();
    let mut alloc = governed(&budget);
    play(&mut alloc, 3);
    assert_eq!(budget.metrics().sites(), None);
    budget.set_sampling(Some(Sampling::every(1))).unwrap();
    play(&mut alloc, 3);
    assert!(budget.metrics().sites().unwrap().samples > 2000);
    budget.set_sampling(Some(Sampling::every(kib(1)))).unwrap();
    assert_eq!(budget.metrics().sites(), Some(of_interval(Sites::default())));
    budget.set_sampling(None).unwrap();
    play(&mut alloc, 3);
    assert_eq!(budget.metrics().sites(), None);
}

/// A type of which only this crate makes new ones: the same with another interval.
fn of_interval(mut sites: Sites) -> Sites {
    sites.interval = kib(1);
    sites
}

#[test]
fn intervals_out_of_bounds_are_refused_by_name() {
    for interval in [0, (1 << 30) + 1, usize::MAX] {
        let error = Budget::new().set_sampling(Some(Sampling::every(interval))).unwrap_err().to_string();
        assert!(error.contains(&format!("every {interval} bytes")) && error.contains("1073741824"), "{error}");
        let panic = catch_unwind(AssertUnwindSafe(|| Budget::new().with_sampling(Sampling::every(interval))));
        assert_eq!(panic.unwrap_err().downcast_ref::<String>(), Some(&error));
    }
    assert_eq!(Budget::new().set_sampling(Some(Sampling::every(1 << 30))), Ok(()));
}

#[test]
fn a_seed_draws_the_same_samples_again() {
    let sample = |seed| {
        let budget = Budget::new().with_sampling(Sampling::every(500).with_seed(seed));
        let alloc = governed(&budget);
        (0..2000).for_each(|n| _ = alloc.frame().alloc_slice_fill(n % 30, 0u8));
        budget.metrics().sites().unwrap()
    };
    assert_eq!(sample(3), sample(3));
    assert_ne!(sample(3), sample(4));
}

#[test]
fn sites_are_a_table_and_collapsed_stacks() {
    let budget = Budget::new().with_sampling(Sampling::every(100).with_seed(1));
    let mut alloc = governed(&budget);
    let lines = play(&mut alloc, 20);
    let sites = budget.metrics().sites().unwrap();
    let text = sites.to_string();
    for line in lines {
        assert!(text.contains(&format!("{}:{line} ", file!())), "{text}");
    }
    assert!(text.starts_with(&format!("{} samples, one every 100 B, of 20 frames", sites.samples)), "{text}");
    let collapsed = sites.to_collapsed();
    let mut stacks: Vec<_> = collapsed.lines().map(|line| line.rsplit_once(' ').unwrap()).collect();
    stacks.sort_unstable();
    let names = stacks.iter().map(|(stack, _)| stack.to_string()).collect::<Vec<_>>();
    assert_eq!(
        names,
        [format!("all;ai;paths;{}:{}", file!(), lines[0]), format!("all;render;{}:{}", file!(), lines[1])]
    );
    let bytes: f64 = stacks.iter().map(|(_, bytes)| bytes.parse::<f64>().unwrap()).sum();
    assert!((bytes - sites.bytes.value).abs() <= 2.0);
}

#[cfg(feature = "report")]
#[test]
fn a_recording_has_them() {
    use framealloc_budget::Recording;
    let budget = Budget::new().with_sampling(Sampling::every(100));
    let mut alloc = governed(&budget);
    play(&mut alloc, 20);
    let recording = budget.metrics().recording("sampled");
    assert_eq!(recording.sites, budget.metrics().sites());
    assert_eq!(Recording::from_json(&recording.to_json()).unwrap(), recording);
    // What was written before there were samples.
    let (before, after) = (recording.to_json(), r#","sites":"#);
    let old = format!("{}}}", &before[..before.find(after).unwrap()]);
    assert_eq!(Recording::from_json(&old).unwrap().sites, None);
}

#[cfg(feature = "config")]
#[test]
fn a_file_asks_for_them() {
    use framealloc_budget::Format;
    let budget = Budget::parse("[sampling]\ninterval = \"4 KiB\"\nseed = 1", Format::Toml).unwrap();
    assert_eq!(budget.metrics().sites().unwrap().interval, kib(4));
    let error = Budget::parse("\n[sampling]\ninterval = 0", Format::Toml).unwrap_err().to_string();
    assert!(error.starts_with("budget:") && error.contains("sampling") && error.contains("every 0 bytes"), "{error}");
}

#[cfg(feature = "backtrace")]
mod backtraces {
    use super::*;

    #[inline(never)]
    fn outer(alloc: &SmartAlloc) -> u64 {
        std::hint::black_box(inner(alloc)) + 1
    }

    /// A map's memory is asked for by lines of the map's crate.
    #[inline(never)]
    fn inner(alloc: &SmartAlloc) -> u64 {
        let mut map = alloc.frame().map();
        for n in 0..1000u64 {
            map.insert(n, n);
        }
        std::hint::black_box(map.len() as u64)
    }

    #[test]
    fn tell_who_called() {
        let budget = Budget::new().with_sampling(Sampling::every(1).with_backtraces());
        let mut alloc = governed(&budget);
        assert_eq!(outer(&alloc), 1001);
        alloc.end_frame();
        let sites = budget.metrics().sites().unwrap();
        for site in &sites.sites {
            assert!(site.file.contains("hashbrown"), "{}", site.file);
            let at = |name: &str| site.stack.iter().position(|caller| caller.ends_with(name));
            let (inner, outer) = (at("::inner").unwrap(), at("::outer").unwrap());
            assert!(inner < outer, "{:?}", site.stack);
            assert!(
                !site.stack[0].contains("framealloc_core") && !site.stack[0].contains("backtrace::"),
                "{:?}",
                site.stack
            );
        }
        let collapsed = sites.to_collapsed();
        assert!(
            collapsed.lines().all(|line| line.find("::outer;").unwrap() < line.find("::inner;").unwrap()),
            "{collapsed}"
        );
        assert!(sites.to_string().contains("::outer"));
        // Without the wish there is nothing.
        budget.set_sampling(Some(Sampling::every(1))).unwrap();
        outer(&alloc);
        assert!(budget.metrics().sites().unwrap().sites.iter().all(|site| site.stack.is_empty()));
    }
}

/// A frame that was under way when sampling began is none of those that figures are of.
#[test]
fn a_frame_that_was_begun_before_is_not_counted() {
    let budget = Budget::new();
    let mut alloc = governed(&budget);
    let play = |alloc: &mut SmartAlloc| {
        (0..100u64).for_each(|n| _ = alloc.frame().alloc(n));
        alloc.end_frame();
    };
    play(&mut alloc);
    alloc.frame().alloc(1u64);
    budget.set_sampling(Some(Sampling::every(1).with_seed(1))).unwrap();
    alloc.end_frame();
    (0..4).for_each(|_| play(&mut alloc));
    let sites = budget.metrics().sites().unwrap();
    assert_eq!(sites.frames, 4);
    near(sites.bytes, 3200.0);
    assert!(sites.bytes.error < 10.0);
}

/// What a block grows into is no longer lost.
#[test]
fn growth_takes_back_what_was_lost() {
    let budget = Budget::new().with_sampling(Sampling::every(1).with_seed(1));
    let mut alloc = governed(&budget);
    for _ in 0..100 {
        let mut list = alloc.frame().vec_with_capacity::<u8>(1);
        list.push(1);
        list.try_reserve_exact(15).unwrap();
        assert_eq!(list.capacity(), 16);
        drop(list);
        alloc.end_frame();
    }
    let sites = budget.metrics().sites().unwrap();
    near(sites.lost, 0.0);
    near(sites.bytes, 1600.0);
    assert!(sites.lost.error < 10.0, "{sites:?}");
}
