//! Live views: what viewers are shown is what the budget counted, and no peer, however it behaves, is waited for.
#![cfg(feature = "live")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use framealloc_budget::bytes::{kib, mib};
use framealloc_budget::live::{Hello, MOST_VIEWERS, Message, Snapshot, Standing, greeting};
use framealloc_budget::{Account, Budget, Level, Limit, LiveConfig, LiveError, LiveView, OverLimit};
use framealloc_core::{AllocConfig, SmartAlloc};

/// What should come at once is a failure after this.
const LONG: Duration = Duration::from_secs(60);

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn governed(budget: &Budget) -> SmartAlloc {
    SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}: not within {LONG:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Viewer {
    lines: BufReader<TcpStream>,
}

impl Viewer {
    fn connect(view: &LiveView) -> Self {
        let stream = TcpStream::connect(view.address()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Self { lines: BufReader::new(stream) }
    }

    /// Says something, which the other side may not want to hear any more.
    fn say(&mut self, bytes: &[u8]) {
        let _ = self.lines.get_mut().write_all(bytes);
    }

    /// One that is shown frames from now on.
    fn attach(view: &LiveView) -> (Self, Hello) {
        let before = view.viewers();
        let mut viewer = Self::connect(view);
        viewer.say(greeting().as_bytes());
        let Some(Message::Hello(hello)) = viewer.message() else { panic!("no hello") };
        wait_until("attached", || view.viewers() > before);
        (viewer, hello)
    }

    /// The next message; `None` when there is nothing more.
    fn message(&mut self) -> Option<Message> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(Message::read(&line).unwrap_or_else(|error| panic!("{error} in {line}"))),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next frame; new tags on the way are added to `tags`.
    fn frame(&mut self, tags: &mut Vec<String>) -> Option<Snapshot> {
        loop {
            match self.message()? {
                Message::Frame(frame) => return Some(*frame),
                Message::Tags(new) => {
                    assert_eq!(new.first, tags.len());
                    tags.extend(new.paths);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// All that it is told, as text, to the end.
    fn rest(mut self) -> String {
        let mut text = Vec::new();
        match self.lines.read_to_end(&mut text) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        String::from_utf8(text).unwrap()
    }
}

/// A frame with something of everything; every fourth one asks for too much.
fn play(alloc: &mut SmartAlloc, frame: usize) {
    alloc.begin_frame();
    alloc.with_tag("physics", |a| {
        a.frame().alloc_slice_fill(10 * frame, 0u64);
        a.with_tag("contacts", |a| a.frame().alloc_slice_fill(100, 1u8).len());
    });
    alloc.with_tag("limited", |a| {
        let wanted = if frame.is_multiple_of(4) { 5000 } else { 3000 };
        drop(a.frame().try_alloc_slice_fill(wanted, 1u8));
    });
    alloc.with_tag("over", |a| a.frame().alloc_slice_fill(1500, 1u8).len());
    alloc.end_frame();
}

fn rich_budget() -> Budget {
    Budget::new()
        .with_history(50)
        .with_committed(Limit::soft(mib(8)).with_hard(mib(16)))
        .with_pools(Limit::hard(mib(2)))
        .with_thread(Limit::hard(mib(4)))
        .with_tag("limited", Limit::soft(2000).with_hard(kib(4)))
        .with_tag("over", Limit::hard(kib(1)).with_over(OverLimit::Heap))
}

#[test]
fn figures_shown_are_those_of_the_metrics() {
    let budget = rich_budget();
    let view = budget.serve_live(LiveConfig::new(anywhere()).with_title("a test")).unwrap();
    let mut alloc = governed(&budget);
    let _kept: Vec<_> = (0..50).map(|value| alloc.pool_box([value; 10])).collect();
    play(&mut alloc, 1);
    let (mut viewer, hello) = Viewer::attach(&view);
    assert_eq!(hello.title, "a test");
    let mut tags = hello.tags;
    let mut levels = Vec::new();
    for frame in 2..60 {
        play(&mut alloc, frame);
        let shown = viewer.frame(&mut tags).unwrap();
        let metrics = budget.metrics();
        assert_eq!((Some(&shown.record), shown.history), (metrics.last().as_ref(), 50));
        assert_eq!(tags, metrics.tags().iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(shown.tags.len(), tags.len());

        let report = metrics.report();
        let check = |account: &Account, standing: &Standing| {
            assert_eq!(standing.level, budget.level(account), "{account}");
            let Some(row) = report.account(account) else {
                assert_eq!((standing.worst, standing.soft, standing.hard), (0, None, None), "{account}");
                return;
            };
            let Standing { soft, hard, worst, worst_frame, refused, over, .. } = *standing;
            assert_eq!(
                (soft, hard, worst, worst_frame, refused, over),
                (row.soft, row.hard, row.peak, row.worst_frame, row.refused, row.over),
                "{account}"
            );
        };
        check(&Account::Committed, &shown.accounts.committed);
        check(&Account::Pools, &shown.accounts.pools);
        check(&Account::Sealed, &shown.accounts.sealed);
        check(&Account::Frame, &shown.accounts.frame);
        check(&Account::Thread, &shown.accounts.thread);
        for (path, standing) in tags.iter().zip(&shown.tags).skip(1) {
            check(&Account::tag(path), standing);
        }
        let limited = tags.iter().position(|path| path == "limited").unwrap();
        levels.push(shown.tags[limited].level);
    }
    assert!(levels.contains(&Level::Hard), "something was refused");
    let report = budget.metrics().report();
    let of = |path: &str| report.account(&Account::tag(path)).unwrap().clone();
    assert!(of("limited").refused > 10 && of("over").over > 0 && report.account(&Account::Pools).unwrap().peak > 0);
}

#[test]
fn limits_that_move_are_shown_from_the_next_frame_on() {
    let budget = rich_budget();
    let view = budget.serve_live(anywhere()).unwrap();
    let mut alloc = governed(&budget);
    let (mut viewer, hello) = Viewer::attach(&view);
    let mut tags = hello.tags;
    play(&mut alloc, 1);
    assert_eq!(viewer.frame(&mut tags).unwrap().accounts.committed.hard, Some(mib(16)));
    budget.set_limit(Account::Committed, Limit::soft(mib(9))).unwrap();
    play(&mut alloc, 2);
    let committed = viewer.frame(&mut tags).unwrap().accounts.committed;
    assert_eq!((committed.soft, committed.hard), (Some(mib(9)), None));
    budget.set_history(70).unwrap();
    play(&mut alloc, 3);
    assert_eq!(viewer.frame(&mut tags).unwrap().history, 70);
}

#[test]
fn tags_are_announced_before_a_frame_has_figures_of_them() {
    let budget = Budget::new();
    let view = budget.serve_live(anywhere()).unwrap();
    let mut alloc = governed(&budget);
    let (mut first, hello) = Viewer::attach(&view);
    assert!(hello.tags.is_empty(), "no frame was copied yet");
    let mut tags = hello.tags;
    let names: Vec<String> = (0..20).map(|at| format!("a \"tag\"\n\u{1b}[31m {at}")).collect();
    for (at, name) in names.iter().enumerate() {
        let name: &'static str = name.clone().leak();
        alloc.with_tag(name, |a| a.frame().alloc_slice_fill(8 * (at + 1), 0u8).len());
        alloc.end_frame();
        let shown = first.frame(&mut tags).unwrap();
        assert_eq!((tags.len(), shown.record.tags.len()), (at + 2, at + 2));
        assert_eq!((&*tags[at + 1], shown.record.tags[at + 1].peak), (name, 8 * (at + 1)));
    }
    // Who comes later is told all of them at once, and shown the newest frame, since somebody was watching.
    let (mut late, hello) = Viewer::attach(&view);
    assert_eq!(hello.tags, tags);
    assert_eq!(late.frame(&mut tags).unwrap().record, budget.metrics().last().unwrap());
}

#[test]
fn while_nobody_watches_nothing_is_copied() {
    let budget = rich_budget();
    let view = budget.serve_live(anywhere()).unwrap();
    let mut alloc = governed(&budget);
    let silent = Viewer::connect(&view);
    (0..100).for_each(|frame| play(&mut alloc, frame));
    assert_eq!((view.viewers(), view.stats().copied, view.stats().skipped), (0, 0, 0));
    drop(silent);

    let (mut viewer, hello) = Viewer::attach(&view);
    let mut tags = hello.tags;
    play(&mut alloc, 1);
    assert!(viewer.frame(&mut tags).is_some() && view.stats().copied == 1);
    drop(viewer);
    wait_until("gone", || view.viewers() == 0);
    (0..100).for_each(|frame| play(&mut alloc, frame));
    assert_eq!(view.stats().copied, 1);
    // What was there when nobody watched is not the newest for who comes then.
    let (mut viewer, hello) = Viewer::attach(&view);
    assert_eq!(hello.tags, tags);
    play(&mut alloc, 1);
    assert_eq!(viewer.frame(&mut tags).unwrap().record, budget.metrics().last().unwrap());
}

/// Many tags, so that few frames fill what the system keeps for a connection.
fn play_wide(alloc: &mut SmartAlloc, names: &[&'static str]) {
    alloc.begin_frame();
    for name in names {
        alloc.with_tag(*name, |a| a.frame().alloc(1u64).to_string());
    }
    alloc.end_frame();
}

fn wide() -> Vec<&'static str> {
    (0..3000).map(|at| &*at.to_string().leak()).collect()
}

#[test]
fn frames_go_on_while_a_viewer_reads_nothing_and_it_gets_the_newest_when_it_does() {
    let budget = Budget::new().with_history(10);
    let view = budget.serve_live(LiveConfig::new(anywhere()).with_patience(LONG)).unwrap();
    let mut alloc = governed(&budget);
    let (mut slow, hello) = Viewer::attach(&view);
    let names = wide();
    // Frames that it is not sent: what the system keeps for it is full.
    wait_until("full", || {
        play_wide(&mut alloc, &names);
        view.stats().missed > 0
    });
    let before = budget.metrics().last().unwrap().frame;
    (0..20).for_each(|_| play_wide(&mut alloc, &names));
    let last = budget.metrics().last().unwrap().frame;
    assert_eq!((last, view.stats().dropped, view.viewers()), (before + 20, 0, 1));

    let (mut tags, mut shown) = (hello.tags, Vec::new());
    while shown.last() != Some(&last) {
        let frame = slow.frame(&mut tags).unwrap();
        assert!(shown.last() < Some(&frame.record.frame), "in their order");
        shown.push(frame.record.frame);
    }
    assert!((shown.len() as u64) < last, "some were left out");
    assert_eq!((view.stats().dropped, view.viewers()), (0, 1));
}

/// One that reads nothing, of a view whose hello alone is more than the system keeps for a connection.
fn attach_deaf(view: &LiveView) -> Viewer {
    let mut viewer = Viewer::connect(view);
    viewer.say(greeting().as_bytes());
    wait_until("attached", || view.viewers() == 1);
    viewer
}

fn long_title() -> String {
    "long".repeat(4 << 20)
}

#[test]
fn a_viewer_that_reads_nothing_is_dropped() {
    let budget = rich_budget();
    let config = LiveConfig::new(anywhere()).with_title(long_title()).with_patience(Duration::from_millis(200));
    let view = budget.serve_live(config).unwrap();
    let mut alloc = governed(&budget);
    let deaf = attach_deaf(&view);
    let mut frames = 0;
    wait_until("dropped", || {
        play(&mut alloc, frames);
        frames += 1;
        view.viewers() == 0
    });
    let stats = view.stats();
    assert_eq!((stats.dropped, budget.metrics().report().all_frames), (1, frames as u64));
    assert!(stats.missed > 0, "{stats:?}");
    // It had all that time, and what it was sent is there.
    let rest = deaf.rest();
    assert!(rest.starts_with("{\"hello\":") && rest.len() < long_title().len());
}

#[test]
fn a_viewer_that_vanishes_is_forgotten() {
    let budget = Budget::new().with_history(10);
    let view = budget.serve_live(anywhere()).unwrap();
    let mut alloc = governed(&budget);
    let names = &wide()[..300];
    for read in [false, true] {
        let (mut viewer, hello) = Viewer::attach(&view);
        play_wide(&mut alloc, names);
        if read {
            let mut tags = hello.tags;
            viewer.frame(&mut tags).unwrap();
        }
        // With something unread or without: a reset or an orderly end.
        drop(viewer);
        wait_until("gone", || {
            play_wide(&mut alloc, names);
            view.viewers() == 0
        });
    }
    let (mut viewer, hello) = Viewer::attach(&view);
    let mut tags = hello.tags;
    play_wide(&mut alloc, names);
    assert_eq!(viewer.frame(&mut tags).unwrap().record, budget.metrics().last().unwrap());
}

#[test]
fn what_is_no_greeting_gets_one_line_of_error_and_nothing_else() {
    let budget = rich_budget();
    let view = budget.serve_live(anywhere()).unwrap();
    let mut alloc = governed(&budget);
    // So that there is something to be had.
    let (mut watching, hello) = Viewer::attach(&view);
    let mut tags = hello.tags;
    play(&mut alloc, 1);
    watching.frame(&mut tags).unwrap();

    let long = vec![b'x'; 1 << 20];
    let greeting = greeting();
    let twice = greeting.repeat(2);
    let posted = format!("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n{greeting}");
    let other = greeting.replace('1', "2");
    let garbage: [(&[u8], &str); 9] = [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "first line"),
        (posted.as_bytes(), "first line"),
        (b"\n", "first line"),
        (b"\xff\xfe\x00\x01\n", "first line"),
        (&long, "first line"),
        (other.as_bytes(), "schema 1, but the viewer reads 2"),
        (b"framealloc-live 99999999999999999999\n", "first line"),
        (twice.as_bytes(), "nothing to say"),
        (b"", "within a second"),
    ];
    for (said, why) in garbage {
        let mut peer = Viewer::connect(&view);
        peer.say(said);
        let text = peer.rest();
        if said.len() > 10_000 {
            // Whoever floods is cut off, and may not find the line.
            assert!(text.is_empty() || text.contains(why), "{text}");
            continue;
        }
        assert!(text.starts_with("{\"error\":\"") && text.contains(why) && text.lines().count() == 1, "{why}: {text}");
    }
    assert_eq!(view.stats().refused, garbage.len());

    // A viewer that speaks on is one no more.
    watching.say(b"please\n");
    assert!(watching.rest().contains("nothing to say"));
    wait_until("left", || view.viewers() == 0);
    // After all that, one that behaves is shown everything.
    let (mut viewer, hello) = Viewer::attach(&view);
    let mut tags = hello.tags;
    play(&mut alloc, 2);
    assert_eq!(viewer.frame(&mut tags).unwrap().record, budget.metrics().last().unwrap());
}

#[test]
fn a_greeting_may_come_in_pieces() {
    let budget = Budget::new();
    let view = budget.serve_live(anywhere()).unwrap();
    let mut viewer = Viewer::connect(&view);
    for byte in greeting().trim_end().bytes().chain(*b"\r\n") {
        viewer.say(&[byte]);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(matches!(viewer.message(), Some(Message::Hello(_))));
}

#[test]
fn one_viewer_too_many_is_told_so_and_all_others_are_shown_the_same() {
    let budget = rich_budget();
    let view = budget.serve_live(anywhere()).unwrap();
    let mut alloc = governed(&budget);
    let mut viewers: Vec<_> = (0..MOST_VIEWERS).map(|_| Viewer::attach(&view)).collect();
    assert_eq!(view.viewers(), MOST_VIEWERS);
    let mut one_more = Viewer::connect(&view);
    one_more.say(greeting().as_bytes());
    let told = one_more.rest();
    assert!(told.contains("\"error\":\"8 viewers are attached") && told.lines().count() == 1, "{told}");

    for frame in 1..20 {
        play(&mut alloc, frame);
        let last = budget.metrics().last().unwrap();
        for (viewer, hello) in &mut viewers {
            assert_eq!(viewer.frame(&mut hello.tags).unwrap().record, last);
        }
    }
    viewers.pop();
    wait_until("a place", || view.viewers() < MOST_VIEWERS);
    let _ = Viewer::attach(&view);
}

#[test]
fn connections_that_say_nothing_take_no_viewers_place() {
    let budget = rich_budget();
    let view = budget.serve_live(anywhere()).unwrap();
    let mut alloc = governed(&budget);
    let (mut first, hello) = Viewer::attach(&view);
    let silent: Vec<_> = (0..40).map(|_| Viewer::connect(&view)).collect();
    let second = Viewer::attach(&view);
    assert_eq!(view.viewers(), 2);
    // Closed when there were too many of them, or told after a second.
    for peer in silent {
        let told = peer.rest();
        assert!(told.is_empty() || told.contains("within a second"), "{told}");
    }
    assert_eq!(view.stats().refused, 40);
    let mut tags = hello.tags;
    play(&mut alloc, 1);
    assert_eq!(first.frame(&mut tags).unwrap().record, budget.metrics().last().unwrap());
    drop(second);
}

#[test]
fn addresses_of_other_machines_are_refused() {
    let budget = Budget::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.168.0.1:4627", "8.8.8.8:80", "[2001:db8::1]:1"] {
        let address: SocketAddr = address.parse().unwrap();
        let error = budget.serve_live(address).unwrap_err();
        assert!(matches!(error, LiveError::NotLoopback { address: named } if named == address));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
    let taken = TcpListener::bind(anywhere()).unwrap();
    let error = budget.serve_live(taken.local_addr().unwrap()).unwrap_err();
    assert!(matches!(error, LiveError::System { .. }) && error.to_string().contains("127.0.0.1:"), "{error}");
    // Nothing of that keeps it from being served.
    let view = budget.serve_live(anywhere()).unwrap();
    let error = budget.serve_live(view.address()).unwrap_err();
    assert!(matches!(error, LiveError::Served { address } if address == view.address()), "{error}");
    let address = view.address();
    drop(view);
    assert_eq!(budget.serve_live(address).unwrap().address(), address);
}

#[test]
fn dropping_the_view_closes_all_and_waits_for_nobody() {
    let budget = rich_budget();
    let patient = LiveConfig::new(anywhere()).with_patience(Duration::MAX);
    let view = budget.serve_live(patient.with_title(long_title())).unwrap();
    let mut alloc = governed(&budget);
    let deaf = attach_deaf(&view);
    wait_until("full", || {
        play(&mut alloc, 1);
        view.stats().missed > 3
    });
    let (watching, _) = Viewer::attach(&view);
    let silent = Viewer::connect(&view);
    let address = view.address();
    // Whatever waited for the deaf one would wait for ever.
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(view);
        tell.send(())
    });
    told.recv_timeout(Duration::from_secs(10)).expect("the view is dropped at once");
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    for mut peer in [deaf, watching, silent] {
        // Each finds the end.
        let mut rest = Vec::new();
        match peer.lines.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    play(&mut alloc, 2);

    // A new view begins with nothing of the old one.
    let view = budget.serve_live(anywhere()).unwrap();
    assert_eq!(view.stats(), framealloc_budget::LiveStats::default());
    let (mut viewer, hello) = Viewer::attach(&view);
    let mut tags = hello.tags;
    assert!(tags.is_empty());
    play(&mut alloc, 3);
    assert_eq!(viewer.frame(&mut tags).unwrap().record, budget.metrics().last().unwrap());
    assert_eq!(tags.len(), budget.metrics().tags().len());
}

#[test]
fn the_allocator_may_end_before_its_view() {
    let budget = Budget::new();
    let view = budget.serve_live(anywhere()).unwrap();
    let mut alloc = governed(&budget);
    let (mut viewer, hello) = Viewer::attach(&view);
    let mut tags = hello.tags;
    play(&mut alloc, 1);
    viewer.frame(&mut tags).unwrap();
    drop(alloc);
    // The budget's next allocator goes on where it was.
    let mut alloc = governed(&budget);
    play(&mut alloc, 2);
    assert_eq!(viewer.frame(&mut tags).unwrap().record, budget.metrics().last().unwrap());
    drop((alloc, budget));
    assert_eq!(view.viewers(), 1);
    drop(view);
    assert_eq!(viewer.frame(&mut tags), None);
}

#[test]
fn frames_go_on_while_views_come_and_go() {
    let budget = rich_budget();
    let over = std::sync::atomic::AtomicBool::new(false);
    let mut alloc = governed(&budget);
    std::thread::scope(|s| {
        s.spawn(|| {
            for round in 0..30 {
                let view = budget.serve_live(anywhere()).unwrap();
                let (mut viewer, hello) = Viewer::attach(&view);
                let mut tags = hello.tags;
                for _ in 0..round % 4 {
                    viewer.frame(&mut tags).unwrap();
                }
                if round % 2 == 0 {
                    drop(viewer);
                }
            }
            over.store(true, std::sync::atomic::Ordering::Release);
        });
        let mut frames = 0;
        while !over.load(std::sync::atomic::Ordering::Acquire) {
            play(&mut alloc, frames % 100);
            frames += 1;
        }
        assert_eq!(budget.metrics().report().all_frames, frames as u64);
    });
}
