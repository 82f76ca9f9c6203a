//! The connection to the program: made again whenever it is lost, read without waiting, and not believed.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use framealloc_budget::live::{Message, greeting};

/// For a connection to be made: on one machine that is at once, or not at all.
const CONNECT: Duration = Duration::from_millis(250);

/// For the first line, which programs with a live view send at once.
const HELLO: Duration = Duration::from_secs(3);

/// Between attempts: at first, and at most.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(2);

/// Bytes of a line at most. A frame with all the tags that are told apart has less than one of 16.
const LONGEST: usize = 16 << 20;

/// Bytes that are read at a time: between these, keys are looked at.
const PART: usize = 1 << 20;

#[derive(Debug)]
struct Link {
    stream: TcpStream,
    /// What was read of lines that have not ended.
    inbox: Vec<u8>,
    since: Instant,
    greeted: bool,
}

#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    link: Option<Link>,
    /// When it is tried again, and how long it is waited for after that.
    retry_at: Instant,
    pause: Duration,
}

/// How it stands between program and viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing was heard yet.
    Connecting,
    /// The program shows its frames.
    Attached,
    /// It does not: why.
    Gone(String),
}

impl Client {
    pub(crate) fn new(address: SocketAddr, now: Instant) -> Self {
        Self { address, link: None, retry_at: now, pause: FIRST }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// When the next attempt is made, if there is no connection.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.link.is_none().then_some(self.retry_at)
    }

    /// Reads what is there, and hands it to `each`, whose error ends the connection. Connects if it is time to. The state, if it has
    /// changed or may have.
    pub(crate) fn poll(&mut self, now: Instant, mut each: impl FnMut(Message) -> Result<(), String>) -> Option<State> {
        let lost = match &mut self.link {
            Some(link) => {
                let greeted = link.greeted;
                let mut frames = 0;
                let read = link.read(now, &mut |message| {
                    frames += usize::from(matches!(message, Message::Frame(_)));
                    each(message)
                });
                if frames != 0 {
                    // Whoever shows frames and goes is expected back soon.
                    self.pause = FIRST;
                }
                match read {
                    Ok(()) if link.greeted && !greeted => return Some(State::Attached),
                    Ok(()) => return None,
                    Err(why) => why,
                }
            }
            None if now < self.retry_at => return None,
            None => match self.connect(now) {
                Ok(link) => {
                    self.link = Some(link);
                    return None;
                }
                Err(why) => why,
            },
        };
        self.link = None;
        self.retry_at = now + self.pause;
        self.pause = (2 * self.pause).min(LAST);
        Some(State::Gone(lost))
    }

    fn connect(&self, now: Instant) -> Result<Link, String> {
        let fail = |error: std::io::Error| format!("nobody shows frames at {}: {error}", self.address);
        let mut stream = TcpStream::connect_timeout(&self.address, CONNECT).map_err(fail)?;
        // Where nobody listens at a port from which the system also calls, it may connect a caller with itself, and nobody else could
        // listen there.
        if stream.local_addr().ok() == stream.peer_addr().ok() {
            return Err(format!("nobody shows frames at {}", self.address));
        }
        stream.set_write_timeout(Some(CONNECT)).map_err(fail)?;
        stream.write_all(greeting().as_bytes()).map_err(fail)?;
        stream.set_nonblocking(true).map_err(fail)?;
        Ok(Link { stream, inbox: Vec::new(), since: now, greeted: false })
    }
}

impl Link {
    fn read(&mut self, now: Instant, each: &mut impl FnMut(Message) -> Result<(), String>) -> Result<(), String> {
        let mut part = 0;
        while part < PART {
            let before = self.inbox.len();
            self.inbox.resize(before + (64 << 10), 0);
            let read = self.stream.read(&mut self.inbox[before..]);
            self.inbox.truncate(before + read.as_ref().map_or(0, |&read| read));
            match read {
                Ok(0) => return Err("the program has gone".into()),
                Ok(read) => part += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("the program has gone: {error}")),
            }
            self.lines(before, each)?;
        }
        if !self.greeted && now - self.since > HELLO {
            return Err(format!("what listens there has said nothing for {} seconds", HELLO.as_secs()));
        }
        Ok(())
    }

    /// Hands on the lines that have ended, of which the last one's end is looked for from `from` on.
    fn lines(&mut self, from: usize, each: &mut impl FnMut(Message) -> Result<(), String>) -> Result<(), String> {
        let (mut begin, mut look) = (0, from);
        while let Some(length) = self.inbox[look..].iter().position(|&byte| byte == b'\n') {
            let end = look + length;
            let message = std::str::from_utf8(&self.inbox[begin..end])
                .map_err(|error| error.to_string())
                .and_then(Message::read)
                .map_err(|error| format!("what was sent cannot be shown: {error}"))?;
            match message {
                Message::Error(why) => return Err(format!("the program says: {why}")),
                Message::Hello(_) => self.greeted = true,
                _ if !self.greeted => {
                    return Err("what was sent cannot be shown: it does not begin with a hello".into());
                }
                _ => {}
            }
            each(message).map_err(|error| format!("what was sent cannot be shown: {error}"))?;
            (begin, look) = (end + 1, end + 1);
        }
        self.inbox.drain(..begin);
        if self.inbox.len() > LONGEST {
            return Err(format!("what was sent cannot be shown: a line has more than {LONGEST} bytes"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use framealloc_budget::{Budget, LiveView};
    use framealloc_core::{AllocConfig, SmartAlloc};

    use super::*;
    use crate::model::Model;
    use crate::view::{Settings, View, draw};

    const LONG: Duration = Duration::from_secs(60);

    fn anywhere() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    /// Polls until something is so, or the connection is lost; what was heard of its state.
    fn poll_until(client: &mut Client, model: &mut Model, mut is_so: impl FnMut(&Model) -> bool) -> Vec<State> {
        let (start, mut states) = (Instant::now(), Vec::new());
        while !is_so(model) {
            assert!(start.elapsed() < LONG, "{states:?}");
            states.extend(client.poll(Instant::now(), |message| model.apply(message)));
            if let Some(State::Gone(_)) = states.last() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        states
    }

    struct Game {
        budget: Budget,
        alloc: SmartAlloc,
        view: LiveView,
    }

    impl Game {
        fn start(address: SocketAddr) -> Self {
            let budget = Budget::new();
            let view = budget.serve_live(address).unwrap();
            Self { alloc: SmartAlloc::new(AllocConfig::default().with_governor(budget.clone())), budget, view }
        }

        fn play(&mut self, tag: &'static str, bytes: usize) {
            self.alloc.with_tag(tag, |a| a.frame().alloc_slice_fill(bytes, 0u8).len());
            self.alloc.end_frame();
        }
    }

    #[test]
    fn frames_of_a_game_are_shown_and_those_of_the_next_one_after_it() {
        let mut game = Game::start(anywhere());
        let address = game.view.address();
        let (mut client, mut model) = (Client::new(address, Instant::now()), Model::default());
        assert_eq!(client.retry_at().map(|at| at <= Instant::now()), Some(true));
        for (round, tag) in ["first", "second"].into_iter().enumerate() {
            let states = poll_until(&mut client, &mut model, |_| game.view.viewers() == 1);
            assert!(states.iter().all(|state| *state == State::Attached), "{states:?}");
            for frame in 1..=20 {
                game.play(tag, 8 * frame);
                let shown = |model: &Model| model.last.as_ref().is_some_and(|last| last.record.frame == frame as u64);
                assert!(!matches!(poll_until(&mut client, &mut model, shown).last(), Some(State::Gone(_))));
                assert_eq!(model.last.as_ref().unwrap().record, game.budget.metrics().last().unwrap());
                assert_eq!((&*model.tags[1].name, model.tags[1].bytes.last()), (tag, 8 * frame as u64));
            }
            assert_eq!((model.tags.len(), model.tags[1].bytes.len(), model.left_out), (2, 20, 0));
            if round == 0 {
                drop(game);
                let states = poll_until(&mut client, &mut model, |_| false);
                assert!(matches!(states.last(), Some(State::Gone(why)) if why.contains("has gone")), "{states:?}");
                assert!(model.last.is_some(), "its last frame stays");
                // Nobody is there for a while.
                let states = poll_until(&mut client, &mut model, |_| false);
                assert!(matches!(states.last(), Some(State::Gone(why)) if why.contains(&address.to_string())));
                game = Game::start(address);
            }
        }
    }

    #[test]
    fn attempts_become_rarer_and_are_frequent_again_after_a_frame() {
        let nobody = TcpListener::bind(anywhere()).unwrap().local_addr().unwrap();
        let mut now = Instant::now();
        let mut client = Client::new(nobody, now);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert!(matches!(client.poll(now, |_| Ok(())), Some(State::Gone(_))));
            let at = client.retry_at().unwrap();
            assert_eq!(client.poll(at - Duration::from_millis(1), |_| Ok(())), None, "not before it is time");
            pauses.push((at - now).as_millis());
            now = at;
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 2000, 2000]);
        let mut game = Game::start(nobody);
        let mut model = Model::default();
        client.retry_at = Instant::now();
        poll_until(&mut client, &mut model, |_| game.view.viewers() == 1);
        game.play("a", 8);
        poll_until(&mut client, &mut model, |model| model.last.is_some());
        assert_eq!(client.pause, FIRST);
    }

    /// What becomes of a connection on which this is sent, and of what is shown then.
    fn sent(bytes: &[u8]) -> Option<String> {
        let listener = TcpListener::bind(anywhere()).unwrap();
        let address = listener.local_addr().unwrap();
        thread::scope(|s| {
            s.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut said = [0; 18];
                stream.read_exact(&mut said).unwrap();
                assert_eq!(said, greeting().as_bytes());
                // It may have heard enough before the end.
                let _ = stream.write_all(bytes);
            });
            let (mut client, mut model) = (Client::new(address, Instant::now()), Model::default());
            let states = poll_until(&mut client, &mut model, |_| false);
            let mut buffer = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, 120, 30));
            let area = buffer.area;
            let state = states.last().unwrap();
            let view = View { address, state, retry: None, model: &model };
            draw(&mut buffer, area, &view, &mut Settings::default());
            match state {
                State::Gone(why) if why == "the program has gone" => None,
                State::Gone(why) => Some(why.clone()),
                other => panic!("{other:?}"),
            }
        })
    }

    const HELLO_LINE: &str = r#"{"hello":{"schema":1,"title":"a game","tags":["","a"]}}"#;

    /// A line of a frame, as games send it.
    fn frame_line() -> String {
        let mut game = Game::start(anywhere());
        let mut stream = TcpStream::connect(game.view.address()).unwrap();
        stream.write_all(greeting().as_bytes()).unwrap();
        while game.view.viewers() == 0 {
            thread::yield_now();
        }
        game.play("a", 8);
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stream));
        lines.find_map(|line| line.ok().filter(|line| line.starts_with("{\"frame\""))).unwrap()
    }

    #[test]
    fn what_is_no_live_view_is_named_and_left() {
        let frame = frame_line();
        assert_eq!(sent(format!("{HELLO_LINE}\n{frame}\n").as_bytes()), None, "this is one");
        let more = frame.replace(
            "\"tags\":[{\"own\"",
            "\"tags\":[{\"own\":0,\"total\":0,\"peak\":0,\"scopes\":0,\"over\":0,\"refused\":0},{\"own\"",
        );
        assert_ne!(more, frame);
        for (text, why) in [
            ("HTTP/1.1 400 Bad Request\r\n\r\n".into(), "cannot be shown: expected value"),
            ("\n".into(), "cannot be shown"),
            (format!("{frame}\n"), "does not begin with a hello"),
            (HELLO_LINE.replace(":1,", ":2,") + "\n", "schema 2, but this viewer reads 1"),
            ("{\"hello\":{\"schema\":3,\"other\":[]}}\n".into(), "schema 3, but this viewer reads 1"),
            ("{\"error\":\"8 viewers are attached\"}\n".into(), "the program says: 8 viewers are attached"),
            (format!("{HELLO_LINE}\n{}\n", &frame[..100]), "cannot be shown: EOF"),
            (format!("{HELLO_LINE}\n{more}\n"), "3 tags, but 2 are known"),
            (format!("{HELLO_LINE}\n{{\"tags\":{{\"first\":7,\"paths\":[]}}}}\n"), "2 are known"),
            (format!("{HELLO_LINE}\n{{\"other\":1}}\n"), "cannot be shown: unknown variant"),
            (HELLO_LINE.to_owned() + &"x".repeat(LONGEST + 100_000), "a line has more than 16777216 bytes"),
        ] {
            let told = sent(text.as_bytes()).unwrap_or_else(|| panic!("{text:.100} was believed"));
            assert!(told.contains(why), "{why} is not in {told}");
        }
        assert!(sent(b"\xff\xfe\n").is_some_and(|told| told.contains("utf-8")));
    }

    #[test]
    fn whoever_says_nothing_is_left() {
        let listener = TcpListener::bind(anywhere()).unwrap();
        let start = Instant::now();
        let mut client = Client::new(listener.local_addr().unwrap(), start);
        assert_eq!(client.poll(start, |_| Ok(())), None);
        assert_eq!(client.poll(start + HELLO, |_| Ok(())), None);
        let told = client.poll(start + HELLO + Duration::from_millis(1), |_| Ok(()));
        assert!(matches!(told, Some(State::Gone(why)) if why.contains("said nothing for 3 seconds")));
    }

    /// Mutants of what games send: believed or not, nothing panics.
    #[test]
    fn nothing_that_is_sent_is_a_panic() {
        let lines = format!("{HELLO_LINE}\n{}\n", frame_line());
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let (mut believed, mut refused) = (0, 0);
        for _ in 0..3000 {
            let mut bytes = lines.clone().into_bytes();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = b"0123456789-\",:{}[]\n"[random(19)],
                    1 => _ = bytes.remove(at),
                    2 => {
                        let digits = b"18446744073709551615".iter().copied();
                        bytes.splice(at..at, digits.take(1 + random(20)));
                    }
                    _ => {
                        let end = (at + random(50)).min(bytes.len());
                        let part = bytes[at..end].to_vec();
                        let to = random(bytes.len());
                        bytes.splice(to..to, part);
                    }
                }
            }
            let mut model = Model::default();
            let mut greeted = Ok(());
            for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let message = std::str::from_utf8(line).map_err(|error| error.to_string()).and_then(Message::read);
                greeted = greeted.and(message.and_then(|message| model.apply(message)));
            }
            *if greeted.is_ok() { &mut believed } else { &mut refused } += 1;
            let mut buffer = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, 150, 24));
            let (area, state) = (buffer.area, State::Attached);
            let view = View { address: anywhere(), state: &state, retry: None, model: &model };
            draw(&mut buffer, area, &view, &mut Settings::default());
        }
        assert!(believed > 100 && refused > 100, "{believed} {refused}");
    }
}
