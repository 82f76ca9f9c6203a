//! The viewers' thread: the listener, all connections, and what is sent when.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use super::peer::{Heard, Peer};
use super::tap::{Count, Tap};
use super::wire::{Hello, Message, NewTags, SCHEMA, Snapshot};
use super::{LiveConfig, MOST_VIEWERS};

/// Connections: those that are no viewers, yet or any more, too.
const MOST_PEERS: usize = 2 * MOST_VIEWERS;

const LISTENER: Token = Token(MOST_PEERS);
pub(super) const WAKER: Token = Token(MOST_PEERS + 1);

/// Between frames that are sent, at least: of a program that has thousands of them a second, nobody sees more.
const GAP: Duration = Duration::from_millis(4);

/// After which the slot is looked at again that was in use.
const SOON: Duration = Duration::from_millis(1);

/// After which connections are accepted again when the system had no room for one.
const LATER: Duration = Duration::from_millis(100);

pub(super) struct Server {
    tap: Arc<Tap>,
    poll: Poll,
    listener: TcpListener,
    config: LiveConfig,
    peers: [Option<Peer>; MOST_PEERS],
    /// The newest frame, its line, and how many were taken before it. The line is empty while nobody watches.
    copy: Snapshot,
    line: Vec<u8>,
    frames: usize,
    /// The tags so far.
    paths: Vec<Arc<str>>,
    /// When the slot is to be looked at.
    take_at: Option<Instant>,
    taken: Option<Instant>,
    accept_at: Option<Instant>,
}

fn texts(paths: &[Arc<str>]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

/// Whatever ends the thread: no frame is copied for viewers that are not there any more.
struct NobodyWatches(Arc<Tap>);

impl Drop for NobodyWatches {
    fn drop(&mut self) {
        self.0.set_viewers(0);
    }
}

impl Server {
    pub(super) fn new(tap: Arc<Tap>, poll: Poll, mut listener: TcpListener, config: LiveConfig) -> io::Result<Self> {
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            tap,
            poll,
            listener,
            config,
            peers: [const { None }; MOST_PEERS],
            copy: Snapshot::default(),
            line: Vec::new(),
            frames: 0,
            paths: Vec::new(),
            take_at: None,
            taken: None,
            accept_at: None,
        })
    }

    /// Until the view is over.
    pub(super) fn run(mut self) {
        let _nobody = NobodyWatches(self.tap.clone());
        let mut events = Events::with_capacity(2 * self.peers.len());
        loop {
            let timeout = self.deadline().map(|at| at.saturating_duration_since(Instant::now()));
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => events.clear(),
                Err(_) => return,
            }
            if self.tap.is_over() {
                return;
            }
            let now = Instant::now();
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(now),
                    WAKER => self.take_at = Some(self.taken.map_or(now, |taken| taken + GAP)),
                    Token(at) => {
                        if event.is_readable() || event.is_read_closed() || event.is_error() {
                            self.hear(at, now);
                        }
                        if event.is_writable() {
                            self.flush(at);
                        }
                    }
                }
            }
            if self.accept_at.is_some_and(|at| at <= now) {
                self.accept(now);
            }
            self.expire(now);
            if self.take_at.is_some_and(|at| at <= now) {
                self.take(now);
            }
            self.show();
            self.tap.set_viewers(self.viewers());
        }
    }

    fn viewers(&self) -> usize {
        self.peers.iter().flatten().filter(|peer| peer.is_watching()).count()
    }

    fn deadline(&self) -> Option<Instant> {
        let of_peers = self.peers.iter().flatten().filter_map(|peer| peer.deadline(self.config.patience));
        of_peers.chain(self.take_at).chain(self.accept_at).min()
    }

    fn accept(&mut self, now: Instant) {
        self.accept_at = None;
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => continue,
                    // Most likely there are too many files open, and nothing tells when that is over.
                    _ => {
                        self.accept_at = Some(now + LATER);
                        return;
                    }
                },
            };
            // Lines are whole, and a viewer is to see them when they are there.
            let _ = stream.set_nodelay(true);
            let at = self.place();
            let interest = Interest::READABLE | Interest::WRITABLE;
            match self.poll.registry().register(&mut stream, Token(at), interest) {
                Ok(()) => self.peers[at] = Some(Peer::new(stream, now)),
                Err(_) => self.tap.count(Count::Refused, 1),
            }
        }
    }

    /// Where a connection has room: at worst that of the one which has to go first of all that are no viewers. Whoever only holds
    /// connections is not to keep viewers out, which say what they are at once.
    fn place(&mut self) -> usize {
        if let Some(at) = self.peers.iter().position(Option::is_none) {
            return at;
        }
        let others = self.peers.iter().enumerate().filter_map(|(at, peer)| Some((peer.as_ref()?.goes_at()?, at)));
        let (_, at) = others.min().expect("there are more places than viewers");
        if self.peers[at].as_ref().is_some_and(Peer::is_greeting) {
            self.tap.count(Count::Refused, 1);
        }
        self.forget(at);
        at
    }

    fn hear(&mut self, at: usize, now: Instant) {
        let viewers = self.viewers();
        while let Some(peer) = &mut self.peers[at] {
            match peer.hear(now) {
                Heard::Nothing => return,
                Heard::Gone => return self.forget(at),
                Heard::Nonsense => self.tap.count(Count::Refused, 1),
                Heard::Greeting if viewers >= MOST_VIEWERS => {
                    peer.leave(format!("{MOST_VIEWERS} viewers are attached, and no more can be"), now);
                    self.tap.count(Count::Refused, 1);
                }
                Heard::Greeting => {
                    let hello = Hello { schema: SCHEMA, title: self.config.title.clone(), tags: texts(&self.paths) };
                    peer.tags = hello.tags.len();
                    // The newest frame, if there is one, is the first that it is shown.
                    peer.frame = self.frames - usize::from(!self.line.is_empty());
                    peer.send(|out| Message::Hello(hello).write(out));
                }
            }
            // Before more is read: whoever floods is cut off, but told why.
            self.flush(at);
        }
    }

    fn flush(&mut self, at: usize) {
        if self.peers[at].as_mut().is_some_and(|peer| !peer.flush()) {
            self.forget(at);
        }
    }

    fn forget(&mut self, at: usize) {
        if let Some(mut peer) = self.peers[at].take() {
            let _ = self.poll.registry().deregister(&mut peer.stream);
        }
    }

    /// Leaves those that had their time.
    fn expire(&mut self, now: Instant) {
        for at in 0..self.peers.len() {
            let Some(peer) = &mut self.peers[at] else { continue };
            if peer.deadline(self.config.patience).is_none_or(|until| now < until) {
                continue;
            }
            if peer.is_watching() {
                self.tap.count(Count::Dropped, 1);
                self.forget(at);
            } else if peer.is_greeting() {
                self.tap.count(Count::Refused, 1);
                peer.leave("there was no greeting within a second".into(), now);
                self.flush(at);
            } else {
                self.forget(at);
            }
        }
    }

    /// Takes the newest frame.
    fn take(&mut self, now: Instant) {
        let Some(there) = self.tap.take(&mut self.copy, &mut self.paths) else {
            self.take_at = Some(now + SOON);
            return;
        };
        self.take_at = None;
        // Also of a frame that nobody is there to see any more: the slot is empty then, and the next viewer's first frame wakes this
        // thread.
        if there {
            self.taken = Some(now);
            let late = |peer: &&Peer| peer.is_watching() && peer.frame != self.frames;
            self.tap.count(Count::Missed, self.peers.iter().flatten().filter(late).count());
            self.frames += 1;
            self.line.clear();
            self.copy.write(&mut self.line);
        }
    }

    /// Sends the newest frame to whom it was not sent yet, and who has taken what was sent before.
    fn show(&mut self) {
        if self.viewers() == 0 {
            // By the time that somebody comes it is not the newest.
            self.line.clear();
        }
        if self.line.is_empty() {
            return;
        }
        for at in 0..self.peers.len() {
            let Some(peer) = self.peers[at].as_mut().filter(|peer| peer.is_ready() && peer.frame != self.frames) else {
                continue;
            };
            peer.frame = self.frames;
            let new = NewTags { first: peer.tags, paths: texts(&self.paths[peer.tags..]) };
            peer.tags = self.paths.len();
            peer.send(|out| {
                if !new.paths.is_empty() {
                    Message::Tags(new).write(out);
                }
                out.extend_from_slice(&self.line);
            });
            self.flush(at);
        }
    }
}
