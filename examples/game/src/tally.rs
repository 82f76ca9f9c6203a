//! The game's own books: how many lists a frame has, how many bytes they hold, whatever memory they live in.
//!
//! Two variants that did the same work have equal books.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// The stages that use memory.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    Contacts,
    Rays,
    Particles,
    Visibility,
    Batches,
}

impl Stage {
    pub const NAMES: [&'static str; 5] = ["contacts", "rays", "particles", "visibility", "batches"];
}

/// Lists that are not empty, and the bytes of their elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lists {
    pub allocations: u64,
    pub bytes: u64,
}

/// The books of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub manifolds: u64,
    pub stages: [Lists; 5],
}

impl Tally {
    /// Enters a list of `len` elements; an empty one needs no memory.
    pub fn list<T>(&mut self, stage: Stage, len: usize) {
        let lists = &mut self.stages[stage as usize];
        lists.allocations += u64::from(len > 0);
        lists.bytes += (len * size_of::<T>()) as u64;
    }

    pub fn total(&self) -> Lists {
        self.stages.iter().fold(Lists::default(), |sum, lists| Lists {
            allocations: sum.allocations + lists.allocations,
            bytes: sum.bytes + lists.bytes,
        })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.manifolds += other.manifolds;
        for (lists, more) in self.stages.iter_mut().zip(other.stages) {
            lists.allocations += more.allocations;
            lists.bytes += more.bytes;
        }
    }
}

/// Fewer bodies than this are no scene: whether they touch is chance, and nothing is demanded of them.
const SCENE: u32 = 100;
/// The size of scene the full demands are made for.
const FULL_SCENE: u32 = 2_000;

/// What a game's frames must have for the figures to mean something.
#[derive(Clone, Copy, Debug)]
pub struct Demands {
    manifolds: u64,
    allocations: u64,
    bytes: u64,
    /// The burst's bytes as a multiple of an ordinary frame's.
    burst: (f64, f64),
}

impl Demands {
    /// Of an ordinary frame 2,000 manifolds, 10,000 allocations and 3 MB, of the burst 20 times the bytes.
    ///
    /// Smaller scenes need three quarters of their share and may burst less exactly: a small pile has more surface, its
    /// bodies touch less, and its lists average out less.
    pub fn new(bodies: u32) -> Self {
        let demand = |full: u64| match bodies {
            FULL_SCENE.. => full,
            SCENE.. => full * 3 * u64::from(bodies) / u64::from(4 * FULL_SCENE),
            _ => 0,
        };
        let burst = match bodies {
            FULL_SCENE.. => (18.0, 22.0),
            SCENE.. => (14.0, 26.0),
            _ => (0.0, f64::INFINITY),
        };
        Self { manifolds: demand(2_000), allocations: demand(10_000), bytes: demand(3_000_000), burst }
    }

    /// # Errors
    ///
    /// Names the figure that is too small.
    pub fn check_ordinary(&self, frame: u32, tally: &Tally) -> Result<(), String> {
        let total = tally.total();
        let figures = [
            ("manifolds", tally.manifolds, self.manifolds),
            ("allocations", total.allocations, self.allocations),
            ("bytes", total.bytes, self.bytes),
        ];
        figures.into_iter().find(|(_, have, need)| have < need).map_or(Ok(()), |(what, have, need)| {
            Err(format!("frame {frame} has {have} {what}, an ordinary frame needs {need}"))
        })
    }

    /// # Errors
    ///
    /// Tells how many times the bytes of an ordinary frame the burst has.
    pub fn check_burst(&self, ordinary_bytes: u64, burst_bytes: u64) -> Result<(), String> {
        let factor = burst_bytes as f64 / ordinary_bytes as f64;
        let (low, high) = self.burst;
        if factor < low || factor > high {
            return Err(format!(
                "the burst has {factor:.1} times the bytes of an ordinary frame, wanted {low} to {high}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Demands, Stage, Tally};

    #[test]
    fn an_empty_list_is_no_allocation() {
        let mut tally = Tally::default();
        tally.list::<u64>(Stage::Rays, 0);
        tally.list::<u64>(Stage::Batches, 3);
        assert_eq!((tally.total().allocations, tally.total().bytes), (1, 24));
    }

    #[test]
    fn a_poor_frame_is_refused_by_name() {
        let tally = Tally { manifolds: 1_999, ..Tally::default() };
        assert!(Demands::new(2_000).check_ordinary(7, &tally).unwrap_err().contains("frame 7 has 1999 manifolds"));
    }

    #[test]
    fn demands_shrink_with_the_scene_and_do_not_grow() {
        assert_eq!([10, 200, 2_000, 9_000].map(|bodies| Demands::new(bodies).manifolds), [0, 150, 2_000, 2_000]);
    }

    #[test]
    fn the_burst_is_about_twentyfold() {
        assert!(Demands::new(2_000).check_burst(100, 2_050).is_ok());
        assert!(Demands::new(2_000).check_burst(100, 1_500).is_err());
        assert!(Demands::new(300).check_burst(100, 1_500).is_ok());
    }
}
