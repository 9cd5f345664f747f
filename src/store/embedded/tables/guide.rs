//! Finding the fence of a key without looking at most fences.

use super::table::Fence;

/// Bytes of a fence that are looked at first.
const HEAD_BYTES: usize = size_of::<u64>();

/// The bytes in which the fences of a table first differ, side by side: a search through them touches a few lines of
/// memory, where one through the fences follows a pointer at each step.
#[derive(Debug)]
pub(super) struct Guide {
    /// What all fences begin with.
    common: Box<[u8]>,
    heads: Vec<u64>,
}

impl Guide {
    /// A guide to fences, which ascend.
    pub(super) fn new(fences: &[Fence]) -> Self {
        let (first, last) = (fences.first().map(key), fences.last().map(key));
        let both = first.unwrap_or_default().iter().zip(last.unwrap_or_default());
        let shared = both.take_while(|(first, last)| first == last).count();
        let common = first.unwrap_or_default()[..shared].into();
        let heads = fences.iter().map(|fence| head(&fence.first[shared..])).collect();
        Self { common, heads }
    }

    /// How many of the fences lie at or before a key.
    pub(super) fn at_or_before(&self, fences: &[Fence], key: &[u8]) -> usize {
        let Some(rest) = key.strip_prefix(&*self.common) else {
            return fences.partition_point(|fence| *fence.first <= *key);
        };
        let head = head(rest);
        let from = self.heads.partition_point(|other| *other < head);
        let equal = self.heads[from..].partition_point(|other| *other == head);
        // Only fences with the same head need a look at all of their bytes.
        from + fences[from..from + equal].partition_point(|fence| *fence.first <= *key)
    }
}

fn key(fence: &Fence) -> &[u8] {
    &fence.first
}

/// The first bytes as a number that has their order; what is shorter comes first, or is equal.
fn head(bytes: &[u8]) -> u64 {
    let mut head = [0; HEAD_BYTES];
    let length = bytes.len().min(HEAD_BYTES);
    head[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(head)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Texts of up to twelve bytes that often have the same beginning, zeros among them.
    fn text(seed: u64, common: &[u8]) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (state >> 40) as usize
        };
        let length = next() % 13;
        let rest = (0..length).map(|_| [0, 1, 255][next() % 3]);
        common.iter().copied().chain(rest).collect()
    }

    #[test]
    fn a_guide_finds_what_a_search_through_all_fences_finds() {
        for common in [&b""[..], b"a", b"default"] {
            for count in [0, 1, 2, 30, 1_000] {
                let keys: BTreeSet<Vec<u8>> = (0..count).map(|seed| text(seed, common)).collect();
                let fence = |key: Vec<u8>| Fence { first: key.into(), offset: 0 };
                let fences: Vec<Fence> = keys.into_iter().map(fence).collect();
                let guide = Guide::new(&fences);
                let others = (0..3_000).map(|seed| text(seed, common)).chain([vec![], b"b".to_vec(), vec![255; 20]]);
                for key in others {
                    let expected = fences.partition_point(|fence| *fence.first <= *key);
                    assert_eq!(guide.at_or_before(&fences, &key), expected, "{key:?} among {count} behind {common:?}");
                }
            }
        }
    }
}
