//! A Bloom filter of the keys of one block.

use serde::{Deserialize, Serialize};

/// With these, 3 of 1,000 keys that a block does not have are looked for in it.
const BITS_PER_KEY: usize = 12;
const PROBES: u32 = 8;

/// Stands for a key in filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyHash(u64);

impl KeyHash {
    /// A checksum made by the processor, spread over 64 bits by the finaliser of splitmix64 (Steele et al. 2014).
    pub(super) fn of(key: &[u8]) -> Self {
        let mut hash = u64::from(crc32c::crc32c(key)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(hash ^ (hash >> 31))
    }

    /// The bits of a filter of so many bytes that stand for the key (Kirsch and Mitzenmacher 2006).
    fn bits(self, bytes: usize) -> impl Iterator<Item = usize> {
        let (start, stride) = (self.0 as u32, (self.0 >> 32) as u32 | 1);
        let bits = (bytes * 8).max(1);
        (0..PROBES).map(move |probe| start.wrapping_add(probe.wrapping_mul(stride)) as usize % bits)
    }
}

/// Says "surely not" or "perhaps".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Filter(Vec<u8>);

impl Filter {
    pub(super) fn new(keys: &[KeyHash]) -> Self {
        let mut filter = vec![0; (keys.len() * BITS_PER_KEY).div_ceil(8).max(1)];
        for key in keys {
            for bit in key.bits(filter.len()) {
                filter[bit / 8] |= 1 << (bit % 8);
            }
        }
        Self(filter)
    }

    pub(super) fn may_hold(&self, key: KeyHash) -> bool {
        key.bits(self.0.len()).all(|bit| self.0.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u32) -> KeyHash {
        KeyHash::of(&number.to_be_bytes())
    }

    #[test]
    fn a_filter_never_denies_what_it_holds_and_rarely_claims_what_it_does_not() {
        let held: Vec<_> = (0..1_024).map(hash).collect();
        let filter = Filter::new(&held);
        assert!(held.iter().all(|hash| filter.may_hold(*hash)));
        let wrong = (10_000..110_000).filter(|number| filter.may_hold(hash(*number))).count();
        assert!(wrong < 1_000, "{wrong} of 100,000");
    }
}
