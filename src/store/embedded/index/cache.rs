//! Values that are read again without asking the tables, and what readers made of them.

use std::hash::{BuildHasherDefault, Hasher};

use quick_cache::Weighter;
use quick_cache::sync::Cache as Inner;

use super::disk::Bytes;
use crate::domain::id::Revision;
use crate::store::Memo;

/// What a value takes besides its bytes: its place, its key and what the allocator adds.
const OVERHEAD_BYTES: u64 = 80;
/// Values that the cache has places for from the beginning.
const FIRST_PLACES: usize = 1_024;

/// A cache of a bounded size. What was read or written once gives way before what is read again and again.
pub(super) struct Cache(Inner<Place, Kept, Weight, BuildHasherDefault<Digested>>);

/// Where something is kept: a digest of the key, which takes less room; 128 bits are not met twice by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place(u128);

/// Takes the digest of a key for its hash.
#[derive(Default)]
struct Digested(u64);

impl Hasher for Digested {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u128(&mut self, digest: u128) {
        self.0 ^= digest as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Nothing but digests is hashed; anything else would be hashed badly and found all the same.
        self.0 ^= bytes.len() as u64;
    }
}

#[derive(Clone)]
enum Kept {
    Value(Bytes),
    /// With the revision of the profile that it was made of.
    Memo(Revision, Memo),
}

#[derive(Clone)]
struct Weight;

impl Weighter<Place, Kept> for Weight {
    fn weight(&self, _: &Place, kept: &Kept) -> u64 {
        OVERHEAD_BYTES
            + match kept {
                Kept::Value(value) => value.len() as u64,
                Kept::Memo(_, memo) => memo.bytes as u64,
            }
    }
}

impl Place {
    pub(super) fn of(key: &[u8]) -> Self {
        let mut digest = [0; 16];
        digest.copy_from_slice(&blake3::hash(key).as_bytes()[..16]);
        Self(u128::from_le_bytes(digest))
    }

    /// Where the memo of the value is.
    fn of_memo(self) -> Self {
        Self(!self.0)
    }
}

impl Cache {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Inner::with(FIRST_PLACES, bytes, Weight, BuildHasherDefault::default(), Default::default()))
    }

    pub(super) fn get(&self, place: Place) -> Option<Bytes> {
        match self.0.get(&place)? {
            Kept::Value(value) => Some(value),
            Kept::Memo(..) => None,
        }
    }

    /// Remembers a value that was read.
    pub(super) fn put(&self, place: Place, value: Bytes) {
        self.0.insert(place, Kept::Value(value));
    }

    /// Takes in a value that was written: what was written lately is likely to be written again, which begins with a read.
    /// A value that is smaller than the place that it would take is only put where the one before has one already. What was
    /// made of the one before is forgotten.
    pub(super) fn write(&self, place: Place, value: Bytes) {
        self.forget_memo(place);
        if value.len() as u64 >= OVERHEAD_BYTES {
            self.put(place, value);
        } else {
            let _nobody_read_it = self.0.replace(place, Kept::Value(value), true);
        }
    }

    /// What was made of a value, with the revision that this had.
    pub(super) fn memo(&self, place: Place) -> Option<(Revision, Memo)> {
        match self.0.get(&place.of_memo())? {
            Kept::Memo(revision, memo) => Some((revision, memo)),
            Kept::Value(_) => None,
        }
    }

    pub(super) fn put_memo(&self, place: Place, revision: Revision, memo: Memo) {
        self.0.insert(place.of_memo(), Kept::Memo(revision, memo));
    }

    /// Forgets a value, which the tables have.
    pub(super) fn forget(&self, place: Place) {
        self.0.remove(&place);
    }

    pub(super) fn forget_memo(&self, place: Place) {
        self.0.remove(&place.of_memo());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_replaced_is_never_given_also_where_the_new_one_is_too_large_to_keep() {
        let cache = Cache::new(1 << 20);
        let value = |byte: u8, bytes: usize| Bytes::from(vec![byte; bytes]);
        cache.put(Place::of(b"key"), value(1, 100));
        assert_eq!(cache.get(Place::of(b"key")), Some(value(1, 100)));
        cache.write(Place::of(b"key"), value(3, 10));
        assert_eq!(cache.get(Place::of(b"key")), Some(value(3, 10)));
        cache.write(Place::of(b"key"), value(2, 10 << 20));
        assert!(cache.get(Place::of(b"key")).is_none_or(|kept| kept == value(2, 10 << 20)));
        cache.write(Place::of(b"another"), value(4, 10));
        assert_eq!(cache.get(Place::of(b"another")), None, "small, and nobody has read it");
        cache.write(Place::of(b"another"), value(4, 100));
        assert_eq!(cache.get(Place::of(b"another")), Some(value(4, 100)));
    }

    #[test]
    fn it_keeps_within_its_bound() {
        let cache = Cache::new(1 << 20);
        for number in 0..10_000_u32 {
            cache.put(Place::of(&number.to_be_bytes()), Bytes::from(vec![0; 1_000]));
        }
        let kept = (0..10_000_u32).filter(|number| cache.get(Place::of(&number.to_be_bytes())).is_some()).count();
        assert!((1..=1 << 10).contains(&kept), "{kept} values of 1,000 bytes");
        assert!(Cache::new(0).get(Place::of(b"key")).is_none());
    }
}
