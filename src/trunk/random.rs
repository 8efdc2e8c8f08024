//! Numbers out of one that is passed in: jitter and choice among equals. Not for secrets.

use std::time::Duration;

/// A sequence of numbers that its seed alone decides (SplitMix64, Steele et al. 2014).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of `0..=most`. The slight preference for low ones is below one part in 2^32 for
    /// the weights of a DNS answer.
    pub fn up_to(&mut self, most: u64) -> u64 {
        match most.checked_add(1) {
            Some(count) => self.next_number() % count,
            None => self.next_number(),
        }
    }

    /// A duration between `low` and `high` percent of `whole`.
    pub fn share_of(&mut self, whole: Duration, low: u32, high: u32) -> Duration {
        let permille = self.up_to(u64::from(high.saturating_sub(low)) * 10) + u64::from(low) * 10;
        whole.mul_f64(permille as f64 / 1_000.0)
    }
}
