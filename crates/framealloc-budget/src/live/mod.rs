//! Frames as they end, for viewers in other processes: `framealloc-top` shows them in a terminal.
//!
//! [`Budget::serve_live`](crate::Budget::serve_live) starts a thread that listens on a loopback address. While nobody watches, the end of a
//! frame reads one atomic more. While somebody does, it copies the frame's figures into a slot and wakes that thread, which writes them
//! as text and sends them: no frame waits for a viewer, or for the network.
//!
//! # What is sent
//!
//! Lines of text. The viewer begins, with its [`greeting`], within a second:
//!
//! ```text
//! framealloc-live 1
//! ```
//!
//! and has nothing more to say. The program's lines are JSON, each a [`Message`]:
//!
//! ```text
//! {"hello":{"schema":1,"title":"a game","tags":["","physics"]}}
//! {"tags":{"first":2,"paths":["physics/contacts"]}}
//! {"frame":{"history":3600,"record":{"frame":17,"bytes":4000,..},"accounts":{"committed":{"hard":67108864,..},..},"tags":[{},..]}}
//! {"error":"8 viewers are attached, and no more can be"}
//! ```
//!
//! First a [`Hello`]; then a [`Snapshot`] of each frame, with [`NewTags`] before the first one that has figures of them. An error is the
//! last line. In whatever schema, the greeting is that word and a number, `hello` has the number as `schema`, and `error` is a text.
//!
//! # Who may watch
//!
//! Addresses are of this machine only; others are refused. On it anybody may connect, also another user: what they can see are
//! numbers of bytes, and the names of tags. Nothing that is said changes anything in the program. What a browser sends, for a
//! page of somebody else's, is no greeting, and is answered with an error.
//!
//! - At most [`MOST_VIEWERS`] watch; the next one is told so.
//! - Who takes no frame while the next ones end gets the newest, once it can. Who takes nothing at all for
//!   [a while](LiveConfig::with_patience) is dropped.
//! - Of what a peer says, 64 bytes are kept. Of what it does not take, one frame and the paths of tags are.
//! - At most 250 frames a second are sent: of a program that has more, some.

mod peer;
mod server;
mod tap;
mod wire;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Poll, Waker};

use crate::Budget;
use server::Server;
pub(crate) use tap::Tap;
pub use wire::{Accounts, Hello, Message, NewTags, SCHEMA, Snapshot, Standing, greeting};

/// Where viewers look unless they are told otherwise: 127.0.0.1:4627.
pub const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4627);

/// Viewers that can watch at a time.
pub const MOST_VIEWERS: usize = 8;

/// How long a viewer may take nothing of what it is sent, unless set.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a program shows its frames, and as what. An address is one, too.
///
/// ```
/// use framealloc_budget::LiveConfig;
/// let config = LiveConfig::new(framealloc_budget::live::ADDRESS).with_title("a game");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveConfig {
    address: SocketAddr,
    title: String,
    patience: Duration,
}

impl LiveConfig {
    /// At this address, under the name of the program's file.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let program = std::env::current_exe().ok();
        let name = program.as_deref().and_then(std::path::Path::file_stem);
        let title = name.map_or_else(|| "a program".into(), |name| name.to_string_lossy().into_owned());
        Self { address, title, patience: PATIENCE }
    }

    /// With a title, which viewers show.
    #[must_use]
    pub fn with_title(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// Drops a viewer that takes nothing of what it is sent for so long; five seconds unless set. One that is stopped in a debugger needs
    /// more.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

impl From<SocketAddr> for LiveConfig {
    fn from(address: SocketAddr) -> Self {
        Self::new(address)
    }
}

/// Why frames cannot be shown.
#[derive(Debug)]
#[non_exhaustive]
pub enum LiveError {
    /// The address is not one of this machine alone.
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The budget's frames are shown already.
    Served {
        /// Where.
        address: SocketAddr,
    },
    /// The system refused something: mostly the address, since another program has it.
    System {
        /// The address.
        address: SocketAddr,
        /// What it said.
        error: io::Error,
    },
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoopback { address } => write!(
                f,
                "frames are shown on this machine only, but {address} is not an address of its own, such as 127.0.0.1 and ::1"
            ),
            Self::Served { address } => write!(f, "the budget's frames are shown at {address} already"),
            Self::System { address, error } => write!(f, "frames cannot be shown at {address}: {error}"),
        }
    }
}

impl std::error::Error for LiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// What became of frames and viewers since a view began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveStats {
    /// Viewers that watch now.
    pub viewers: usize,
    /// Frames that were copied for them.
    pub copied: usize,
    /// Frames that nobody could be sent: not copied since the slot was in use, or the history was read, just then; or replaced by a newer
    /// one before they were taken.
    pub skipped: usize,
    /// Frames that a viewer was not sent, since it had not taken the one before. Of each viewer.
    pub missed: usize,
    /// Viewers that were dropped, since they took nothing.
    pub dropped: usize,
    /// Peers that were turned away: no greeting, a wrong one, one viewer too many, or one that spoke on.
    pub refused: usize,
}

/// Frames are shown while there is one: made by [`Budget::serve_live`]. Dropped, it closes all connections, and waits for its thread,
/// which waits for nobody.
#[must_use = "frames are shown while there is one"]
pub struct LiveView {
    address: SocketAddr,
    tap: Arc<Tap>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl LiveView {
    /// Where frames are shown: with the port that the system chose if there was none.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Viewers that watch now.
    #[must_use]
    pub fn viewers(&self) -> usize {
        self.stats().viewers
    }

    /// What became of frames and viewers.
    #[must_use]
    pub fn stats(&self) -> LiveStats {
        self.tap.stats()
    }
}

impl fmt::Debug for LiveView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, stats) = (self.address, self.stats());
        f.debug_struct("LiveView").field("address", &address).field("stats", &stats).finish_non_exhaustive()
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        self.tap.end();
        // Where it cannot be woken, the thread ends with the next thing that happens to it: not here, lest that be never.
        if self.waker.wake().is_ok() {
            let _ = self.thread.take().map(JoinHandle::join);
            self.tap.close();
        }
    }
}

impl Budget {
    /// Shows the allocator's frames, as they end, to viewers on this machine: `framealloc-top` in a terminal, or whatever reads
    /// [what is sent](crate::live). An address or a [`LiveConfig`]; port 0 is one that is free.
    ///
    /// It starts a thread, which sleeps while nothing happens. The end of a frame pays one load of an atomic while nobody watches, and one
    /// copy of the frame's figures while somebody does.
    ///
    /// ```
    /// use framealloc_budget::{Budget, LiveConfig};
    /// use framealloc_core::{AllocConfig, SmartAlloc};
    ///
    /// let budget = Budget::new();
    /// let free = ([127, 0, 0, 1], 0).into();                      // or `live::ADDRESS`, where viewers look
    /// let view = budget.serve_live(LiveConfig::new(free).with_title("a game"))?;
    /// println!("watch it: framealloc-top {}", view.address());
    /// let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
    /// for frame in 0..100u32 {
    ///     alloc.frame().alloc(frame);
    ///     alloc.end_frame();
    /// }
    /// assert_eq!(view.viewers(), 0);
    /// # Ok::<(), framealloc_budget::LiveError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the address is not of this machine alone, the budget's frames are shown already, or the system refuses: mostly since another
    /// program has the address. The text names it.
    pub fn serve_live(&self, config: impl Into<LiveConfig>) -> Result<LiveView, LiveError> {
        let config = config.into();
        let asked = config.address;
        if !asked.ip().is_loopback() {
            return Err(LiveError::NotLoopback { address: asked });
        }
        let tap = self.inner.live.clone();
        let served = |address| LiveError::Served { address };
        // Asked first, since otherwise the address would be what is wrong.
        tap.served().map_or(Ok(()), |address| Err(served(address)))?;
        let refused = |error| LiveError::System { address: asked, error };
        let listener = TcpListener::bind(asked).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let poll = Poll::new().map_err(refused)?;
        let waker = Arc::new(Waker::new(poll.registry(), server::WAKER).map_err(refused)?);
        let server = Server::new(tap.clone(), poll, listener, config).map_err(refused)?;
        tap.open(address, waker.clone()).map_err(served)?;
        match thread::Builder::new().name("framealloc-live".into()).spawn(|| server.run()) {
            Ok(thread) => Ok(LiveView { address, tap, waker, thread: Some(thread) }),
            Err(error) => {
                tap.close();
                Err(refused(error))
            }
        }
    }
}
