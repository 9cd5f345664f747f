//! What a change of the identity rules would have made of the customers of today.
//!
//! A change of rules moves nobody: it holds for the events that come. Its rehearsal resolves the events of the past
//! under the new rules and counts how many customers would be several, and how many would be one with another.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::decision::{Decider, Known};
use super::event::Event;
use super::fact::Fact;
use super::id::{MergeId, ProfileId};
use super::identifier::Identifier;
use super::identity::Resolver;
use super::limits;
use super::profile::Profile;

/// Resolves customers anew, one after the other, by the rules of today and by others: what both say alike, for instance
/// that a merge was undone, is no effect of the change.
pub struct Rehearsal<'a> {
    today: Side<'a>,
    next: Side<'a>,
    preview: RulesPreview,
}

/// What one set of rules says.
struct Side<'a> {
    resolver: &'a Resolver,
    /// Identifiers that events of a customer carry and the customer does not own.
    wanted: BTreeMap<Identifier, BTreeSet<ProfileId>>,
}

/// What the rules would have made of the customers that were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RulesPreview {
    /// How many were looked at.
    pub profiles: usize,
    /// Whether these are all.
    pub is_complete: bool,
    /// How many of them would be several.
    pub splits: usize,
    /// How many pairs of them would be one.
    pub merges: usize,
    /// Some that would be several.
    pub split_samples: Vec<ProfileId>,
    /// Some pairs that would be one.
    pub merge_samples: Vec<(ProfileId, ProfileId)>,
}

impl<'a> Rehearsal<'a> {
    /// Begins with the rules of today and others.
    pub fn new(today: &'a Resolver, next: &'a Resolver) -> Self {
        let side = |resolver| Side { resolver, wanted: BTreeMap::new() };
        Self { today: side(today), next: side(next), preview: RulesPreview::default() }
    }

    /// Resolves the events of one customer, who holds together by `operator_merges` whatever the rules say.
    pub fn add(&mut self, profile: &Profile, mut timeline: Vec<Event>, operator_merges: &[MergeId]) {
        timeline.sort_by(|a, b| (a.times.received, &a.key).cmp(&(b.times.received, &b.key)));
        let today = self.today.customers(profile, &timeline, operator_merges);
        let next = self.next.customers(profile, &timeline, operator_merges);
        self.preview.profiles += 1;
        if next > today.max(1) {
            self.preview.splits += 1;
            if self.preview.split_samples.len() < limits::PREVIEW_SAMPLES {
                self.preview.split_samples.push(profile.id);
            }
        }
    }

    /// Identifiers that would link customers if somebody owns them.
    pub fn wanted(&self) -> Vec<Identifier> {
        let wanted: BTreeSet<_> = self.today.wanted.keys().chain(self.next.wanted.keys()).cloned().collect();
        wanted.into_iter().collect()
    }

    /// The customers whose events carry them.
    pub fn wanting(&self) -> impl Iterator<Item = ProfileId> {
        self.today.wanted.values().chain(self.next.wanted.values()).flatten().copied()
    }

    /// The result, once it is known who owns what is wanted. `profiles` holds everybody who wants or owns.
    pub fn finish(
        mut self,
        owners: &HashMap<Identifier, ProfileId>,
        profiles: &HashMap<ProfileId, Profile>,
        is_complete: bool,
    ) -> RulesPreview {
        let mut pairs = self.next.pairs(owners, profiles);
        for pair in self.today.pairs(owners, profiles) {
            pairs.remove(&pair);
        }
        self.preview.merges = pairs.len();
        self.preview.merge_samples = pairs.into_iter().take(limits::PREVIEW_SAMPLES).collect();
        self.preview.is_complete = is_complete;
        self.preview
    }
}

impl Side<'_> {
    /// How many customers the rules make of one.
    fn customers(&mut self, profile: &Profile, timeline: &[Event], operator_merges: &[MergeId]) -> usize {
        let mut ids = 0_u128;
        let mut new_id = || {
            ids += 1;
            Uuid::from_u128(ids)
        };
        let mut decider = Decider::new(self.resolver, Known::default(), &mut new_id);
        for event in timeline {
            let candidates = self.resolver.candidates_of(event);
            for identifier in candidates.usable.iter().filter(|identifier| profile.owned(identifier).is_none()) {
                self.wanted.entry(identifier.clone()).or_default().insert(profile.id);
            }
            if !candidates.usable.is_empty() {
                // Traits play no part here, and an event that they refuse no longer does.
                let _refused = decider.decide(event.clone(), candidates);
            }
        }
        let (facts, _) = decider.finish();
        count_customers(&facts, profile, operator_merges)
    }

    /// Pairs of customers that the rules would make one.
    fn pairs(
        &self,
        owners: &HashMap<Identifier, ProfileId>,
        profiles: &HashMap<ProfileId, Profile>,
    ) -> BTreeSet<(ProfileId, ProfileId)> {
        let mut pairs = BTreeSet::new();
        for (identifier, wanting) in &self.wanted {
            let all: BTreeSet<ProfileId> = wanting.iter().chain(owners.get(identifier)).copied().collect();
            let all: Vec<ProfileId> = all.into_iter().collect();
            pairs.extend(all.windows(2).map(|pair| (pair[0], pair[1])));
        }
        pairs.retain(|(one, other)| match (profiles.get(one), profiles.get(other)) {
            (Some(one), Some(other)) => self.resolver.may_merge(&[one, other]),
            _ => false,
        });
        pairs
    }
}

/// How many customers facts make of the events of one.
fn count_customers(facts: &[Fact], profile: &Profile, operator_merges: &[MergeId]) -> usize {
    let mut joined: HashMap<ProfileId, ProfileId> = HashMap::new();
    let mut customers = BTreeSet::new();
    let mut of_identifier: HashMap<&Identifier, ProfileId> = HashMap::new();
    for fact in facts {
        match fact {
            Fact::Event(fact) => {
                customers.insert(fact.profile);
                of_identifier.extend(fact.claims.iter().map(|claim| (claim, fact.profile)));
            }
            Fact::Merge(fact) => joined.extend(fact.sources.iter().map(|source| (source.profile, fact.survivor))),
            Fact::Unmerge(_) | Fact::Expire(_) | Fact::Consent(_) | Fact::Document(_) => {}
            Fact::Erase(_) | Fact::Forgotten(_) => {}
        }
    }
    let root = |joined: &HashMap<ProfileId, ProfileId>, mut id: ProfileId| {
        while let Some(into) = joined.get(&id) {
            id = *into;
        }
        id
    };
    for link in profile.links.iter().filter(|link| operator_merges.contains(&link.merge)) {
        let customer_of = |part: ProfileId| {
            let part = profile.parts.iter().find(|known| known.id == part)?;
            part.identifiers.iter().find_map(|owned| of_identifier.get(&owned.identifier).copied())
        };
        if let (Some(target), Some(source)) = (customer_of(link.target), customer_of(link.source)) {
            let (target, source) = (root(&joined, target), root(&joined, source));
            if target != source {
                joined.insert(source, target);
            }
        }
    }
    customers.into_iter().map(|id| root(&joined, id)).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{EventKey, EventTimes, SentIdentifier};
    use crate::domain::identity_rules::{IdentifierRule, IdentityRules};
    use crate::domain::payload::{Payload, Track};
    use crate::domain::settings::Settings;
    use crate::domain::time::Timestamp;
    use crate::domain::value::Map;

    fn event(number: i64, identifiers: &[(&str, &str)]) -> Event {
        let now = Timestamp::from_micros(number);
        let sent = |(kind, value): &(&str, &str)| SentIdentifier { kind: (*kind).into(), value: (*value).into() };
        Event {
            key: EventKey { source: "test".into(), event_id: number.to_string().into() },
            identifiers: identifiers.iter().map(sent).collect(),
            times: EventTimes { original: None, sent: None, received: now, event: now, clamped: false },
            channel: Default::default(),
            source_priority: 0,
            touchpoint: Default::default(),
            payload: Payload::Track(Track { name: "seen".into(), properties: Map::new() }),
        }
    }

    fn profile(number: u8, identifiers: &[(&str, &str)]) -> Profile {
        let mut profile = Profile::new(ProfileId::from_bytes([number; 16]), Timestamp::MIN);
        let parsed = |(kind, value): &(&str, &str)| Identifier::parse(kind, value).expect("well-formed");
        profile.claim(profile.id, identifiers.iter().map(parsed));
        profile
    }

    #[test]
    fn a_value_that_is_blocked_would_have_kept_customers_apart_and_a_higher_limit_would_have_joined_them() {
        let till = [("email", "till@shop.de")];
        let shared = profile(1, &[("email", "till@shop.de"), ("loyalty_id", "1"), ("loyalty_id", "2")]);
        let card = |number, card| event(number, &[till[0], ("loyalty_id", card)]);
        let ann = profile(2, &[("device_id", "d"), ("email", "ann@b.c")]);
        let bob = profile(3, &[("loyalty_id", "3"), ("email", "bob@b.c")]);
        let of_both = event(4, &[("loyalty_id", "3"), ("email", "ann@b.c")]);

        let blocked_values = vec!["till@shop.de".to_owned()];
        let email = IdentifierRule { blocked_values, ..IdentifierRule::default_of("email") };
        let resolver =
            Resolver::new(&Settings { identity: IdentityRules { rules: vec![email] }, ..Settings::default() });
        // Ann and Bob were kept apart, because a customer could have one e-mail only.
        let low = IdentifierRule { limit: 1, ..IdentifierRule::default_of("email") };
        let today = Resolver::new(&Settings { identity: IdentityRules { rules: vec![low] }, ..Settings::default() });
        let mut rehearsal = Rehearsal::new(&today, &resolver);
        rehearsal.add(&shared, vec![card(1, "1"), card(2, "2")], &[]);
        rehearsal.add(&bob, vec![of_both], &[]);
        let wanted = rehearsal.wanted();
        assert_eq!(wanted.len(), 1);
        let owners = wanted.into_iter().map(|identifier| (identifier, ann.id)).collect();
        let profiles = [ann.clone(), bob.clone()].map(|profile| (profile.id, profile)).into();
        let preview = rehearsal.finish(&owners, &profiles, true);
        assert_eq!((preview.profiles, preview.splits, preview.merges), (2, 1, 1));
        assert_eq!((preview.split_samples, preview.merge_samples), (vec![shared.id], vec![(ann.id, bob.id)]));
    }

    #[test]
    fn rules_that_stay_change_nobody_and_an_operators_word_holds() {
        let resolver = Resolver::default();
        let mut rehearsal = Rehearsal::new(&resolver, &resolver);
        let ann = profile(1, &[("user_id", "ann"), ("email", "a@b.c")]);
        rehearsal.add(
            &ann,
            vec![event(1, &[("user_id", "ann"), ("email", "a@b.c")]), event(2, &[("email", "a@b.c")])],
            &[],
        );
        let merge = MergeId::from_bytes([9; 16]);
        let mut both = ann.clone();
        let bob = profile(2, &[("user_id", "bob")]);
        let link = super::super::profile::part::Link { merge, target: ann.id, source: bob.id };
        both.absorb(bob, link);
        let timeline = || vec![event(1, &[("user_id", "ann")]), event(2, &[("user_id", "bob")])];
        rehearsal.add(&both, timeline(), &[merge]);
        rehearsal.add(&both, timeline(), &[]);
        assert_eq!(rehearsal.preview.splits, 0, "what holds today too is no effect of a change");
        let mut apart = Side { resolver: &resolver, wanted: BTreeMap::new() };
        assert_eq!([&[merge][..], &[]].map(|by| apart.customers(&both, &timeline(), by)), [1, 2]);
    }
}
