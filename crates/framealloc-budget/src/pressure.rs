//! Pressure: an account that passes its limits, told once when it begins and once when it is over.
//!
//! Levels rise at the end of the frame in which a limit is passed, and fall when use has been clearly below it for a while:
//! hysteresis as in a Schmitt trigger, in bytes and in frames.

use std::fmt;

use crate::limit::{Account, BudgetError};

/// How close an account is to its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "live", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Level {
    /// Below the soft limit.
    #[default]
    Normal,
    /// Above the soft limit.
    Soft,
    /// At the hard limit: all of it was used, or something was refused, or granted beyond it.
    Hard,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "normal",
            Self::Soft => "above the soft limit",
            Self::Hard => "at the hard limit",
        })
    }
}

/// A change of an account's level, or a reminder that it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pressure {
    /// The level now.
    pub level: Level,
    /// The level before; the same in a reminder.
    pub before: Level,
    /// What is under pressure.
    pub account: Account,
    /// Bytes it used in the frame: the most at a time.
    pub used: usize,
    /// The limit that the level is about: for `Normal` the one that is no longer passed.
    pub limit: usize,
    /// The frame that ended.
    pub frame: u64,
}

impl Pressure {
    /// The path of the tag, if it is one that is under pressure.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        match &self.account {
            Account::Tag(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, account, used, limit, frame, .. } = self;
        write!(f, "frame {frame}: {account} is {level}: {used} bytes of {limit}")
    }
}

/// When pressure is over, and when it is told again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PressurePolicy {
    /// A level is left when use is below this part of its limit: above 0, at most 1. 0.9 by default.
    pub exit_ratio: f64,
    /// For so many frames in succession: from 1. 30 by default.
    pub hysteresis: u32,
    /// Frames after which pressure that lasts is told again; 0 for never, as by default.
    pub renotify: u32,
}

impl Default for PressurePolicy {
    fn default() -> Self {
        Self { exit_ratio: 0.9, hysteresis: 30, renotify: 0 }
    }
}

impl PressurePolicy {
    pub(crate) fn check(&self) -> Result<(), BudgetError> {
        let refuse = |setting, value, bound| Err(BudgetError::Pressure { setting, value, bound });
        if !(self.exit_ratio > 0.0 && self.exit_ratio <= 1.0) {
            return refuse("the exit ratio", self.exit_ratio, "above 0 and at most 1");
        }
        if self.hysteresis == 0 {
            return refuse("the hysteresis", 0.0, "at least 1 frame");
        }
        Ok(())
    }
}

/// What one account used in a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) used: usize,
    pub(crate) soft: usize,
    pub(crate) hard: usize,
    /// Whether something was refused at the hard limit, or granted beyond it.
    pub(crate) met: bool,
}

/// The level of one account.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    level: Level,
    /// Frames in succession in which use was low enough for a lower level.
    calm: u32,
    /// Frames since it was told.
    silent: u32,
}

impl Watch {
    /// At the end of a frame: the level before and the limit it is about, if there is something to tell.
    pub(crate) fn step(&mut self, policy: &PressurePolicy, reading: &Reading) -> Option<(Level, usize)> {
        let Reading { used, soft, hard, met } = *reading;
        let limit = |level| if level == Level::Hard { hard } else { soft };
        let reached = if met || used > 0 && used >= hard && hard != usize::MAX {
            Level::Hard
        } else if used > soft {
            Level::Soft
        } else {
            Level::Normal
        };
        let before = self.level;
        self.silent = self.silent.saturating_add(1);
        let remind = policy.renotify != 0 && self.silent >= policy.renotify && before != Level::Normal;
        if reached >= before {
            self.calm = 0;
            self.level = reached;
            if reached == before && !remind {
                return None;
            }
            self.silent = 0;
            return Some((before, limit(reached)));
        }
        let left = limit(before);
        let low = used == 0 || (used as f64) < policy.exit_ratio * left as f64;
        self.calm = if low { self.calm + 1 } else { 0 };
        // A limit that is not there any more is left at once.
        if self.calm < policy.hysteresis && left != usize::MAX {
            if remind {
                self.silent = 0;
                return Some((before, left));
            }
            return None;
        }
        // It leaves the hard limit for the soft one if that is not left, too.
        self.level = if before == Level::Hard && (used as f64) >= policy.exit_ratio * soft as f64 {
            Level::Soft
        } else {
            Level::Normal
        };
        (self.calm, self.silent) = (0, 0);
        Some((before, if self.level == Level::Normal { left } else { soft }))
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn told(policy: PressurePolicy, uses: impl IntoIterator<Item = (usize, bool)>) -> Vec<(usize, Level, Level)> {
        let mut watch = Watch::default();
        let mut told = Vec::new();
        for (frame, (used, met)) in uses.into_iter().enumerate() {
            let reading = Reading { used, soft: 100, hard: 200, met };
            if let Some((before, _)) = watch.step(&policy, &reading) {
                told.push((frame, before, watch.level()));
            }
        }
        told
    }

    const QUICK: PressurePolicy = PressurePolicy { exit_ratio: 0.9, hysteresis: 3, renotify: 0 };

    #[test]
    fn pressure_is_told_at_its_edges_only() {
        use Level::{Hard, Normal, Soft};
        let uses = [50, 100, 101, 150, 199, 200, 150, 90, 80, 80, 80, 80].map(|used| (used, false));
        assert_eq!(told(QUICK, uses), [(2, Normal, Soft), (5, Soft, Hard), (8, Hard, Normal)]);
    }

    #[test]
    fn use_around_a_limit_does_not_flicker() {
        let around = (0..1000).map(|frame| (if frame % 2 == 0 { 101 } else { 95 }, false));
        assert_eq!(told(QUICK, around).len(), 1);
        // Low for fewer frames than it takes.
        let dips = (0..1000).map(|frame| (if frame % 3 == 0 { 101 } else { 10 }, false));
        assert_eq!(told(QUICK, dips).len(), 1);
    }

    #[test]
    fn a_refusal_is_pressure_at_the_hard_limit_whatever_was_used() {
        use Level::{Hard, Normal, Soft};
        let uses = [(150, true), (150, false), (150, false), (150, false), (150, false)];
        assert_eq!(told(QUICK, uses), [(0, Normal, Hard), (3, Hard, Soft)]);
    }

    #[test]
    fn pressure_that_lasts_is_told_again() {
        let policy = PressurePolicy { renotify: 10, ..QUICK };
        let frames: Vec<_> = told(policy, [(150, false); 35]).into_iter().map(|(frame, ..)| frame).collect();
        assert_eq!(frames, [0, 10, 20, 30]);
    }

    #[test]
    fn pressure_that_hangs_between_its_ends_is_told_again_too() {
        let policy = PressurePolicy { renotify: 10, ..QUICK };
        let uses = std::iter::once((150, false)).chain([(95, false); 25]);
        let frames: Vec<_> = told(policy, uses).into_iter().map(|(frame, ..)| frame).collect();
        assert_eq!(frames, [0, 10, 20]);
    }

    #[test]
    fn a_limit_of_nothing_is_met_by_something_only_and_one_that_is_gone_is_left_at_once() {
        let mut watch = Watch::default();
        let reading = |used, hard, met| Reading { used, soft: usize::MAX, hard, met };
        assert_eq!(watch.step(&QUICK, &reading(0, 0, false)), None);
        assert_eq!(watch.step(&QUICK, &reading(0, 0, true)), Some((Level::Normal, 0)));
        assert_eq!([0; 2].map(|used| watch.step(&QUICK, &reading(used, 0, false))), [None, None]);
        assert!(watch.step(&QUICK, &reading(0, 0, false)).is_some_and(|(before, _)| before == Level::Hard));
        assert!(watch.step(&QUICK, &reading(8, 8, false)).is_some());
        assert!(watch.step(&QUICK, &reading(8, usize::MAX, false)).is_some());
        assert_eq!(watch.level(), Level::Normal);
    }

    #[test]
    fn settings_out_of_their_bounds_are_refused() {
        for exit_ratio in [0.0, -1.0, 1.5, f64::NAN, f64::INFINITY] {
            assert!(PressurePolicy { exit_ratio, ..QUICK }.check().is_err());
        }
        assert!(PressurePolicy { hysteresis: 0, ..QUICK }.check().is_err());
        assert_eq!(QUICK.check(), Ok(()));
    }
}
