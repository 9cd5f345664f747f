//! Choosing by chance, always from a seed.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::domain::id::ProfileId;

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

/// A number that stands for a customer and looks random, so that folds and samples do not depend on the order in
/// which customers come.
pub(super) fn hash(customer: ProfileId, seed: u64) -> u64 {
    customer.as_bytes().chunks_exact(8).fold(mix(seed), |hash, chunk| {
        let word = chunk.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        mix(hash ^ word)
    })
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ids_spread_evenly_over_folds() {
        let mut folds = [0u32; 5];
        for id in 0..10_000u128 {
            folds[(hash(ProfileId::from_bytes(id.to_be_bytes()), 7) % 5) as usize] += 1;
        }
        assert!(folds.iter().all(|count| (1_850..2_150).contains(count)), "{folds:?}");
    }

    #[test]
    fn another_seed_chooses_others() {
        let id = ProfileId::from_bytes([3; 16]);
        assert_ne!(hash(id, 1), hash(id, 2));
        assert_eq!(hash(id, 1), hash(id, 1));
    }
}
