//! How the variants share a machine that others use too: they take turns of a few frames each.
//!
//! Every variant runs in a process of its own, but a machine is faster in one second than in the next. Playing the same
//! frames one after another, ten at a time, lets drift hit all variants alike. A byte on the child's stdin starts its
//! turn, a byte on its stdout ends it, and a game that is over ends with its outcome instead.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::marker::PhantomData;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;

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

/// The parent's side: a variant that is being played, which ends with an `O`.
pub struct Player<V, O> {
    /// What it plays.
    pub variant: V,
    child: Child,
    go: ChildStdin,
    said: ChildStdout,
    outcome: PhantomData<fn() -> O>,
}

impl<V, O: DeserializeOwned> Player<V, O> {
    /// Starts this very program with these arguments.
    ///
    /// # Errors
    ///
    /// When the process cannot be started.
    pub fn start<A: AsRef<OsStr>>(variant: V, arguments: impl IntoIterator<Item = A>) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start a process: {error}"))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (go, said) = pipes.expect("both pipes were asked for");
        Ok(Self { variant, child, go, said, outcome: PhantomData })
    }

    /// Lets it play one turn; its outcome, when that was the last.
    ///
    /// # Errors
    ///
    /// When the game failed; it has said why on stderr.
    pub fn turn(&mut self) -> Result<Option<O>, String> {
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

impl<V, O> Drop for Player<V, O> {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
