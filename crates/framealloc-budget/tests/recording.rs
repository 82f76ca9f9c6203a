//! Recordings: nothing is lost on the way to a file and back, and a page is one file that is well-formed.
#![cfg(feature = "report")]

use framealloc_budget::bytes::kib;
use framealloc_budget::{Budget, Limit, Recording, SCHEMA};
use framealloc_core::{AllocConfig, SmartAlloc};

fn recording(title: &str, frames: usize) -> Recording {
    let budget =
        Budget::new().with_tag("a", Limit::soft(kib(1)).with_hard(kib(2))).with_committed(Limit::hard(kib(512)));
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
    let kept: Vec<_> = (0..50).map(|value| alloc.pool_box([value; 10])).collect();
    for frame in 0..frames {
        alloc.with_tag("a", |a| {
            drop(a.frame().try_alloc_slice_fill(frame * 100, 1u8));
            a.with_tag("</script><b>\u{2028}", |a| a.frame().alloc(frame).to_string());
        });
        std::thread::scope(|s| _ = s.spawn(|| alloc.frame().alloc([0u8; 64]).len()).join());
        alloc.end_frame();
    }
    drop(kept);
    budget.metrics().recording(title)
}

#[test]
fn json_comes_back_as_it_was() {
    for frames in [0, 1, 40] {
        let recording = recording("a \"title\" with \\ and \u{1f600}", frames);
        assert_eq!((recording.schema, recording.frames.len()), (SCHEMA, frames));
        let text = recording.to_json();
        assert_eq!(Recording::from_json(&text).unwrap(), recording);
    }
    let error = Recording::from_json(&recording("", 1).to_json().replace("\"schema\":1", "\"schema\":2")).unwrap_err();
    assert!(error.contains("schema 2") && error.contains("reads 1"), "{error}");
    let error = Recording::from_json("{\"schema\":1,\n\"title\":5}").unwrap_err();
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn blocks_are_those_that_are_held() {
    let budget = Budget::new();
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
    alloc.frame().alloc(1u8);
    let kept = (alloc.pool_box([1u8; 10]), alloc.heap_box([1u8; 20_000]));
    drop(alloc.heap_box([1u8; 30_000]));
    alloc.end_frame();
    let recording = budget.metrics().recording("");
    let blocks = &recording.blocks;
    assert_eq!(blocks.iter().map(|block| block.bytes).sum::<usize>(), alloc.stats().committed);
    assert!(blocks.is_sorted_by_key(|block| block.address));
    for (kind, address) in [("slab", kept.0.as_ptr().addr()), ("large block", kept.1.as_ptr().addr())] {
        let of =
            |block: &&framealloc_budget::BlockEntry| (block.address..block.address + block.bytes).contains(&address);
        assert_eq!(blocks.iter().filter(of).map(|block| block.kind.as_str()).collect::<Vec<_>>(), [kind]);
    }
    assert_eq!(blocks.iter().filter(|block| block.kind == "chunk").count(), 1);
    let blocks = blocks.clone();
    drop((alloc, kept));
    assert_eq!(budget.metrics().recording("").blocks, blocks, "also when the allocator is gone");
}

#[test]
fn csv_has_the_figures_of_each_frame() {
    let recording = recording("", 30);
    let text = recording.to_csv();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head: Vec<String> = reader.headers().unwrap().iter().map(Into::into).collect();
    assert_eq!(head.len(), 16 + 2 * recording.tags.len());
    let column = |name: &str| head.iter().position(|column| column == name).unwrap();
    let lines: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 30);
    for (line, record) in lines.iter().zip(&recording.frames) {
        let figure = |name: &str| line[column(name)].parse::<i128>().unwrap();
        assert_eq!(figure("frame"), i128::from(record.frame));
        assert_eq!(figure("interval_ns"), record.interval.as_nanos() as i128);
        for (name, value) in [
            ("bytes", record.bytes),
            ("waste", record.waste),
            ("chunk_bytes", record.chunk_bytes),
            ("committed", record.committed),
            ("pools", record.pools),
            ("heap", record.heap),
            ("sealed", record.sealed),
            ("scratch_peak", record.scratch_peak),
            ("chunks", record.chunks),
            ("refused", record.refused),
            ("threads", record.threads.len()),
        ] {
            assert_eq!(figure(name), value as i128, "{name}");
        }
        for (tag, figures) in recording.tags.iter().zip(&record.tags) {
            assert_eq!(figure(&format!("own {}", tag.path)), figures.own as i128);
            assert_eq!(figure(&format!("peak {}", tag.path)), figures.peak as i128);
        }
    }
    assert!(recording.frames.iter().any(|record| record.refused > 0 && record.pools > 0));
}

#[test]
fn a_trace_has_a_counter_for_each_figure_of_a_frame() {
    let recording = recording("a game", 12);
    let trace: serde_json::Value = serde_json::from_str(&recording.to_trace()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    assert_eq!(events[0]["args"]["name"], "a game");
    let counters =
        |name: &str| events.iter().filter(|event| event["name"] == name && event["ph"] == "C").collect::<Vec<_>>();
    let (memory, held, refused) = (counters("frame memory"), counters("memory held"), counters("refused"));
    assert_eq!((memory.len(), held.len(), refused.len(), events.len()), (12, 12, 12, 37));
    let mut before = -1.0;
    for (at, record) in recording.frames.iter().enumerate() {
        let ts = memory[at]["ts"].as_f64().unwrap();
        assert!(ts > before && (at > 0 || ts == 0.0), "{ts} after {before}");
        before = ts;
        for (tag, figures) in recording.tags.iter().zip(&record.tags) {
            let name = if tag.path.is_empty() { "in no tag" } else { &tag.path };
            assert_eq!(memory[at]["args"][name].as_i64(), Some(figures.own as i64), "{name}");
        }
        assert_eq!(held[at]["args"]["pools"].as_u64(), Some(record.pools as u64));
        assert_eq!(held[at]["args"]["chunks"].as_u64(), Some(record.chunk_bytes as u64));
        assert_eq!(refused[at]["args"]["requests"].as_u64(), Some(record.refused as u64));
    }
    let intervals: u128 = recording.frames.iter().skip(1).map(|record| record.interval.as_nanos()).sum();
    assert!((before * 1e3 - intervals as f64).abs() < 1.0);
}

#[test]
fn collapsed_stacks_have_each_tags_own_bytes() {
    let recording = recording("", 12);
    let text = recording.to_collapsed();
    let mut sum = 0;
    for line in text.lines() {
        let (stack, bytes) = line.rsplit_once(' ').unwrap();
        assert!(stack == "all" || stack.starts_with("all;"), "{line}");
        assert!(!stack.contains(char::is_whitespace), "{line}");
        sum += bytes.parse::<isize>().unwrap();
    }
    assert_eq!(sum, recording.frames.iter().map(|record| record.tags[0].total).sum::<isize>());
    assert!(
        text.lines().any(|line| line.starts_with("all;a "))
            && text.lines().any(|line| line.starts_with("all;a;<;script><b>_ ")),
        "{text}"
    );
}

#[test]
fn a_page_is_one_file_whatever_its_texts_are() {
    let html = recording("</script><!-- <script>", 20).to_html();
    // The data ends no script; nothing is fetched.
    assert_eq!((html.matches("</script").count(), html.matches("<script").count()), (1, 1));
    assert!(!html.contains("<!--") && !html.contains('\u{2028}'));
    for foreign in ["src=", "href=", "@import", "url(", "fetch(", "import("] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    // The only address in it names a kind of element.
    assert_eq!(html.matches("http").count(), 1);
    let data = html.split_once("const data = ").unwrap().1.split_once(";\nconst frames").unwrap().0;
    let data = data.replace("\\u003c", "<").replace("\\u2028", "\u{2028}");
    assert_eq!(Recording::from_json(&data).unwrap().frames.len(), 20);
}

#[cfg(feature = "svg")]
#[test]
fn a_picture_is_well_formed_and_shows_what_was_used() {
    let recording = recording("a <title> & more", 40);
    let svg = recording.to_svg(800, 400).unwrap();
    let picture = roxmltree::Document::parse(&svg).expect("well-formed");
    let texts: Vec<_> = picture
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .map(|node| node.text().unwrap_or_default().trim())
        .collect();
    for text in ["a <title> & more", "a", "a/<", "in no tag", "frame"] {
        assert!(texts.iter().any(|found| found.starts_with(text)), "{text}: {texts:?}");
    }
    let areas = picture.descendants().filter(|node| node.has_tag_name("polygon")).count();
    let used = recording
        .tags
        .iter()
        .enumerate()
        .filter(|(at, _)| recording.frames.iter().any(|frame| frame.tags.get(*at).is_some_and(|tag| tag.own > 0)));
    assert_eq!(areas, used.count());
    for (width, height) in [(159, 400), (800, 159), (8193, 400), (0, 0), (u32::MAX, u32::MAX)] {
        let error = recording.to_svg(width, height).unwrap_err();
        assert!(error.contains(&format!("{width} x {height}")) && error.contains("160 to 8192"), "{error}");
    }
}

#[cfg(feature = "svg")]
#[test]
fn a_picture_of_nothing_and_one_of_more_frames_than_pixels_can_be_drawn() {
    for frames in [0, 1, 2, 2000] {
        let svg = recording("", frames).to_svg(200, 160).unwrap();
        roxmltree::Document::parse(&svg).expect("well-formed");
        assert!(svg.len() < 40_000, "{frames}: {}", svg.len());
    }
}

#[cfg(feature = "svg")]
#[test]
fn a_picture_shows_limits_and_the_fullest_frame_of_each_column() {
    let budget = Budget::new().with_frame(Limit::soft(kib(700)).with_hard(1 << 30));
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
    for frame in 0..2000usize {
        // A burst that is neither the first nor the last frame of its column.
        let bytes = if frame == 1003 { 4 << 20 } else { 64 };
        assert_eq!(alloc.frame().alloc_slice_fill(bytes, 1u8).len(), bytes);
        alloc.end_frame();
    }
    let svg = budget.metrics().recording("").to_svg(200, 300).unwrap();
    assert!(svg.contains("soft limit: 700 KiB"), "{svg}");
    // It would leave no height for the rest.
    assert!(!svg.contains("hard limit"), "{svg}");
    assert!(svg.contains("MiB"), "the burst decides over the scale: {svg}");
}

/// Objects of three sizes, more and fewer of them; where `FRAMEALLOC_PAGE` names a file, the page is written there for a browser.
#[test]
fn pools_are_on_the_page() {
    let budget = Budget::new();
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for frame in 0..100u64 {
        small.extend((0..100).map(|n: u64| alloc.pool_box([n; 5])));
        large.extend((0..10).map(|n: u64| alloc.pool_box([n; 60])));
        if frame % 30 == 29 {
            small.truncate(500);
            large.clear();
        }
        alloc.end_frame();
    }
    let recording = budget.metrics().recording("pools");
    let sizes = |at: usize| recording.frames[at].sizes.iter().map(|of| (of.size, of.outstanding)).collect::<Vec<_>>();
    assert!(sizes(28).iter().any(|&(size, live)| size == 48 && live >= 2900), "{:?}", sizes(28));
    assert!(sizes(99).iter().any(|&(size, _)| size == 512), "{:?}", sizes(99));
    if let Some(path) = std::env::var_os("FRAMEALLOC_PAGE") {
        std::fs::write(path, recording.to_html()).unwrap();
    }
}
