//! A Bloom filter of the hashes of one block.

use serde::{Deserialize, Serialize};

use crate::store::embedded::codec::u32_at;
use crate::store::embedded::index::keys::EventHash;

/// With these, 3 of 1,000 new hashes are taken for known ones, and cost the reading of a block.
const BITS_PER_HASH: usize = 12;
const PROBES: u32 = 8;

/// Says "surely not" or "perhaps".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Filter(Vec<u8>);

impl Filter {
    pub(super) fn new<'a>(hashes: impl ExactSizeIterator<Item = &'a EventHash>) -> Self {
        let mut bits = vec![0; (hashes.len() * BITS_PER_HASH).div_ceil(8).max(1)];
        for hash in hashes {
            for bit in probes(hash, bits.len()) {
                bits[bit / 8] |= 1 << (bit % 8);
            }
        }
        Self(bits)
    }

    pub(super) fn may_hold(&self, hash: &EventHash) -> bool {
        probes(hash, self.0.len()).all(|bit| self.0.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0))
    }
}

/// The hash is a digest already: its last bytes are as random as any. The first ones are alike within a block.
fn probes(hash: &EventHash, bytes: usize) -> impl Iterator<Item = usize> {
    let (start, stride) = (u32_at(hash, 8), u32_at(hash, 12) | 1);
    let bits = (bytes * 8).max(1);
    (0..PROBES).map(move |probe| start.wrapping_add(probe.wrapping_mul(stride)) as usize % bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u32) -> EventHash {
        let mut hash = [0; 16];
        hash.copy_from_slice(&blake3::hash(&number.to_le_bytes()).as_bytes()[..16]);
        hash
    }

    #[test]
    fn a_filter_never_denies_what_it_holds_and_rarely_claims_what_it_does_not() {
        let held: Vec<_> = (0..1_024).map(hash).collect();
        let filter = Filter::new(held.iter());
        assert!(held.iter().all(|hash| filter.may_hold(hash)));
        let wrong = (10_000..110_000).filter(|number| filter.may_hold(&hash(*number))).count();
        assert!(wrong < 1_000, "{wrong} of 100,000");
    }
}
