//! What a Tracy client sends, from bytes to events. It knows version 82 of the protocol (tracy-client-sys 0.30.1), and
//! no socket.
//!
//! Of the events that no test looks at it knows the size alone, which is enough to find the next one. Whatever does not
//! fit, an unknown id, a frame that ends inside an event, a payload without its event, is an error. Times are left
//! alone: they are absolute in some events, differences in others, and no test asks.

use std::collections::VecDeque;
use std::io;

/// The most that a frame unpacks to.
const FRAME: usize = 256 << 10;
/// The most that a frame packs to, by LZ4's bound.
pub(crate) const PACKED_FRAME: usize = FRAME + FRAME / 255 + 16;
/// How far back LZ4 refers.
const WINDOW: usize = 64 << 10;

/// One event. Names are addresses in the client's memory, to be asked for; 0 is no name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A frame ended; the main frame has no name.
    FrameMark {
        name: u64,
    },
    PlotConfig {
        name: u64,
        format: u8,
        stepped: bool,
        filled: bool,
        color: u32,
    },
    /// A point of a plot. Only the `f64` kind, which is what the safe API sends.
    PlotData {
        name: u64,
        value: f64,
    },
    MemAlloc {
        pool: u64,
        address: u64,
        size: u64,
    },
    MemFree {
        pool: u64,
        address: u64,
    },
    MemDiscard {
        pool: u64,
    },
    ZoneBegin {
        srcloc: u64,
    },
    /// A zone whose source location came along, and lives no longer in the client.
    ZoneBeginAlloc(SourceLocation),
    ZoneEnd,
    /// The zones and plots that follow are of this thread. It says nothing of frame marks and memory events.
    ThreadContext {
        thread: u32,
    },
    /// Nothing follows by itself. The client still answers queries, and waits to be left.
    Terminate,
    /// Another event, by its id.
    Other(u8),
}

/// Where a zone is in the source. What the client left out is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceLocation {
    pub(crate) name: String,
    pub(crate) function: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}

/// What comes only because it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The text at an address, with the id of the event that brought it.
    Text { id: u8, address: u64, text: String },
    /// A source location by the addresses of its texts. It does not say which one it is: ask for one at a time.
    Location { name: u64, function: u64, file: u64, line: u32 },
}

/// The ids of the events that are looked into.
pub(crate) mod id {
    pub(crate) const ZONE_BEGIN_ALLOC: u8 = 7;
    pub(crate) const ZONE_BEGIN_ALLOC_CALLSTACK: u8 = 8;
    pub(crate) const ZONE_BEGIN: u8 = 19;
    pub(crate) const ZONE_BEGIN_CALLSTACK_16: u8 = 24;
    pub(crate) const ZONE_END: u8 = 25;
    pub(crate) const ZONE_END_16: u8 = 27;
    pub(crate) const MEM_ALLOC_NAMED: u8 = 36;
    pub(crate) const MEM_FREE_NAMED: u8 = 38;
    pub(crate) const MEM_ALLOC_CALLSTACK_NAMED: u8 = 40;
    pub(crate) const MEM_FREE_CALLSTACK_NAMED: u8 = 42;
    pub(crate) const MEM_DISCARD: u8 = 43;
    pub(crate) const MEM_DISCARD_CALLSTACK: u8 = 44;
    pub(crate) const GPU_ZONES_BEGIN_ALLOC: [u8; 4] = [47, 48, 52, 53];
    pub(crate) const PLOT_DATA_DOUBLE: u8 = 57;
    pub(crate) const TERMINATE: u8 = 73;
    pub(crate) const THREAD_CONTEXT: u8 = 75;
    pub(crate) const FRAME_MARK: u8 = 83;
    pub(crate) const SOURCE_LOCATION: u8 = 87;
    pub(crate) const PLOT_CONFIG: u8 = 106;
    pub(crate) const SINGLE_STRING: u8 = 112;
    pub(crate) const SECOND_STRING: u8 = 113;
    pub(crate) const SINGLE_STRING_8: u8 = 114;
    pub(crate) const SECOND_STRING_8: u8 = 115;
    pub(crate) const MEM_NAME: u8 = 116;
    pub(crate) const STRING: u8 = 119;
    pub(crate) const PLOT_NAME: u8 = 121;
    pub(crate) const SOURCE_LOCATION_PAYLOAD: u8 = 122;
    pub(crate) const FRAME_NAME: u8 = 125;
    pub(crate) const FRAME_IMAGE: u8 = 126;
    pub(crate) const SYMBOL_CODE: u8 = 129;
    pub(crate) const SOURCE_CODE: u8 = 130;
}

/// The size of an event by its id, the byte of the id included, what [`tail`] adds left out: `QueueDataSize` of
/// `TracyQueue.hpp`, ten ids a row. Zero where the id never travels.
const SIZES: [u8; 132] = [
    1, 1, 10, 13, 10, 13, 9, 9, 9, 1, //
    1, 1, 13, 9, 7, 13, 9, 7, 10, 17, //
    13, 11, 17, 13, 11, 9, 5, 3, 17, 17, //
    13, 17, 17, 17, 5, 27, 27, 21, 21, 27, //
    27, 21, 21, 21, 21, 24, 24, 16, 16, 16, //
    24, 24, 16, 16, 16, 25, 21, 25, 23, 16, //
    12, 2, 10, 10, 13, 0, 0, 0, 25, 13, //
    15, 13, 3, 1, 1, 5, 26, 18, 1, 17, //
    5, 4, 9, 17, 17, 17, 13, 32, 22, 13, //
    17, 17, 20, 17, 20, 28, 17, 13, 25, 17, //
    17, 17, 17, 17, 17, 17, 16, 18, 1, 5, //
    1, 17, 1, 1, 1, 1, 9, 9, 24, 9, //
    9, 9, 9, 9, 9, 9, 9, 9, 9, 9, //
    9, 9,
];

/// Unpacks the frames of one connection, of which each may refer to the last [`WINDOW`] bytes before it.
#[derive(Default)]
pub(crate) struct Unpacker {
    history: Vec<u8>,
}

impl Unpacker {
    pub(crate) fn unpack(&mut self, packed: &[u8]) -> io::Result<Vec<u8>> {
        let frame = lz4_flex::block::decompress_with_dict(packed, FRAME, &self.history)
            .map_err(|error| broken(format!("a frame that LZ4 does not unpack: {error}")))?;
        self.history.extend_from_slice(&frame);
        self.history.drain(..self.history.len().saturating_sub(WINDOW));
        Ok(frame)
    }
}

/// Cuts the frames of one connection into events, and keeps them until they are taken.
#[derive(Default)]
pub(crate) struct Parser {
    pub(crate) events: VecDeque<Event>,
    pub(crate) answers: VecDeque<Answer>,
    /// Pools and allocated source locations come before the event that they belong to, if need be in the frame before.
    pool: Option<u64>,
    location: Option<SourceLocation>,
}

impl Parser {
    pub(crate) fn parse(&mut self, frame: &[u8]) -> io::Result<()> {
        let mut bytes = Bytes(frame);
        while let Some(id) = bytes.next() {
            let body = bytes.take(body_len(id)?)?;
            let tail = tail(id, &mut bytes)?;
            self.step(id, body, tail)?;
        }
        Ok(())
    }

    fn step(&mut self, id: u8, body: &[u8], tail: &[u8]) -> io::Result<()> {
        // A client that is asked to let go sends this past its own buffer: even between a payload and its event.
        if id == id::TERMINATE {
            self.events.push_back(Event::Terminate);
            return Ok(());
        }
        match (payload_of(id), self.pool.take(), self.location.take()) {
            (Payload::Pool, Some(pool), None) => self.events.push_back(memory_event(id, pool, body)),
            (Payload::Location, None, Some(location)) => self.events.push_back(located_event(id, location)),
            (Payload::None, None, None) => self.alone(id, body, tail)?,
            _ => return Err(broken(format!("before event {id}, a payload that is missing or not its own"))),
        }
        Ok(())
    }

    /// Whatever needs no payload before it.
    fn alone(&mut self, id: u8, body: &[u8], tail: &[u8]) -> io::Result<()> {
        match id {
            id::MEM_NAME => self.pool = Some(u64_at(body, 0)),
            id::SOURCE_LOCATION_PAYLOAD => self.location = Some(allocated_location(tail)?),
            id::STRING | id::PLOT_NAME | id::FRAME_NAME => {
                self.answers.push_back(Answer::Text { id, address: u64_at(body, 0), text: text(tail) });
            }
            id::SOURCE_LOCATION => self.answers.push_back(Answer::Location {
                name: u64_at(body, 0),
                function: u64_at(body, 8),
                file: u64_at(body, 16),
                line: u32_at(body, 24),
            }),
            _ => self.events.push_back(plain_event(id, body)),
        }
        Ok(())
    }
}

/// What comes right before an event.
enum Payload {
    None,
    Pool,
    Location,
}

fn payload_of(id: u8) -> Payload {
    match id {
        id::MEM_ALLOC_NAMED | id::MEM_FREE_NAMED | id::MEM_ALLOC_CALLSTACK_NAMED | id::MEM_FREE_CALLSTACK_NAMED => {
            Payload::Pool
        }
        id::ZONE_BEGIN_ALLOC | id::ZONE_BEGIN_ALLOC_CALLSTACK => Payload::Location,
        id if id::GPU_ZONES_BEGIN_ALLOC.contains(&id) => Payload::Location,
        _ => Payload::None,
    }
}

fn memory_event(id: u8, pool: u64, body: &[u8]) -> Event {
    let address = u64_at(body, 12);
    match id {
        id::MEM_ALLOC_NAMED | id::MEM_ALLOC_CALLSTACK_NAMED => {
            Event::MemAlloc { pool, address, size: u48_at(body, 20) }
        }
        _ => Event::MemFree { pool, address },
    }
}

fn located_event(id: u8, location: SourceLocation) -> Event {
    match id {
        id::ZONE_BEGIN_ALLOC | id::ZONE_BEGIN_ALLOC_CALLSTACK => Event::ZoneBeginAlloc(location),
        _ => Event::Other(id),
    }
}

fn plain_event(id: u8, body: &[u8]) -> Event {
    match id {
        id::FRAME_MARK => Event::FrameMark { name: u64_at(body, 8) },
        id::PLOT_CONFIG => Event::PlotConfig {
            name: u64_at(body, 0),
            format: body[8],
            stepped: body[9] != 0,
            filled: body[10] != 0,
            color: u32_at(body, 11),
        },
        id::PLOT_DATA_DOUBLE => Event::PlotData { name: u64_at(body, 0), value: f64::from_bits(u64_at(body, 16)) },
        id::MEM_DISCARD | id::MEM_DISCARD_CALLSTACK => Event::MemDiscard { pool: u64_at(body, 12) },
        // Six kinds: with a callstack or without, a time of eight, four or two bytes. The address is always last.
        id::ZONE_BEGIN..=id::ZONE_BEGIN_CALLSTACK_16 => Event::ZoneBegin { srcloc: u64_at(body, body.len() - 8) },
        id::ZONE_END..=id::ZONE_END_16 => Event::ZoneEnd,
        id::THREAD_CONTEXT => Event::ThreadContext { thread: u32_at(body, 0) },
        _ => Event::Other(id),
    }
}

fn body_len(id: u8) -> io::Result<usize> {
    let size = SIZES.get(usize::from(id)).copied().unwrap_or_default();
    size.checked_sub(1).map(usize::from).ok_or_else(|| broken(format!("an event of the unknown id {id}")))
}

/// What an event carries beyond its fixed size: a length, and so many bytes.
fn tail<'a>(id: u8, bytes: &mut Bytes<'a>) -> io::Result<&'a [u8]> {
    let len = match id {
        // What is shorter comes under the other two ids, so this length counts from 256.
        id::SINGLE_STRING | id::SECOND_STRING => 256 + bytes.u16()? as usize,
        id::SINGLE_STRING_8 | id::SECOND_STRING_8 => bytes.take(1)?[0] as usize,
        id::FRAME_IMAGE | id::SYMBOL_CODE | id::SOURCE_CODE => u32_at(bytes.take(4)?, 0) as usize,
        id::STRING.. => bytes.u16()? as usize,
        _ => 0,
    };
    bytes.take(len)
}

/// A colour and a line of four bytes each, then function, file and name, with a NUL between.
fn allocated_location(payload: &[u8]) -> io::Result<SourceLocation> {
    let mut bytes = Bytes(payload);
    let numbers = bytes.take(8)?;
    let mut texts = bytes.0.splitn(3, |byte| *byte == 0).map(text);
    let mut next = || texts.next().ok_or_else(|| broken("a source location without all of its texts".into()));
    let (function, file, name) = (next()?, next()?, next()?);
    Ok(SourceLocation { name, function, file, line: u32_at(numbers, 4) })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The unread rest of a frame.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, len: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(len).ok_or_else(|| broken("a frame that ends inside an event".into()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> io::Result<u16> {
        Ok(u16::from_le_bytes(array_at(self.take(2)?, 0)))
    }
}

fn u32_at(body: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(body, at))
}

/// Six bytes: so much of a size is sent.
fn u48_at(body: &[u8], at: usize) -> u64 {
    let [a, b, c, d, e, f] = array_at(body, at);
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

pub(crate) fn u64_at(body: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(body, at))
}

/// # Panics
///
/// If the body is too short, which [`SIZES`] would be wrong about.
fn array_at<const N: usize>(body: &[u8], at: usize) -> [u8; N] {
    *body[at..].first_chunk().expect("a body as long as its size says")
}

pub(crate) fn broken(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
