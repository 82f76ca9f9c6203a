//! Samples of frame memory: which blocks they are taken of, and what they tell of them.

#![cfg(feature = "sample")]

#[path = "support/cases.rs"]
mod cases;
mod support;

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use cases::config;
use framealloc_core::*;
use proptest::prelude::*;
use support::panic_text;

type Elsewhere = Box<dyn Fn(&str) + Send>;

/// Takes samples at the intervals that `next` gives, and keeps them.
struct Sampler {
    /// The method in which it allocates, or panics, beside.
    elsewhere: Mutex<Option<Elsewhere>>,
    next: Box<dyn Fn() -> Option<usize> + Send + Sync>,
    samples: Mutex<Vec<Sample>>,
    panics: AtomicBool,
    /// What is done while a sample is told of.
    meanwhile: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Sampler {
    fn new(next: impl Fn() -> Option<usize> + Send + Sync + 'static) -> Arc<Self> {
        let (elsewhere, samples, panics, meanwhile) = <_>::default();
        Arc::new(Self { elsewhere, next: Box::new(next), samples, panics, meanwhile })
    }

    /// Of every block.
    fn of_all() -> Arc<Self> {
        Self::new(|| Some(0))
    }

    fn take(&self) -> Vec<Sample> {
        std::mem::take(&mut *self.samples.lock().unwrap())
    }
}

impl Sampler {
    fn called(&self, method: &str) {
        if let Some(elsewhere) = &*self.elsewhere.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            elsewhere(method);
        }
    }
}

impl Governor for Sampler {
    fn request(&self, _: &Request) -> Verdict {
        self.called("request");
        Verdict::Allow
    }

    fn open_tag(&self, _: &TagScope) -> Verdict {
        self.called("open_tag");
        Verdict::Allow
    }

    fn sample_interval(&self) -> Option<usize> {
        (self.next)()
    }

    fn sampled(&self, sample: &Sample) {
        self.samples.lock().unwrap().push(*sample);
        if let Some(meanwhile) = &*self.meanwhile.lock().unwrap() {
            meanwhile();
        }
        assert!(!self.panics.load(Ordering::Relaxed), "a sample panics");
    }
}

/// Grants each thread a thousand bytes, and takes samples.
struct Strict(Arc<Sampler>);
impl Governor for Strict {
    fn bounds_threads(&self) -> bool {
        true
    }
    fn extend_thread(&self, granted: usize, needed: usize) -> Verdict {
        Verdict::AllowUpTo((1000 - granted).min(needed))
    }
    fn sample_interval(&self) -> Option<usize> {
        self.0.sample_interval()
    }
    fn sampled(&self, sample: &Sample) {
        self.0.sampled(sample);
    }
}

fn governed(sampler: &Arc<Sampler>) -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_frame_chunk(4 << 10, 16 << 10).with_governor(sampler.clone()))
}

/// Each use is a line of its own, which is the one that its sample names.
#[test]
#[rustfmt::skip]
fn the_site_is_the_program_s_line_whatever_method_it_calls() {
    let sampler = Sampler::of_all();
    let alloc = governed(&sampler);
    let frame = alloc.frame();
    macro_rules! at { ($name:literal => $use:expr) => {{
        let _ = $use;
        let samples = sampler.take();
        assert!(!samples.is_empty(), "no sample of {}", $name);
        for sample in samples {
            assert_eq!((sample.site.file(), sample.site.line()), (file!(), line!()), "{}: {sample:?}", $name);
        }
    }}}
    let layout = Layout::from_size_align(100, 32).unwrap();
    at!("alloc" => frame.alloc(1u64));
    at!("try_alloc" => frame.try_alloc(1u64).unwrap());
    at!("alloc_with" => frame.alloc_with(|| 1u64));
    at!("try_alloc_with" => frame.try_alloc_with(|| "1".parse::<u64>()).unwrap());
    at!("alloc_uninit" => frame.alloc_uninit::<u64>());
    at!("try_alloc_uninit" => frame.try_alloc_uninit::<u64>().unwrap());
    at!("alloc_uninit_slice" => frame.alloc_uninit_slice::<u64>(3));
    at!("try_alloc_uninit_slice" => frame.try_alloc_uninit_slice::<u64>(3).unwrap());
    at!("alloc_layout" => frame.alloc_layout(layout));
    at!("try_alloc_layout" => frame.try_alloc_layout(layout).unwrap());
    at!("alloc_batch" => frame.alloc_batch([1u64, 2]));
    at!("try_alloc_batch" => frame.try_alloc_batch([1u64, 2]).unwrap());
    at!("alloc_str" => frame.alloc_str("text"));
    at!("try_alloc_str" => frame.try_alloc_str("text").unwrap());
    at!("alloc_slice_copy" => frame.alloc_slice_copy(&[1u64, 2]));
    at!("try_alloc_slice_copy" => frame.try_alloc_slice_copy(&[1u64, 2]).unwrap());
    at!("alloc_slice_clone" => frame.alloc_slice_clone(&[1u64, 2]));
    at!("try_alloc_slice_clone" => frame.try_alloc_slice_clone(&[1u64, 2]).unwrap());
    at!("alloc_slice_fill" => frame.alloc_slice_fill(2, 7u64));
    at!("try_alloc_slice_fill" => frame.try_alloc_slice_fill(2, 7u64).unwrap());
    at!("alloc_slice_fill_with" => frame.alloc_slice_fill_with(2, |i| i));
    at!("try_alloc_slice_fill_with" => frame.try_alloc_slice_fill_with(2, |i| i).unwrap());
    at!("alloc_slice_fill_iter" => frame.alloc_slice_fill_iter((0..100).filter(|n| n % 2 == 0)));
    at!("try_alloc_slice_fill_iter" => frame.try_alloc_slice_fill_iter((0..100).filter(|n| n % 2 == 0)).unwrap());
    at!("alloc_slice_copy_aligned" => frame.alloc_slice_copy_aligned(&[1u64, 2], 64));
    at!("try_alloc_slice_copy_aligned" => frame.try_alloc_slice_copy_aligned(&[1u64, 2], 64).unwrap());
    at!("alloc_slice_aligned_with" => frame.alloc_slice_aligned_with(2, 64, |i| i));
    at!("try_alloc_slice_aligned_with" => frame.try_alloc_slice_aligned_with(2, 64, |i| i).unwrap());
    at!("alloc_box" => frame.alloc_box(String::new()));
    at!("try_alloc_box" => frame.try_alloc_box(String::new()).unwrap());
    at!("alloc_box_with" => frame.alloc_box_with(String::new));
    at!("try_alloc_box_with" => frame.try_alloc_box_with(String::new).unwrap());
    at!("alloc_box_slice_with" => frame.alloc_box_slice_with(2, |_| String::new()));
    at!("try_alloc_box_slice_with" => frame.try_alloc_box_slice_with(2, |_| String::new()).unwrap());
    at!("alloc_box_slice_from_iter" => frame.alloc_box_slice_from_iter(0..3));
    at!("try_alloc_box_slice_from_iter" => frame.try_alloc_box_slice_from_iter(0..3).unwrap());
    at!("vec_with_capacity" => frame.vec_with_capacity::<u64>(3));
    at!("try_vec_with_capacity" => frame.try_vec_with_capacity::<u64>(3).unwrap());
    at!("map_with_capacity" => frame.map_with_capacity::<u64, u64>(3));
    at!("try_map_with_capacity" => frame.try_map_with_capacity::<u64, u64>(3).unwrap());
    at!("collect" => frame.collect((0..100).filter(|n| n % 2 == 0)));
    at!("try_collect" => frame.try_collect((0..100).filter(|n| n % 2 == 0)).unwrap());
    at!("columns" => frame.columns::<(u64, u32)>(9));
    at!("try_columns" => frame.try_columns::<(u64, u32)>(9).unwrap());
    at!("frame_alloc" => alloc.frame_alloc::<u64>());
    at!("try_frame_alloc" => alloc.try_frame_alloc::<u64>().unwrap());
    at!("frame_slice" => alloc.frame_slice::<u64>(3));
    at!("frame_columns" => alloc.frame_columns::<(u64,)>(3));
    at!("publish" => alloc.publish(String::new()));
    at!("try_publish" => alloc.try_publish(String::new()).unwrap());
    at!("publish_str" => alloc.publish_str("text"));
    at!("frame_format" => frame_format!(alloc, "{}", 7));
    at!("try_format" => FrameString::try_format(frame, format_args!("{}", 7)).unwrap());
    let mut vec = frame.vec();
    at!("push" => vec.push(1u64));
    at!("extend" => vec.extend(0..50));
    at!("extend_from_slice" => vec.extend_from_slice(&[1; 50]));
    at!("reserve" => vec.reserve(1000));
    vec.shrink_to_fit();
    at!("clone" => vec.clone());
    at!("try_push" => vec.try_push(1).unwrap());
    at!("try_reserve" => vec.try_reserve(10_000).unwrap());
    let mut text = frame.string();
    at!("push, of a text" => text.push('x'));
    at!("push_str" => text.push_str(&"x".repeat(100)));
    at!("try_push_str" => text.try_push_str(&"x".repeat(1000)).unwrap());
    at!("write_str" => std::fmt::Write::write_str(&mut text, &"x".repeat(5000)));
    at!("extend, of a text" => text.extend(vec!["x"; 20_000]));
    let mut queue = frame.deque();
    at!("push_back" => queue.push_back(1u64));
    at!("extend, of a queue" => queue.extend(0..100));
    at!("try_push_front" => (0..200).for_each(|n| queue.try_push_front(n).unwrap()));
}

/// One step of a program, of which the model knows how many bytes it is handed.
#[derive(Clone, Debug)]
enum Step {
    Block(usize, u32),
    /// A block that is freed at once: the last of its chunk, or alone in one.
    Fleeting(usize),
    /// Elements that a vector has room for afterwards.
    Grow(usize),
    DropVec,
    Tagged(usize),
    Nothing,
    Frame,
    Seal,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..700usize, 0..8u32).prop_map(|(size, align)| Step::Block(size, align)),
        1 => (4000..20_000usize, 0..8u32).prop_map(|(size, align)| Step::Block(size, align)),
        3 => prop_oneof![1..600usize, 1..20_000usize].prop_map(Step::Fleeting),
        4 => (0..300usize).prop_map(Step::Grow),
        2 => Just(Step::DropVec),
        2 => (1..300usize).prop_map(Step::Tagged),
        1 => Just(Step::Nothing),
        1 => Just(Step::Frame),
        1 => Just(Step::Seal),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(config())]

    /// A block is sampled exactly if it reaches beyond the interval, whichever chunks it is in, whatever was freed before it.
    #[test]
    fn exactly_the_blocks_that_reach_beyond_the_interval_are_sampled(
        steps in steps(),
        intervals in prop::collection::vec(prop_oneof![0..50usize, 0..5000usize, 0..60_000usize], 1..20),
    ) {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let drawn = intervals.clone();
        let sampler = Sampler::new(move || Some(drawn[asked.fetch_add(1, Ordering::Relaxed) % drawn.len()]));
        let mut alloc = governed(&sampler);
        let mut draws = intervals.iter().copied().cycle();
        // Drawn when memory is first needed.
        let mut left = None;
        // What the step handed out, in pieces, in their order: what each was asked for, and what it took.
        let mut check = |pieces: &[(usize, usize)], tag: Option<&str>| {
            let mut expected = Vec::new();
            for &(asked, taken) in pieces.iter().filter(|&&(_, taken)| taken != 0) {
                let before = left.unwrap_or_else(|| draws.next().unwrap());
                left = Some(if taken > before {
                    expected.push((asked, taken, tag.map(|_| Tag::new("tag"))));
                    draws.next().unwrap()
                } else {
                    before - taken
                });
            }
            let told = sampler.take();
            let told: Vec<_> = told.iter().map(|s| (s.layout.size(), s.bytes, s.tag.map(|open| open.tag))).collect();
            assert_eq!(told, expected);
        };
        let mut rest = &steps[..];
        while !rest.is_empty() {
            let (frame_steps, after) = rest.split_at(rest.iter().position(|s| matches!(s, Step::Frame | Step::Seal)).unwrap_or(rest.len()));
            {
                let frame = alloc.frame();
                let mut vec: FrameVec<'_, u64> = frame.vec();
                for step in frame_steps {
                    let before = frame.stats().bytes_allocated;
                    let taken = || frame.stats().bytes_allocated - before;
                    match *step {
                        Step::Block(size, align) => {
                            frame.alloc_layout(Layout::from_size_align(size, 1 << align).unwrap());
                            check(&[(size, taken())], None);
                        }
                        Step::Fleeting(size) => {
                            drop(frame.vec_with_capacity::<u8>(size));
                            check(&[(size, size.next_multiple_of(8))], None);
                            prop_assert_eq!(taken(), 0);
                        }
                        Step::Grow(more) => {
                            let (address, capacity) = (vec.as_ptr(), vec.capacity());
                            vec.try_reserve_exact(capacity - vec.len() + more).unwrap();
                            let (old, new) = (8 * capacity, 8 * vec.capacity());
                            let piece = if address == vec.as_ptr() { new - old } else { new };
                            check(&[(new, piece)], None);
                        }
                        Step::DropVec => vec = frame.vec(),
                        Step::Tagged(size) => {
                            alloc.with_tag("tag", |a| a.frame().alloc_slice_fill(size, 1u8).len());
                            check(&[(size, taken())], Some("tag"));
                        }
                        _ => check(&[], None),
                    }
                }
            }
            rest = match after.split_first() {
                Some((Step::Seal, rest)) => {
                    drop(alloc.try_seal_frame().unwrap());
                    rest
                }
                Some((_, rest)) => {
                    alloc.end_frame();
                    rest
                }
                None => after,
            };
        }
    }
}

/// Blocks of all sizes, memory that is used again and again, several threads and tags: what samples stand for adds up to what was
/// handed out.
#[test]
fn samples_stand_for_all_bytes_and_blocks() {
    const MEAN: f64 = 4096.0;
    let state = Mutex::new(0x9e37_79b9_7f4a_7c15u64);
    let sampler = Sampler::new(move || {
        let mut state = state.lock().unwrap();
        // Marsaglia's xorshift64.
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        let even = ((*state >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        Some((-MEAN * even.ln()) as usize)
    });
    let mut alloc = governed(&sampler);
    let (mut bytes, mut blocks) = (0, 0);
    for round in 0..300u32 {
        alloc.begin_frame();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let alloc = &alloc;
                scope.spawn(move || {
                    let frame = alloc.frame();
                    for n in 0..100 {
                        frame.alloc_slice_fill(1 + (n * 7 + round as usize) % 40, 0u64);
                        // The same memory every time.
                        drop(frame.vec_with_capacity::<u8>(500));
                    }
                });
            }
        });
        bytes += 2 * (0..100).map(|n| 8 * (1 + (n * 7 + round as usize) % 40) + 504).sum::<usize>();
        blocks += 2 * 200;
        alloc.end_frame();
    }
    let (mut sum, mut sum_of_squares, mut count, mut count_of_squares) = (0.0, 0.0, 0.0, 0.0);
    for sample in sampler.take() {
        let probability = -(-(sample.bytes as f64) / MEAN).exp_m1();
        let stands_for = sample.bytes as f64 / probability;
        sum += stands_for;
        sum_of_squares += stands_for.powi(2) * (1.0 - probability);
        count += 1.0 / probability;
        count_of_squares += (1.0 - probability) / probability.powi(2);
    }
    // Of as many standard errors that one run in a million would fail.
    for (name, is, estimate, variance) in
        [("bytes", bytes as f64, sum, sum_of_squares), ("blocks", f64::from(blocks), count, count_of_squares)]
    {
        let error = variance.sqrt();
        assert!(error < 0.03 * is, "{name}: an error of {error}");
        assert!((estimate - is).abs() < 5.0 * error, "{name}: {estimate} instead of {is}, error {error}");
    }
}

#[test]
fn a_sample_tells_size_alignment_growth_and_tag() {
    let sampler = Sampler::of_all();
    let alloc = governed(&sampler);
    let frame = alloc.frame();
    frame.alloc(1u8);
    frame.alloc_layout(Layout::from_size_align(20, 64).unwrap());
    let mut vec = frame.vec_with_capacity::<u32>(4);
    vec.try_reserve_exact(10).unwrap();
    alloc.with_tag("outer", |a| a.with_tag("inner", |a| a.frame().alloc(1u64)));
    let told = sampler.take();
    let told: Vec<_> = told.iter().map(|s| (s.layout.size(), s.layout.align(), s.grown_from, s.bytes)).collect();
    assert_eq!(told, [(1, 1, 0, 8), (20, 64, 0, 56 + 24), (16, 4, 0, 16), (40, 4, 16, 24), (8, 8, 0, 8)]);
    alloc.with_tag("outer", |a| a.with_tag("inner", |a| a.frame().alloc(1u64)));
    let open = sampler.take()[0].tag.unwrap();
    assert_eq!((open.tag.name(), open.depth), ("inner", 1));
}

#[test]
fn frames_are_sampled_and_nothing_else() {
    let sampler = Sampler::of_all();
    let alloc = governed(&sampler);
    alloc.scratch().alloc([0u8; 100]);
    alloc.pool_box([0u8; 100]);
    alloc.heap_box([0u8; 100]);
    Arena::new().alloc([0u8; 100]);
    alloc.frame().alloc(());
    assert_eq!(sampler.take(), []);
    assert!(alloc.frame().try_alloc_layout(Layout::from_size_align(isize::MAX as usize - 100, 1).unwrap()).is_err());
    assert_eq!(sampler.take(), [], "what was refused");
    alloc.frame().alloc(0u8);
    assert_eq!(sampler.take().len(), 1);
}

/// The first block of a thread needs a chunk, others do not.
#[test]
fn a_block_that_ends_where_the_interval_does_is_not_sampled() {
    let sampler = Sampler::new(|| Some(8));
    let alloc = governed(&sampler);
    let sampled = [0, 1, 2, 3].map(|n: u64| {
        alloc.frame().alloc(n);
        sampler.take().len()
    });
    assert_eq!(sampled, [0, 1, 0, 1]);
}

#[test]
fn sampling_begins_and_ends_with_a_frame() {
    let on = Arc::new(AtomicBool::new(false));
    let switch = on.clone();
    let sampler = Sampler::new(move || switch.load(Ordering::Relaxed).then_some(0));
    let mut alloc = governed(&sampler);
    let filled = |alloc: &SmartAlloc| (0..10).for_each(|n: u64| _ = alloc.frame().alloc(n));
    for round in 0..3 {
        filled(&alloc);
        assert_eq!(sampler.take(), [], "{round}");
        alloc.end_frame();
    }
    on.store(true, Ordering::Relaxed);
    for round in 0..3 {
        filled(&alloc);
        assert_eq!(sampler.take().len(), 10, "{round}");
        alloc.end_frame();
    }
    on.store(false, Ordering::Relaxed);
    for due in [1, 0, 0] {
        filled(&alloc);
        assert_eq!(sampler.take().len(), due, "what was due");
        alloc.end_frame();
    }
}

/// In a sample the governor may allocate from the frame, which is not sampled; a block that was to grow is moved then.
#[test]
fn the_governor_may_allocate_in_a_sample() {
    let sampler = Sampler::of_all();
    let alloc = Arc::new(governed(&sampler));
    let inner: Weak<SmartAlloc> = Arc::downgrade(&alloc);
    *sampler.meanwhile.lock().unwrap() = Some(Box::new(move || {
        let alloc = inner.upgrade().unwrap();
        assert_eq!(*alloc.frame().alloc(0x5555u64), 0x5555);
    }));
    let frame = alloc.frame();
    let mut vec = frame.vec();
    for n in 0..1000u64 {
        vec.push(n);
        let slice = frame.alloc_slice_fill(3, n);
        assert_eq!(slice, [n; 3]);
    }
    assert!(vec.iter().copied().eq(0..1000));
    assert!(sampler.take().len() >= 1000);
    *sampler.meanwhile.lock().unwrap() = None;
}

#[test]
fn a_sample_that_panics_unwinds_and_the_next_ones_follow() {
    let sampler = Sampler::of_all();
    let mut alloc = governed(&sampler);
    sampler.panics.store(true, Ordering::Relaxed);
    assert_eq!(panic_text(|| alloc.frame().alloc(1u64)).as_deref(), Some("a sample panics"));
    let mut vec = alloc.frame().vec();
    for n in 0..3 {
        assert!(catch_unwind(AssertUnwindSafe(|| vec.extend([1u64; 1000]))).is_err(), "{n}");
    }
    assert!(vec.iter().all(|&n| n == 1));
    drop(vec);
    sampler.panics.store(false, Ordering::Relaxed);
    sampler.take();
    alloc.end_frame();
    for _ in 0..100 {
        alloc.frame().alloc([0u8; 200]);
    }
    assert_eq!(sampler.take().len(), 100);
}

/// Both bound the same cursor.
#[test]
fn grants_hold_while_samples_are_taken() {
    for interval in [0, 1, 7, 8, 100, 999, 1000, 5000] {
        let sampler = Sampler::new(move || Some(interval));
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(Strict(sampler.clone())));
        for _ in 0..3 {
            let frame = alloc.frame();
            let mut vec = frame.vec::<u8>();
            let placed = (0..200u64).take_while(|&n| n % 2 == 0 || frame.try_alloc(n).is_ok()).count();
            assert_eq!(placed, 200);
            assert_eq!(frame.stats().bytes_allocated, 800);
            vec.try_reserve_exact(200).unwrap();
            assert!(vec.try_reserve_exact(201).is_err());
            assert_eq!(frame.stats().bytes_allocated, 1000);
            assert!(frame.try_alloc(0u8).is_err());
            drop(vec);
            assert!(frame.try_alloc([0u8; 200]).is_ok());
            alloc.end_frame();
        }
        let bytes: usize = 3 * (1000 + 200);
        // The bytes between two samples are the interval, and the rest of the block behind it.
        let most = bytes / (interval + 1) + 1;
        let least = bytes / (interval + 8 + 200);
        let seen = sampler.take().len();
        assert!((least..=most).contains(&seen), "{interval}: {seen}, not in {least}..={most}");
    }
}

/// What is asked for is the same wherever the next sample is: texts and slices of unknown length, which take more if there is room.
#[test]
fn sizes_do_not_depend_on_where_the_next_sample_is() {
    const MEAN: usize = 4096;
    for (name, asked, use_it) in [
        ("text", 32, (|frame| std::mem::forget(frame_format!(frame, "{}", 7))) as fn(Frame<'_>)),
        ("pushed", 32, |frame| {
            let mut text = frame.string();
            text.push('x');
            std::mem::forget(text);
        }),
        ("slice", 256, |frame| _ = frame.alloc_slice_fill_iter((0..32u64).filter(|n| n % 2 == 0))),
    ] {
        let sizes = |interval: usize| {
            let sampler = Sampler::new(move || Some(interval));
            let mut alloc = governed(&sampler);
            // A chunk, at whose end nothing lies.
            alloc.frame().alloc(0u8);
            alloc.end_frame();
            sampler.take();
            for _ in 0..50 {
                (0..7).for_each(|_| use_it(alloc.frame()));
                alloc.end_frame();
            }
            let mut sizes: Vec<_> = sampler.take().iter().map(|of| (of.grown_from, of.layout.size())).collect();
            sizes.sort_unstable();
            sizes.dedup();
            sizes
        };
        for interval in [0, 1, 8, 17, 33, 100, 250, MEAN] {
            assert_eq!(sizes(interval), [(0, asked)], "{name}, {interval}");
        }
    }
}

#[test]
fn growth_that_is_refused_is_not_told() {
    let sampler = Sampler::of_all();
    let alloc = SmartAlloc::new(AllocConfig::default().with_governor(Strict(sampler.clone())));
    let mut list = alloc.frame().vec_with_capacity::<u8>(900);
    assert_eq!(sampler.take().len(), 1);
    for _ in 0..3 {
        assert!(list.try_reserve_exact(2000).is_err());
    }
    assert_eq!(sampler.take(), []);
    list.try_reserve_exact(960).unwrap();
    assert_eq!(sampler.take().len(), 1);
}

/// Also if a request in which a sample was due ends in a panic, or a governor allocates while it is asked something else.
#[test]
fn sampling_goes_on_whatever_a_governor_does() {
    let sampler = Sampler::of_all();
    let alloc = Arc::new(governed(&sampler));
    alloc.frame().alloc(1u64);
    *sampler.elsewhere.lock().unwrap() = Some(Box::new(|method| assert!(method != "request", "{method} panics")));
    let panic = catch_unwind(AssertUnwindSafe(|| _ = alloc.frame().alloc_slice_fill(100_000, 0u8).len()));
    assert!(panic.is_err());
    *sampler.elsewhere.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    sampler.elsewhere.clear_poison();
    (0..100u64).for_each(|n| _ = alloc.frame().alloc(n));
    assert_eq!(sampler.take().len(), 101);

    let inner = Arc::downgrade(&alloc);
    let allocates: Elsewhere = Box::new(move |method| {
        if method == "open_tag" {
            inner.upgrade().unwrap().frame().alloc(7u64);
        }
    });
    *sampler.elsewhere.lock().unwrap() = Some(allocates);
    alloc.with_tag("tag", |a| (0..100u64).for_each(|n| _ = a.frame().alloc(n)));
    let first = sampler.take();
    // The first one outside asks for the interval.
    assert!(first.len() >= 99 && first.iter().all(|of| of.tag.is_some()), "{}", first.len());
    *sampler.elsewhere.lock().unwrap() = None;
}
