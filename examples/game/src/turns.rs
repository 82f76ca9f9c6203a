//! How the variants share a machine that others use too: they take turns of a few frames each.
//!
//! Every variant runs in a process of its own, but a machine is faster in one second than in the next. Playing the same
//! frames one after another, ten at a time, lets drift hit all variants alike. A byte on the child's stdin starts its
//! turn, a byte on its stdout ends it, and a game that is over ends with its outcome instead.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::cli::{Books, Memory};
use crate::game::{Outcome, Settings};

/// Frames of a turn.
pub const TURN: u32 = 10;
const GO: u8 = b'g';
const PAUSE: u8 = b'.';

/// The child's side: waits for its turn before every [`TURN`] frames.
///
/// # Errors
///
/// When the parent is gone.
pub fn wait_for_turn(frame: u32) -> Result<(), String> {
    if !frame.is_multiple_of(TURN) {
        return Ok(());
    }
    let talk = || {
        if frame > 0 {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&[PAUSE])?;
            stdout.flush()?;
        }
        std::io::stdin().lock().read_exact(&mut [0])
    };
    talk().map_err(|error| format!("the parent is gone: {error}"))
}

/// The parent's side: a variant that is being played.
pub struct Player {
    pub variant: Memory,
    child: Child,
    go: ChildStdin,
    said: ChildStdout,
}

impl Player {
    /// # Errors
    ///
    /// When the process cannot be started.
    pub fn start(variant: Memory, settings: &Settings, books: &Books) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let mut command = Command::new(program);
        command.args(["--child", "--variant", variant.name()]);
        for (flag, value) in [
            ("--frames", u64::from(settings.frames)),
            ("--bodies", u64::from(settings.bodies)),
            ("--threads", settings.threads as u64),
            ("--seed", settings.seed),
        ] {
            command.arg(flag).arg(value.to_string());
        }
        if variant == Memory::Framealloc {
            for (flag, path) in [("--budget", &books.budget), ("--html", &books.html)] {
                if let Some(path) = path {
                    command.arg(flag).arg(path);
                }
            }
            if let Some(address) = books.live {
                command.arg("--live").arg(address.to_string());
            }
            #[cfg(feature = "sample")]
            if let Some(interval) = books.sample {
                command.arg("--sample").arg(interval.to_string());
            }
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start a process: {error}"))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (go, said) = pipes.expect("both pipes were asked for");
        Ok(Self { variant, child, go, said })
    }

    /// Lets it play one turn; its outcome, when that was the last.
    ///
    /// # Errors
    ///
    /// When the game failed; it has said why on stderr.
    pub fn turn(&mut self) -> Result<Option<Outcome>, String> {
        let mut answer = vec![0];
        let talked = self.go.write_all(&[GO]).and_then(|()| self.said.read_exact(&mut answer));
        if talked.is_ok() && answer == [PAUSE] {
            return Ok(None);
        }
        let rest = talked.and_then(|()| self.said.read_to_end(&mut answer));
        let status = self.child.wait().map_err(|error| format!("lost the process: {error}"))?;
        if !status.success() || rest.is_err() {
            return Err(format!("the game failed ({status})"));
        }
        serde_json::from_slice(&answer).map(Some).map_err(|error| format!("unreadable outcome: {error}"))
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
