//! Choosing by chance, always from a seed.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// What the generator of one part of a training is for; parts with different purposes draw independent numbers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Intervals of figures.
    Bootstrap = 1,
    /// Customers that tests invent.
    #[cfg(test)]
    Rows = 2,
    /// First centroids.
    Centroids = 3,
    /// Resampled rows for the stability of clusters.
    Stability = 4,
}

/// A generator for one purpose and, within it, one `turn`.
pub(super) fn generator(seed: u64, purpose: Purpose, turn: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(mix(mix(seed ^ ((purpose as u64) << 56)).wrapping_add(turn)))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
