//! Numbers that look random and are the same in every run.

/// A generator of its own for each thread and frame.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed, stream and step.
    pub fn new(seed: u64, stream: u64, step: u64) -> Self {
        let mut random = Self(seed ^ stream.rotate_left(40) ^ step.rotate_left(20));
        random.next();
        random
    }

    /// The next number: splitmix64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Whether something happens that happens once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
