//! A Bloom filter of the keys of a table.

/// With these, about 1 of 200 keys that a table does not have is looked for in it.
const BITS_PER_KEY: usize = 12;
const PROBES: u32 = 6;
/// All bits of a key lie within one line, so that a question costs one access to memory (Putze et al. 2007). As large as
/// the lines of the processor's caches.
const LINE_BYTES: usize = 64;
const LINE_BITS: u32 = 8 * LINE_BYTES as u32;

/// Stands for a key in filters: a checksum made by the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyHash(u32);

impl KeyHash {
    pub(super) fn of(key: &[u8]) -> Self {
        Self(crc32c::crc32c(key))
    }

    /// The line of so many that has the key's bits, and those bits (Kirsch and Mitzenmacher 2006).
    fn place(self, lines: usize) -> (usize, impl Iterator<Item = u32>) {
        // Spread over 64 bits by the finaliser of splitmix64 (Steele et al. 2014).
        let mut hash = u64::from(self.0).wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
        let line = ((hash >> 32) * lines as u64) >> 32;
        let (start, stride) = (hash as u32 & 0xffff, (hash >> 16) as u32 & 0xffff | 1);
        (line as usize, (0..PROBES).map(move |probe| (start + probe * stride) % LINE_BITS))
    }
}

/// Says "surely not" or "perhaps".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter(Vec<u8>);

impl Filter {
    pub(super) fn new(keys: &[KeyHash]) -> Self {
        let lines = (keys.len() * BITS_PER_KEY).div_ceil(8 * LINE_BYTES).max(1);
        let mut filter = vec![0; lines * LINE_BYTES];
        for key in keys {
            let (line, bits) = key.place(lines);
            for bit in bits {
                filter[line * LINE_BYTES + bit as usize / 8] |= 1 << (bit % 8);
            }
        }
        Self(filter)
    }

    /// The filter whose bytes these are; `None` where it is cut off.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (!bytes.is_empty() && bytes.len().is_multiple_of(LINE_BYTES)).then_some(Self(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn may_hold(&self, key: KeyHash) -> bool {
        let (line, mut bits) = key.place(self.0.len() / LINE_BYTES);
        let line = &self.0[line * LINE_BYTES..][..LINE_BYTES];
        bits.all(|bit| line[bit as usize / 8] & (1 << (bit % 8)) != 0)
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
        let held: Vec<_> = (0..10_000).map(hash).collect();
        let filter = Filter::from_bytes(Filter::new(&held).as_bytes().to_vec()).expect("whole");
        assert!(held.iter().all(|hash| filter.may_hold(*hash)));
        let wrong = (10_000..110_000).filter(|number| filter.may_hold(hash(*number))).count();
        assert!(wrong < 1_000, "{wrong} of 100,000");
    }
}
