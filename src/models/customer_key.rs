//! What stands for a customer in a training, whatever profile ids they were given.

use super::sampling::mix;
use crate::domain::id::ProfileId;
use crate::domain::identifier::Identifier;
use crate::domain::profile::Profile;
use crate::domain::value::Value;

/// A number that stands for a customer and looks random. Parts, samples and the order of rows follow it, so that they
/// are chosen by the data and the seed: profile ids are drawn anew by every server, and the same customers would make
/// another model there.
///
/// It is made of an identifier, which is personal data: it lives as long as its training and is never written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CustomerKey(u64);

impl CustomerKey {
    /// The number of one training; another seed chooses others.
    pub(super) fn seeded(self, seed: u64) -> u64 {
        mix(mix(seed) ^ self.0)
    }

    /// What stands for all customers who state this value, where those belong together.
    pub(super) fn of_group(value: &Value) -> Self {
        let bytes = postcard::to_stdvec(value).expect("a value is plain data, which postcard writes without fail");
        Self(digest(0, &bytes))
    }
}

impl From<&Profile> for CustomerKey {
    /// By the smallest identifier, and by the profile id where the customer has none.
    fn from(profile: &Profile) -> Self {
        profile.identifiers().first().map_or_else(|| profile.id.into(), |identifier| Self::from(*identifier))
    }
}

impl From<&Identifier> for CustomerKey {
    fn from(identifier: &Identifier) -> Self {
        Self(digest(digest(0, identifier.kind().as_bytes()), identifier.value().as_bytes()))
    }
}

impl From<ProfileId> for CustomerKey {
    fn from(id: ProfileId) -> Self {
        Self(digest(0, id.as_bytes()))
    }
}

/// Takes in some bytes and their number, so that no two lists of texts run into each other.
fn digest(before: u64, bytes: &[u8]) -> u64 {
    let word = |chunk: &[u8]| chunk.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    bytes.chunks(8).fold(mix(before ^ bytes.len() as u64), |digest, chunk| mix(digest ^ word(chunk)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn identifier(kind: &str, value: &str) -> Identifier {
        Identifier::parse(kind, value).expect("well-formed")
    }

    #[test]
    fn neighbouring_customers_spread_evenly_over_folds() {
        let mut folds = [0u32; 5];
        for number in 0..10_000 {
            let key = CustomerKey::from(&identifier("user_id", &format!("{number:05}")));
            folds[(key.seeded(7) % 5) as usize] += 1;
        }
        assert!(folds.iter().all(|count| (1_850..2_150).contains(count)), "{folds:?}");
    }

    #[test]
    fn another_seed_chooses_others() {
        let key = CustomerKey::from(ProfileId::from_bytes([3; 16]));
        assert_ne!(key.seeded(1), key.seeded(2));
        assert_eq!(key.seeded(1), key.seeded(1));
    }

    #[test]
    fn a_customer_is_known_by_the_smallest_identifier_and_without_one_by_the_profile() {
        let mut profile = Profile::new(ProfileId::from_bytes([1; 16]), Timestamp::MIN);
        assert!(CustomerKey::from(&profile) == CustomerKey::from(profile.id));
        let (email, user) = (identifier("email", "ann@example.com"), identifier("user_id", "7"));
        profile.claim(profile.id, [user, email.clone()]);
        assert!(CustomerKey::from(&profile) == CustomerKey::from(&email));
        profile.id = ProfileId::from_bytes([2; 16]);
        assert!(CustomerKey::from(&profile) == CustomerKey::from(&email));
    }

    #[test]
    fn the_type_of_an_identifier_counts() {
        let keys = [("user_id", "a"), ("user_ida", "b"), ("crm:x", "a"), ("user_id", "b")]
            .map(|(kind, value)| CustomerKey::from(&identifier(kind, value)).seeded(1));
        assert!(keys.iter().enumerate().all(|(at, key)| !keys[..at].contains(key)));
    }
}
