//! Values that are read again without asking the tables.

use quick_cache::Weighter;
use quick_cache::sync::Cache as Inner;

use super::disk::Bytes;

/// What a value takes besides its bytes: its place, its key and what the allocator adds.
const OVERHEAD_BYTES: u64 = 80;
/// Values that the cache has places for from the beginning.
const FIRST_PLACES: usize = 1_024;

/// A cache of a bounded size. Values that were read or written once give way before those that are read again and
/// again.
pub(super) struct Cache(Inner<u128, Bytes, Weight>);

#[derive(Clone)]
struct Weight;

impl Weighter<u128, Bytes> for Weight {
    fn weight(&self, _: &u128, value: &Bytes) -> u64 {
        OVERHEAD_BYTES + value.len() as u64
    }
}

impl Cache {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Inner::with_weighter(FIRST_PLACES, bytes, Weight))
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(&digest(key))
    }

    /// Remembers a value that was read.
    pub(super) fn put(&self, key: &[u8], value: Bytes) {
        self.0.insert(digest(key), value);
    }

    /// Takes in a value that was written: what was written lately is likely to be written again, which begins with a read.
    /// A value that is smaller than the place that it would take is only put where the one before has one already.
    pub(super) fn write(&self, key: &[u8], value: Bytes) {
        if value.len() as u64 >= OVERHEAD_BYTES {
            self.put(key, value);
        } else {
            let _nobody_read_it = self.0.replace(digest(key), value, true);
        }
    }
}

/// Takes less room than a key; 128 bits are not met twice by accident.
fn digest(key: &[u8]) -> u128 {
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(key).as_bytes()[..16]);
    u128::from_le_bytes(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_replaced_is_never_given_also_where_the_new_one_is_too_large_to_keep() {
        let cache = Cache::new(1 << 20);
        let value = |byte: u8, bytes: usize| Bytes::from(vec![byte; bytes]);
        cache.put(b"key", value(1, 100));
        assert_eq!(cache.get(b"key"), Some(value(1, 100)));
        cache.write(b"key", value(3, 10));
        assert_eq!(cache.get(b"key"), Some(value(3, 10)));
        cache.write(b"key", value(2, 10 << 20));
        assert!(cache.get(b"key").is_none_or(|kept| kept == value(2, 10 << 20)));
        cache.write(b"another", value(4, 10));
        assert_eq!(cache.get(b"another"), None, "small, and nobody has read it");
        cache.write(b"another", value(4, 100));
        assert_eq!(cache.get(b"another"), Some(value(4, 100)));
    }

    #[test]
    fn it_keeps_within_its_bound() {
        let cache = Cache::new(1 << 20);
        for number in 0..10_000_u32 {
            cache.put(&number.to_be_bytes(), Bytes::from(vec![0; 1_000]));
        }
        let kept = (0..10_000_u32).filter(|number| cache.get(&number.to_be_bytes()).is_some()).count();
        assert!((1..=1 << 10).contains(&kept), "{kept} values of 1,000 bytes");
        assert!(Cache::new(0).get(b"key").is_none());
    }
}
