//! One connection: what it may say, and what is on its way to it.
//!
//! Promises that nothing waits for it, and that it keeps no more memory than the lines of one frame and of all tags: what it does not
//! take while it can be taken, it does not get.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::wire::{LONGEST_GREETING, Message, check_greeting};

/// For a greeting, and for reading why there is nothing more.
pub(super) const PROMPTLY: Duration = Duration::from_secs(1);

/// Bytes that are read and forgotten of a peer that is being left.
const FORGOTTEN: usize = 4 << 10;

const SPEAKS_ON: &str = "a viewer has nothing to say but its greeting";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has to say what it is.
    Greeting { until: Instant },
    /// It is shown frames. What is on its way to it has not moved since then.
    Watching { since: Instant },
    /// It was told why not. Closed at once, the line would be lost where the system forgets what was sent to a peer whose own bytes
    /// were not read.
    Leaving { until: Instant },
}

/// What became of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    /// The greeting.
    Greeting,
    /// What is no greeting in this schema, or more than a greeting: it is told, and left.
    Nonsense,
    /// It is to be forgotten.
    Gone,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    state: State,
    inbox: [u8; LONGEST_GREETING],
    filled: usize,
    /// What is on its way, of which so many bytes are sent.
    out: Vec<u8>,
    sent: usize,
    /// Tags that it was told of.
    pub(super) tags: usize,
    /// The number of the frame that it was sent.
    pub(super) frame: usize,
}

impl Peer {
    pub(super) fn new(stream: TcpStream, now: Instant) -> Self {
        Self {
            stream,
            state: State::Greeting { until: now + PROMPTLY },
            inbox: [0; LONGEST_GREETING],
            filled: 0,
            out: Vec::new(),
            sent: 0,
            tags: 0,
            frame: 0,
        }
    }

    pub(super) fn is_watching(&self) -> bool {
        matches!(self.state, State::Watching { .. })
    }

    /// Whether it can be sent a frame: it is shown them, and has taken what it was sent.
    pub(super) fn is_ready(&self) -> bool {
        self.is_watching() && self.out.is_empty()
    }

    /// When one goes that is no viewer.
    pub(super) fn goes_at(&self) -> Option<Instant> {
        match self.state {
            State::Greeting { until } | State::Leaving { until } => Some(until),
            State::Watching { .. } => None,
        }
    }

    /// When something is to happen if nothing does.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Instant> {
        match self.state {
            State::Watching { .. } if self.out.is_empty() => None,
            // Patience may be without end.
            State::Watching { since } => since.checked_add(patience),
            _ => self.goes_at(),
        }
    }

    /// Tells it why there is nothing more. It has a moment to read that.
    pub(super) fn leave(&mut self, why: String, now: Instant) {
        self.state = State::Leaving { until: now + PROMPTLY };
        self.filled = 0;
        self.send(|out| Message::Error(why).write(out));
    }

    /// Sets on its way what is written.
    pub(super) fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let moved = self.out.is_empty();
        write(&mut self.out);
        if moved {
            self.moved();
        }
    }

    /// By the clock, since a viewer is not to be dropped for what this thread took.
    fn moved(&mut self) {
        if let State::Watching { since } = &mut self.state {
            *since = Instant::now();
        }
    }

    /// Sends as much as is taken. `false` if it is to be forgotten.
    pub(super) fn flush(&mut self) -> bool {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return false,
                Ok(sent) => {
                    self.sent += sent;
                    self.moved();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        self.out.clear();
        self.sent = 0;
        match self.state {
            State::Leaving { .. } => self.stream.shutdown(Shutdown::Write).is_ok(),
            _ => true,
        }
    }

    /// Reads what it says, until there is something to be done about it. To be called until there is nothing.
    pub(super) fn hear(&mut self, now: Instant) -> Heard {
        loop {
            // Of one that is left, all goes to the same place.
            let from = if self.is_leaving() { 0 } else { self.filled };
            match self.stream.read(&mut self.inbox[from..]) {
                Ok(0) => return Heard::Gone,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Heard::Nothing,
                Err(_) => return Heard::Gone,
            }
            let why = match self.state {
                State::Leaving { .. } if self.filled > FORGOTTEN => return Heard::Gone,
                State::Leaving { .. } => continue,
                State::Watching { .. } => SPEAKS_ON.into(),
                State::Greeting { .. } => {
                    let said = &self.inbox[..self.filled];
                    let line = said.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
                    if !line.ends_with(b"\n") && self.filled < self.inbox.len() {
                        continue;
                    }
                    match check_greeting(line) {
                        Ok(()) if line.len() == self.filled => {
                            self.filled = 0;
                            self.state = State::Watching { since: now };
                            return Heard::Greeting;
                        }
                        Ok(()) => SPEAKS_ON.into(),
                        Err(why) => why,
                    }
                }
            };
            self.leave(why, now);
            return Heard::Nonsense;
        }
    }

    /// Whether it has still to say what it is.
    pub(super) fn is_greeting(&self) -> bool {
        matches!(self.state, State::Greeting { .. })
    }

    fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving { .. })
    }
}
