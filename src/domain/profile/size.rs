//! How large a profile may become, so that every reply about one customer stays below what clients accept and no
//! decision about one takes long.

use std::collections::BTreeMap;

use litemap::LiteMap;

use super::{Profile, State, traits};
use crate::domain::buckets::Bucket;
use crate::domain::consent::Standing;
use crate::domain::limits;
use crate::domain::payload::Identify;
use crate::domain::value::Value;

/// Of what one customer would have too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outgrown {
    /// Profiles that it is made of.
    Parts,
    /// Identifiers, of all types together.
    Identifiers,
    /// Traits, or bytes of them.
    Traits,
}

/// Of what a customer made of these, with so many more identifiers, would have too much, and more than any of them has
/// already: nobody is refused what they have.
pub fn outgrown(profiles: &[&Profile], identifiers_added: usize) -> Option<Outgrown> {
    let identifiers = profiles.iter().map(|profile| profile.count_identifiers());
    let count = identifiers.clone().sum::<usize>() + identifiers_added;
    if count > limits::PROFILE_IDENTIFIERS.max(identifiers.max().unwrap_or(0)) {
        return Some(Outgrown::Identifiers);
    }
    if profiles.len() < 2 {
        return None;
    }
    if profiles.iter().map(|profile| profile.parts.len()).sum::<usize>() > limits::PROFILE_PARTS {
        return Some(Outgrown::Parts);
    }
    let own: Vec<TraitBudget> = profiles.iter().map(|profile| TraitBudget::of(profile)).collect();
    let mut joined = TraitBudget::default();
    own.iter().for_each(|own| joined.join(own.clone()));
    let exceeds = joined.is_exceeded() && own.iter().all(|own| joined.is_larger_than(own));
    exceeds.then_some(Outgrown::Traits)
}

/// What a profile's traits take, so that no reply about one customer grows without limit. Events are counted in the
/// order of their acceptance, which for late ones is not the order of the fold: the figure is near, not exact.
#[derive(Debug, Clone, Default)]
pub(in crate::domain) struct TraitBudget {
    bytes_by_key: BTreeMap<String, usize>,
    bytes: usize,
}

impl TraitBudget {
    pub(in crate::domain) fn of(profile: &Profile) -> Self {
        let mut budget = Self::default();
        profile.state.traits.iter().for_each(|(key, stated)| budget.set(key, &stated.value));
        budget
    }

    /// What the fold does with the traits of an event, as far as sizes go.
    pub(in crate::domain) fn take(&mut self, identify: &Identify) {
        for (key, value) in &identify.traits {
            match value {
                Value::Null => self.remove(key),
                Value::Text(text) if text.is_empty() => {}
                value => self.set(key, value),
            }
        }
        for (key, value) in &identify.traits_once {
            if !traits::is_blank(value) && !self.bytes_by_key.contains_key(key) {
                self.set(key, value);
            }
        }
    }

    fn set(&mut self, key: &str, value: &Value) {
        self.remove(key);
        let bytes = key.len() + size(value);
        self.bytes_by_key.insert(key.to_owned(), bytes);
        self.bytes += bytes;
    }

    fn remove(&mut self, key: &str) {
        self.bytes -= self.bytes_by_key.remove(key).unwrap_or(0);
    }

    /// Takes over the traits of a profile that merges in; which value wins is the fold's to say, so the larger counts.
    pub(in crate::domain) fn join(&mut self, other: Self) {
        for (key, bytes) in other.bytes_by_key {
            let own = self.bytes_by_key.entry(key).or_default();
            self.bytes += bytes.saturating_sub(*own);
            *own = bytes.max(*own);
        }
    }

    pub(in crate::domain) fn is_exceeded(&self) -> bool {
        self.bytes_by_key.len() > limits::PROFILE_TRAITS || self.bytes > limits::PROFILE_TRAIT_BYTES
    }

    pub(in crate::domain) fn is_larger_than(&self, other: &Self) -> bool {
        self.bytes_by_key.len() > other.bytes_by_key.len() || self.bytes > other.bytes
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 8,
        Value::Text(text) => text.len(),
        Value::List(list) => list.iter().map(size).sum(),
        Value::Map(map) => map.iter().map(|(key, value)| key.len() + size(value)).sum(),
    }
}

/// Bytes of memory that a profile takes, nearly: what is kept in memory is bounded by it.
pub fn memory_bytes(profile: &Profile) -> usize {
    let Profile { parts, links, state, consents, .. } = profile;
    let State { activity, traits, purchases, support, days, .. } = state;
    let owned: usize = parts.iter().map(|part| size_of_val(&*part.identifiers)).sum();
    let tallies = [&activity.channels, &activity.kinds, &activity.names];
    let texts: usize = traits.iter().map(|(key, stated)| key.len() + size(&stated.value)).sum();
    let episodes =
        support.recent.iter().map(|episode| size_of_val(episode) + episode.channels.len() * size_of::<String>());
    size_of::<Profile>()
        + size_of_val(&**parts)
        + owned
        + size_of_val(&**links)
        + consents.count() * size_of::<Standing>()
        + tallies.map(map_bytes).iter().sum::<usize>()
        + map_bytes(traits)
        + texts
        + map_bytes(&purchases.totals)
        + episodes.sum::<usize>()
        + days.active_days() * size_of::<Bucket>()
}

/// Maps are arrays, which have a little room to grow once something was put into them.
fn map_bytes<K, V>(map: &LiteMap<K, V>) -> usize {
    map.len().next_power_of_two() * size_of::<(K, V)>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ProfileId;
    use crate::domain::identifier::Identifier;
    use crate::domain::profile::traits::Trait;
    use crate::domain::time::Timestamp;

    fn profile(number: u8, identifiers: usize, traits: std::ops::Range<usize>) -> Profile {
        let mut profile = Profile::new(ProfileId::from_bytes([number; 16]), Timestamp::MIN);
        let identifier =
            |place: usize| Identifier::parse(&format!("type{place}"), &number.to_string()).expect("well-formed");
        profile.claim(profile.id, (0..identifiers).map(identifier));
        let stated = || Trait { value: Value::Bool(true), source: "test".into(), time: Timestamp::MIN };
        profile.state.traits = traits.map(|place| (format!("trait {place}"), stated())).collect();
        profile
    }

    #[test]
    fn identifiers_are_counted_over_all_types_and_nobody_is_refused_what_they_have() {
        let limit = limits::PROFILE_IDENTIFIERS;
        let (one, other) = (profile(1, limit - 1, 0..0), profile(2, 1, 0..0));
        assert_eq!([0, 1, 2].map(|added| outgrown(&[&one], added)), [None, None, Some(Outgrown::Identifiers)]);
        assert_eq!(outgrown(&[&one, &other], 0), None);
        assert_eq!(outgrown(&[&one, &other], 1), Some(Outgrown::Identifiers));
        let of_before = profile(3, limit + 7, 0..0);
        assert_eq!([0, 1].map(|added| outgrown(&[&of_before], added)), [None, Some(Outgrown::Identifiers)]);
        assert_eq!(outgrown(&[&of_before, &profile(4, 0, 0..0)], 0), None);
    }

    #[test]
    fn traits_of_the_same_name_count_once_and_a_customer_who_has_too_many_may_still_be_joined_by_one_who_adds_none() {
        let half = limits::PROFILE_TRAITS / 2;
        let (one, same) = (profile(1, 1, 0..half + 1), profile(2, 1, 0..half + 1));
        assert_eq!(outgrown(&[&one, &same], 0), None);
        let different = profile(3, 1, half + 1..2 * half + 2);
        assert_eq!(outgrown(&[&one, &different], 0), Some(Outgrown::Traits));
        let of_before = profile(4, 1, 0..limits::PROFILE_TRAITS + 9);
        assert_eq!(outgrown(&[&of_before], 0), None);
        assert_eq!(outgrown(&[&of_before, &one], 0), None);
        assert_eq!(outgrown(&[&of_before, &profile(5, 1, 900..901)], 0), Some(Outgrown::Traits));
    }
}
