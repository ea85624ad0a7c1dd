//! Draws random numbers from one seed, so that every run can be repeated.

use std::ops::Range;

/// `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
#[derive(Clone, Debug, PartialEq)]
pub struct Random(u64);

impl Random {
    /// The chance that grows from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number in `range`; its start, if the range is empty.
    pub fn within(&mut self, range: &Range<u64>) -> u64 {
        match range.end.saturating_sub(range.start) {
            0 => range.start,
            width => range.start + self.bits() % width,
        }
    }

    /// Whether something happens that happens `per_million` times in a million.
    pub const fn happens(&mut self, per_million: u32) -> bool {
        per_million > 0 && self.bits() % 1_000_000 < per_million as u64
    }

    /// One of `things`.
    pub fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.within(&(0..things.len() as u64)) as usize]
    }
}
