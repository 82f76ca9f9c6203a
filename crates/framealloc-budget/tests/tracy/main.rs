//! What a viewer of Tracy receives: this process connects to another one, as the viewer does, and reads the stream.
#![cfg(all(feature = "tracy", target_os = "linux"))]

mod decoder;
mod viewer;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use decoder::Event;
use framealloc_budget::bytes::mib;
use framealloc_budget::{Budget, Limit};
use framealloc_core::{AllocConfig, Lease, SmartAlloc};
use tracy_client::Client;
use viewer::{PROTOCOL, Refused, Viewer, free_port};

const FRAMES: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);

// ---- the game ------------------------------------------------------------------------------------------------------

/// Waits for the other process to say so.
fn wait_for_word() {
    std::io::stdin().lines().next().expect("the other process is there").unwrap();
}

/// On a line of its own: the harness writes, too.
fn say(fact: &str) {
    println!("\n> {fact}");
    std::io::stdout().flush().unwrap();
}

/// Opens tags while its thread ends, when the thread's part of the client is gone.
struct Last(Arc<Lease>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.with_tag("too late", |a| _ = a.frame().alloc([0u8; 8]));
    }
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

#[test]
#[ignore = "the process that the others look at"]
fn game() {
    if std::env::var_os("TRACY_PORT").is_none() {
        return;
    }
    // Nothing is sent, and nobody is listened to, before the program says so.
    let budget = Budget::new().with_tracy_name("game").with_tag("physics", Limit::hard(mib(1)));
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_frame_chunk(4096, 65536).with_governor(budget.clone()));
    let early = alloc.heap_box([1u8; 50_000]);
    let pooled = alloc.pool_box([1u64; 4]);
    alloc.end_frame();
    say(&format!("running {}", Client::is_running()));
    let _client = Client::start();
    alloc.end_frame();
    say("started");
    for viewer in 0..2 {
        wait_for_word();
        while !Client::is_connected() {
            thread::sleep(Duration::from_millis(1));
        }
        for frame in 0..FRAMES {
            alloc.begin_frame();
            alloc.with_tag("physics", |a| {
                a.frame().alloc_slice_fill(100 * (frame + 1), 0u64);
                a.with_tag("contacts", |a| _ = a.frame().alloc([0u32; 500]));
            });
            thread::scope(|scope| _ = scope.spawn(|| alloc.frame().alloc([0u8; 64])[0]).join());
            let late = alloc.heap_box([2u8; 70_000]);
            say(&format!("large {:#x} 70000", late.as_ptr().addr()));
            drop(late);
            alloc.end_frame();
            let record = budget.metrics().last().unwrap();
            say(&format!("frame {} {} {}", record.bytes, record.committed, record.pools));
        }
        if viewer == 0 {
            let lease = Arc::new(alloc.lease());
            let dying = thread::spawn(move || {
                LAST.set(Some(Last(lease.clone())));
                lease.with_tag("in time", |a| _ = a.frame().alloc([0u8; 8]));
            });
            dying.join().unwrap();
        }
        let held = budget.metrics().last().unwrap().committed;
        say(&format!("early {:#x} 50000", early.as_ptr().addr()));
        say(&format!("held {held}"));
        // What ends each of the client's two queues.
        over();
        if viewer == 0 {
            wait_for_word();
            over();
        }
    }
    wait_for_word();
    drop((early, pooled, alloc));
    over();
    // What has not been sent is not waited for when a process ends.
    wait_for_word();
}

fn over() {
    let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(Budget::new().with_tracy_name("over")));
    alloc.with_tag("the end", |a| _ = a.frame().alloc(1u8));
    alloc.end_frame();
    say("over");
}

// ---- who looks at it -----------------------------------------------------------------------------------------------

struct Game {
    child: Child,
    words: ChildStdin,
    facts: BufReader<ChildStdout>,
    port: u16,
}

impl Game {
    fn start() -> Self {
        let port = free_port().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["game", "--exact", "--ignored", "--nocapture"])
            .envs([("TRACY_PORT", port.to_string()), ("TRACY_NO_INVARIANT_CHECK", "1".into())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (words, facts) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, words, facts, port }
    }

    fn go_on(&mut self) {
        writeln!(self.words).unwrap();
    }

    /// What it says, as words, up to the one that begins with `until`.
    fn facts(&mut self, until: &str) -> Vec<Vec<String>> {
        let mut facts = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(
                self.facts.read_line(&mut line).unwrap(),
                0,
                "the game ended before it said `{until}`: {facts:?}"
            );
            let Some(fact) = line.strip_prefix("> ") else { continue };
            let words: Vec<_> = fact.split_whitespace().map(String::from).collect();
            let done = words.first().is_some_and(|word| word == until);
            facts.push(words);
            if done {
                return facts;
            }
        }
    }

    fn viewer(&self) -> Viewer {
        let viewer = Viewer::connect(self.port, PROTOCOL, Instant::now() + PATIENCE).unwrap();
        assert_eq!((viewer.pid, viewer.on_demand), (self.child.id().into(), true));
        viewer
    }
}

impl Drop for Game {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// What a viewer has seen, up to the end.
#[derive(Debug, Default)]
struct Seen {
    marks: BTreeMap<String, usize>,
    plots: BTreeMap<String, Vec<f64>>,
    formats: BTreeMap<String, u8>,
    /// Zones by their names and functions, outermost first.
    zones: BTreeSet<Vec<(String, String)>>,
    /// Blocks of each pool.
    held: BTreeMap<String, BTreeMap<u64, u64>>,
    /// Blocks that were seen, whether they are held or not.
    blocks: BTreeSet<(String, u64, u64)>,
    discards: BTreeMap<String, usize>,
    /// Zones that have not ended, of each thread, and the thread that the next one is of.
    open: BTreeMap<u32, Vec<(String, String)>>,
    thread: u32,
}

impl Seen {
    /// Looks on, with the blocks of the look before, until both of the client's queues have told of the end, and zones of these names have ended.
    fn look(viewer: &mut Viewer, before: Self, zones: &[&str]) -> Self {
        let mut seen = Self { held: before.held, open: before.open, thread: before.thread, ..Self::default() };
        let mut missing: BTreeSet<_> = zones.iter().map(|&name| name.to_owned()).collect();
        // The thread whose last zone was seen: what follows is of its allocator's end.
        let (mut marked, mut left) = (false, None);
        while !marked || left.is_none() || !missing.is_empty() {
            match viewer.next_event().unwrap_or_else(|error| panic!("{error}; so far {seen:#?}")) {
                Event::FrameMark { name } => {
                    let name = viewer.frame_name(name).unwrap();
                    marked |= name == "over";
                    *seen.marks.entry(name).or_default() += 1;
                }
                Event::PlotConfig { name, format, .. } => {
                    let name = viewer.plot_name(name).unwrap();
                    seen.formats.insert(name, format);
                }
                Event::PlotData { name, value } => {
                    seen.plots.entry(viewer.plot_name(name).unwrap()).or_default().push(value);
                }
                Event::MemAlloc { pool, address, size } => {
                    let pool = viewer.pool_name(pool).unwrap();
                    let before = seen.held.entry(pool.clone()).or_default().insert(address, size);
                    assert_eq!(before, None, "{pool}: the viewer would hang up");
                    seen.blocks.insert((pool, address, size));
                }
                Event::MemFree { pool, address } => {
                    let pool = viewer.pool_name(pool).unwrap();
                    let before = seen.held.entry(pool.clone()).or_default().remove(&address);
                    // The end of the look before lies among what this one frees.
                    assert!(
                        pool.starts_with("over") || before.is_some(),
                        "{pool}: {address:#x} is freed and was not there"
                    );
                }
                Event::MemDiscard { pool } => {
                    let pool = viewer.pool_name(pool).unwrap();
                    seen.held.entry(pool.clone()).or_default().clear();
                    *seen.discards.entry(pool).or_default() += 1;
                }
                Event::ZoneBegin { srcloc } => {
                    let place = viewer.source_location(srcloc).unwrap();
                    let stack = seen.open.entry(seen.thread).or_default();
                    stack.push((place.name, place.function));
                    seen.zones.insert(stack.clone());
                }
                Event::ZoneEnd => {
                    let zone = seen.open.entry(seen.thread).or_default().pop().expect("a zone that began");
                    missing.remove(&zone.0);
                    // The last frame's end, in which its plots lie.
                    if zone.0 == "end frame" && seen.plots.contains_key("over: frame") {
                        left = Some(seen.thread);
                    }
                }
                Event::ThreadContext { thread } => seen.thread = thread,
                Event::ZoneBeginAlloc(_) | Event::Terminate | Event::Other(_) => {}
            }
        }
        let ended = |(thread, zones): (&u32, &Vec<_>)| left == Some(*thread) || zones.is_empty();
        assert!(seen.open.iter().all(ended), "zones that do not end: {:?}", seen.open);
        seen
    }

    fn has(&self, name: &str) -> bool {
        self.zones.iter().flatten().any(|zone| zone.0 == name)
    }

    fn zone(&self, path: &[(&str, &str)]) -> bool {
        let path: Vec<_> = path.iter().map(|&(name, function)| (name.to_owned(), function.to_owned())).collect();
        self.zones.contains(&path)
    }
}

#[test]
fn a_viewer_sees_frames_tags_and_memory() {
    let mut game = Game::start();
    assert_eq!(game.facts("running").pop().unwrap(), ["running", "false"], "a client that nobody started");
    game.facts("started");
    let refused = Viewer::connect(game.port, PROTOCOL - 1, Instant::now() + PATIENCE).err();
    assert!(matches!(refused, Some(Refused::Protocol)), "{refused:?}");

    // The first one leaves, and the second one sees the same.
    for round in 0..2 {
        let mut viewer = game.viewer();
        game.go_on();
        let seen = Seen::look(&mut viewer, Seen::default(), if round == 0 { &["in time"] } else { &[] });
        let facts = game.facts("over");
        check(&seen, &facts, round);
        if round == 0 {
            // A queue that was given away is emptied like any other, if later.
            game.go_on();
            let more = Seen::look(&mut viewer, seen, &[]);
            assert!(!more.has("too late"), "a thread whose queue is another one's");
            game.facts("over");
            viewer.disconnect().unwrap();
            continue;
        }
        // Nothing is left when the allocator is gone.
        game.go_on();
        let rest = Seen::look(&mut viewer, seen, &[]);
        for pool in ["chunks", "slabs", "large blocks", "frame by thread"] {
            let pool = format!("game: {pool}");
            assert_eq!(rest.held.get(&pool).map(BTreeMap::len), Some(0), "{pool}");
            assert_eq!(rest.discards.get(&pool), Some(&1), "{pool}");
        }
    }
}

fn check(seen: &Seen, facts: &[Vec<String>], round: usize) {
    let of = |name: &'static str| facts.iter().filter(move |words| words[0] == name);
    let number = |text: &String| text.parse::<usize>().unwrap();
    let frames: Vec<_> = of("frame").map(|words| [1, 2, 3].map(|at| number(&words[at]))).collect();
    assert_eq!(frames.len(), FRAMES);

    assert_eq!(seen.marks.get("game"), Some(&FRAMES));
    let plot = |name: &str| seen.plots.get(name).cloned().unwrap_or_else(|| panic!("no plot `{name}`: {seen:#?}"));
    let column = |at: usize| frames.iter().map(|figures| figures[at] as f64).collect::<Vec<_>>();
    assert_eq!(plot("game: frame"), column(0));
    assert_eq!(plot("game: committed"), column(1));
    assert_eq!(plot("game: pools"), column(2));
    let physics: Vec<_> = (1..=FRAMES).map(|frame| (800 * frame + 2000) as f64).collect();
    assert_eq!(plot("game: physics"), physics);
    assert_eq!(plot("game: physics/contacts"), [2000.0; FRAMES]);
    for name in ["frame", "committed", "pools", "physics", "physics/contacts"] {
        assert_eq!(seen.formats.get(&format!("game: {name}")), Some(&1), "{name}: bytes");
    }

    let (physics, contacts) = (("physics", "physics"), ("contacts", "physics/contacts"));
    assert!(seen.zone(&[physics]) && seen.zone(&[physics, contacts]), "{:?}", seen.zones);
    assert!(seen.zone(&[("begin frame", "framealloc")]) && seen.zone(&[("end frame", "framealloc")]));
    assert!(seen.zone(&[("take large block", "framealloc")]) && seen.zone(&[("give back large block", "framealloc")]));
    assert!(!seen.has("too late"), "a thread whose queue is another one's");
    assert_eq!(seen.has("in time"), round == 0);

    // What was held when the viewer came, what is held now, and what came and went.
    let address = |words: &Vec<String>| u64::from_str_radix(words[1].trim_start_matches("0x"), 16).unwrap();
    let held = number(&of("held").next().unwrap()[1]);
    let sum: u64 = ["chunks", "slabs", "large blocks"]
        .iter()
        .filter_map(|pool| seen.held.get(&format!("game: {pool}")))
        .flat_map(BTreeMap::values)
        .sum();
    assert_eq!(sum, held as u64);
    let early = of("early").next().unwrap();
    let large = &seen.held["game: large blocks"];
    let (block, bytes) = large.range(..=address(early)).next_back().expect("the block of before");
    assert!(block + bytes >= address(early) + 50_000);
    for words in of("large").skip(1) {
        let there = |&(ref pool, block, bytes): &(String, u64, u64)| {
            pool == "game: large blocks" && block <= address(words) && block + bytes >= address(words) + 70_000
        };
        assert!(seen.blocks.iter().any(there), "{words:?} of {:?}", seen.blocks);
    }
    // The last frame's share of each thread: 64 bytes on one, and the rest on the other.
    let last = frames[FRAMES - 1][0] as u64;
    let mut shares: Vec<_> = seen.held["game: frame by thread"].values().copied().collect();
    shares.sort_unstable();
    assert_eq!(shares, [64, last - 64]);
    assert_eq!(seen.discards["game: frame by thread"], FRAMES);
    // A viewer that had been told of others begins anew.
    for pool in ["chunks", "slabs", "large blocks"] {
        assert_eq!(seen.discards.get(&format!("game: {pool}")), Some(&1), "{pool}");
    }
}
