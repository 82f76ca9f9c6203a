//! The other end of a Tracy client on this machine: the handshake, the stream, the queries, the leave.
//!
//! Every wait ends at one deadline, whatever the client does. One query is under way at a time. To vanish instead of
//! leaving, drop it.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::decoder::{Answer, Event, PACKED_FRAME, Parser, SourceLocation, Unpacker, broken, id, u64_at};

/// The protocol of tracy-client-sys 0.30.1. Another one refuses it.
pub(crate) const PROTOCOL: u32 = 82;

const WELCOME: usize = 1170;
const WELCOME_PID: usize = 48;
const WELCOME_FLAGS: usize = 64;
const ON_DEMAND: u8 = 1;
/// What follows the welcome of a client on demand: frames so far, time.
const ON_DEMAND_PAYLOAD: usize = 16;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The client speaks another version of the protocol.
    Protocol,
    /// Nobody answered, not by the deadline, or what no client of this protocol answers.
    Io(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Protocol => write!(f, "the Tracy client speaks another version of the protocol"),
            Refused::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Refused::Io(error)
    }
}

/// The queries in use, by their number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
enum Query {
    Terminate = 0,
    String = 1,
    SourceLocation = 3,
    PlotName = 4,
    FrameName = 5,
    Disconnect = 9,
}

/// A connection to a client.
pub(crate) struct Viewer {
    /// Whether the client collects only while somebody is connected.
    pub(crate) on_demand: bool,
    /// The process that answered: a port is not proof of whom one talks to.
    pub(crate) pid: u64,
    wire: Wire,
    unpacker: Unpacker,
    parser: Parser,
    /// A client that is idle takes some 10 ms to answer, and tests ask for the same few names.
    texts: HashMap<(Query, u64), String>,
    terminated: bool,
}

impl Viewer {
    /// Waits until a client listens on the port and takes this connection: it serves one at a time. The deadline holds
    /// for all that follows, too.
    ///
    /// What the client emits after this returns is received, but for what it drops in [`disconnect`](Self::disconnect).
    pub(crate) fn connect(port: u16, protocol: u32, deadline: Instant) -> Result<Viewer, Refused> {
        let mut wire = Wire { socket: dial(port, deadline)?, deadline };
        let mut hello = *b"TracyPrf\0\0\0\0";
        hello[8..].copy_from_slice(&protocol.to_le_bytes());
        wire.send(&hello)?;
        match wire.receive::<1>()? {
            [1] => {}
            [2] => return Err(Refused::Protocol),
            [other] => return Err(broken(format!("a handshake that ends with status {other}")).into()),
        }
        let welcome = wire.receive::<WELCOME>()?;
        let on_demand = welcome[WELCOME_FLAGS] & ON_DEMAND != 0;
        if on_demand {
            wire.receive::<ON_DEMAND_PAYLOAD>()?;
        }
        Ok(Viewer {
            on_demand,
            pid: u64_at(&welcome, WELCOME_PID),
            wire,
            unpacker: Unpacker::default(),
            parser: Parser::default(),
            texts: HashMap::new(),
            terminated: false,
        })
    }

    /// Waits for the next event.
    ///
    /// The client keeps two queues and empties them in turn: zones and plots in one, frame marks and memory in the
    /// other. Order holds within the first by thread, within the second for all, and never between them: a frame mark
    /// may come before the plots that were sent ahead of it.
    pub(crate) fn next_event(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.parser.events.pop_front() {
                self.terminated |= event == Event::Terminate;
                return Ok(event);
            }
            self.read_frame()?;
        }
    }

    /// The name of a frame.
    pub(crate) fn frame_name(&mut self, name: u64) -> io::Result<String> {
        self.text_at(Query::FrameName, id::FRAME_NAME, name)
    }

    /// The name of a plot.
    pub(crate) fn plot_name(&mut self, name: u64) -> io::Result<String> {
        self.text_at(Query::PlotName, id::PLOT_NAME, name)
    }

    /// The name of a memory pool.
    pub(crate) fn pool_name(&mut self, pool: u64) -> io::Result<String> {
        self.string(pool)
    }

    /// The source location of a zone.
    pub(crate) fn source_location(&mut self, srcloc: u64) -> io::Result<SourceLocation> {
        match self.ask(Query::SourceLocation, srcloc)? {
            Answer::Location { name, function, file, line } => Ok(SourceLocation {
                name: self.string(name)?,
                function: self.string(function)?,
                file: self.string(file)?,
                line,
            }),
            other @ Answer::Text { .. } => Err(broken(format!("asked for a source location: {other:?}"))),
        }
    }

    /// Leaves as the protocol wants it, and waits until the client has seen it: from then on it is not connected.
    ///
    /// The client throws away what it has not sent yet. After [`Event::Terminate`] there is nothing of that kind.
    pub(crate) fn disconnect(mut self) -> io::Result<()> {
        if !self.terminated {
            self.send(Query::Disconnect, 0)?;
            while self.next_event()? != Event::Terminate {}
        }
        self.send(Query::Terminate, 0)?;
        io::copy(&mut self.wire, &mut io::sink()).map(drop)
    }

    fn string(&mut self, address: u64) -> io::Result<String> {
        self.text_at(Query::String, id::STRING, address)
    }

    fn text_at(&mut self, query: Query, answer: u8, asked: u64) -> io::Result<String> {
        // The client reads at whatever address it is given, and would die of this one.
        if asked == 0 {
            return Ok(String::new());
        }
        if let Some(text) = self.texts.get(&(query, asked)) {
            return Ok(text.clone());
        }
        match self.ask(query, asked)? {
            Answer::Text { id, address, text } if (id, address) == (answer, asked) => {
                self.texts.insert((query, asked), text.clone());
                Ok(text)
            }
            other => Err(broken(format!("asked for the text at {asked:#x}: {other:?}"))),
        }
    }

    fn ask(&mut self, query: Query, address: u64) -> io::Result<Answer> {
        self.send(query, address)?;
        loop {
            if let Some(answer) = self.parser.answers.pop_front() {
                return Ok(answer);
            }
            self.read_frame()?;
        }
    }

    /// A number, an address, and four bytes that only queries for code use.
    fn send(&mut self, query: Query, address: u64) -> io::Result<()> {
        let mut packet = [0; 13];
        packet[0] = query as u8;
        packet[1..9].copy_from_slice(&address.to_le_bytes());
        self.wire.send(&packet)
    }

    fn read_frame(&mut self) -> io::Result<()> {
        let len = u32::from_le_bytes(self.wire.receive()?) as usize;
        if len > PACKED_FRAME {
            return Err(broken(format!("a frame of {len} bytes")));
        }
        let mut packed = vec![0; len];
        self.wire.fill(&mut packed)?;
        self.parser.parse(&self.unpacker.unpack(&packed)?)
    }
}

/// A port on which nobody listens, other than those this process was given before.
///
/// It is below the range that outgoing connections get theirs from, so that none takes it before the client does.
pub(crate) fn free_port() -> io::Result<u16> {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 10_000;
    // Processes side by side start apart from each other.
    let start = std::process::id().wrapping_mul(37);
    loop {
        let step = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + start.wrapping_add(step.into()) % COUNT) as u16;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) if u32::from(step) > COUNT => return Err(error),
            Err(_) => {}
        }
    }
}

/// A client takes a quarter of a second from its start until it listens.
fn dial(port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    loop {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            // While nobody listens, a port can be given to the socket that dials it, which then talks to itself.
            Ok(socket) if socket.local_addr()? != address => return Ok(socket),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// A socket of which no operation outlasts the deadline.
struct Wire {
    socket: TcpStream,
    deadline: Instant,
}

impl Wire {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.set_write_timeout(Some(left(self.deadline)?))?;
        self.socket.write_all(bytes).map_err(named)
    }

    fn receive<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the Tracy client closed the connection"),
            _ => error,
        })
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(left(self.deadline)?))?;
        self.socket.read(bytes).map_err(named)
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(late()),
        left => Ok(left),
    }
}

/// A socket's timeout is `WouldBlock` on Unix, `TimedOut` on Windows.
fn named(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
        _ => error,
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nothing more from the Tracy client by the deadline")
}
