//! One game, four kinds of memory.
//!
//! A variant decides where a frame's lists live and how they reach the render thread; the game around it is the same.

use crate::crew::Input;
use crate::fold::Fold;
use crate::tally::Tally;

pub mod bump;
pub mod frame;
pub mod fresh;
pub mod reuse;

/// Frames that may exist at once: one is read by the render thread while the next is filled.
pub const FRAMES_IN_FLIGHT: usize = 2;

pub trait Variant: Sized {
    /// What a worker is given to build its part with.
    type Job: Send;
    /// What a worker has built.
    type Part: Send;
    /// A whole frame, as the render thread gets it.
    type Packet: Send;
    /// What is left of a frame when it has been read.
    type Spent: Send;

    fn new(threads: usize) -> Self;

    /// Opens a frame, before any job is handed out.
    fn begin(&mut self);

    fn job(&mut self, worker: usize) -> Self::Job;

    /// All stages of one worker. Runs on its thread.
    fn build(job: Self::Job, input: &Input<'_>, tally: &mut Tally) -> Self::Part;

    /// Takes over one worker's part, in the order of workers.
    fn take(&mut self, part: Self::Part);

    /// Makes the draw list and closes the frame.
    fn finish(&mut self, tally: &mut Tally) -> Self::Packet;

    /// Reads all of a frame. Runs on the render thread.
    fn read(packet: &Self::Packet, fold: &mut Fold);

    /// Gives a frame's memory back. Runs on the render thread.
    fn release(packet: Self::Packet) -> Self::Spent;

    /// Takes back what the render thread has left.
    fn recycle(&mut self, spent: Self::Spent);
}
