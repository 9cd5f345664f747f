//! Deciding a batch of events: whose each one is, one after the other, as if each had come alone.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::event::{Event, EventKey};
use super::fact::{EventFact, Fact};
use super::id::{MergeId, ProfileId};
use super::identifier::Identifier;
use super::identity::{Candidates, Owner, Resolution, Resolver};
use super::limits;
use super::merge::{Merge, MergeCause};
use super::payload::Payload;
use super::profile::size::TraitBudget;
use super::profile::{Profile, traits};
use super::time::Timestamp;

/// What a decision knows of the world: who owns the identifiers of the batch, and those profiles.
#[derive(Debug, Default)]
pub struct Known {
    /// Current owner of each identifier of the batch that has one.
    pub owners: HashMap<Identifier, ProfileId>,
    /// Those owners.
    pub profiles: HashMap<ProfileId, Arc<Profile>>,
}

/// Decides events in their order and gathers what was decided.
pub struct Decider<'a> {
    resolver: &'a Resolver,
    known: Known,
    new_id: &'a mut (dyn FnMut() -> Uuid + Send),
    traits: HashMap<ProfileId, TraitBudget>,
    facts: Vec<Fact>,
    merges: Vec<Merge>,
}

/// Why an event is refused although it is well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The profile would have too many traits.
    #[error(
        "the profile would exceed {} traits or {} bytes of traits",
        limits::PROFILE_TRAITS,
        limits::PROFILE_TRAIT_BYTES
    )]
    TraitLimit,
}

impl<'a> Decider<'a> {
    /// Begins with what is known; `new_id` makes the ids of new profiles and merges.
    pub fn new(resolver: &'a Resolver, known: Known, new_id: &'a mut (dyn FnMut() -> Uuid + Send)) -> Self {
        Self { resolver, known, new_id, traits: HashMap::new(), facts: Vec::new(), merges: Vec::new() }
    }

    /// Decides one event by its identifiers, of which at least one must be usable.
    ///
    /// # Errors
    /// When the event must not be accepted; nothing was decided then.
    pub fn decide(&mut self, event: Event, candidates: Candidates) -> Result<ProfileId, Refusal> {
        let resolution = self.resolver.resolve(candidates, event.times.event, |identifier| {
            self.known.owners.get(identifier).and_then(|owner| self.known.profiles.get(owner)).map(|owner| &**owner)
        });
        let existing = match &resolution.owner {
            Owner::New => Vec::new(),
            Owner::Known(id) => vec![*id],
            Owner::Merged { survivor, sources } => [&[*survivor], sources.as_slice()].concat(),
        };
        self.check_traits(&existing, &event)?;
        let profile = match &resolution.owner {
            Owner::New => self.create(&event),
            Owner::Known(id) => *id,
            Owner::Merged { survivor, sources } => self.merge(*survivor, sources, &event.key, &resolution.named_by),
        };
        let creates = resolution.owner == Owner::New;
        self.spend_traits(profile, &event);
        let part = self.own(profile, &resolution, event.times.event);
        self.state_traits(profile, &event);
        let Resolution { claims, released, authenticated, demoted, .. } = resolution;
        self.facts.push(Fact::Event(EventFact {
            profile,
            creates,
            part,
            event,
            claims,
            released,
            authenticated,
            demoted,
        }));
        Ok(profile)
    }

    /// Everything that was decided, in order, and of the merges among it what their records need.
    pub fn finish(self) -> (Vec<Fact>, Vec<Merge>) {
        (self.facts, self.merges)
    }

    fn create(&mut self, event: &Event) -> ProfileId {
        let id = ProfileId::from((self.new_id)());
        self.known.profiles.insert(id, Arc::new(Profile::new(id, event.times.received)));
        id
    }

    fn merge(
        &mut self,
        survivor: ProfileId,
        sources: &[ProfileId],
        cause: &EventKey,
        named_by: &[Identifier],
    ) -> ProfileId {
        let joined = sources.iter().filter_map(|source| self.known.profiles.remove(source));
        let joined: Vec<Profile> = joined.map(Arc::unwrap_or_clone).collect();
        let Some(target) = change(&mut self.known.profiles, survivor) else { return survivor };
        let cause = MergeCause::Event { key: cause.clone(), identifiers: named_by.to_vec() };
        let id = MergeId::from((self.new_id)());
        let merge = Merge::decide(id, target, &joined, cause, |profile| profile.part_of(named_by));
        self.facts.push(Fact::Merge(merge.fact.clone()));
        for (source, link) in joined.into_iter().zip(merge.links()) {
            let traits = self.traits.remove(&source.id).unwrap_or_else(|| TraitBudget::of(&source));
            for identifier in source.identifiers() {
                self.known.owners.insert(identifier.clone(), survivor);
            }
            target.absorb(source, link);
            let budget = self.traits.entry(survivor).or_insert_with(|| TraitBudget::of(target));
            budget.join(traits);
        }
        self.merges.push(merge);
        survivor
    }

    /// Gives the profile what the event says it owns. Returns the part that the event belongs to.
    fn own(&mut self, profile: ProfileId, resolution: &Resolution, time: Timestamp) -> ProfileId {
        for release in &resolution.released {
            if let Some(from) = change(&mut self.known.profiles, release.from) {
                from.release(&release.identifier);
            }
        }
        self.known.owners.extend(resolution.claims.iter().map(|identifier| (identifier.clone(), profile)));
        let Some(known) = self.known.profiles.get(&profile) else { return profile };
        let part = known.part_by_strength(&resolution.named_by);
        if resolution.claims.is_empty() && resolution.authenticated.is_empty() {
            return part;
        }
        let Some(known) = change(&mut self.known.profiles, profile) else { return profile };
        known.claim(part, resolution.claims.iter().cloned());
        resolution.authenticated.iter().for_each(|device| known.authenticate(device, time));
        part
    }

    /// Lets later decisions of the batch see what the event states, as far as the record of a merge needs it.
    fn state_traits(&mut self, profile: ProfileId, event: &Event) {
        let Payload::Identify(identify) = &event.payload else { return };
        let Some(known) = change(&mut self.known.profiles, profile) else { return };
        let mut stated = traits::Traits::new();
        traits::fold(&mut stated, identify, &event.key.source, event.times.event);
        known.join_traits(stated);
    }

    fn budget(&mut self, id: ProfileId) -> &mut TraitBudget {
        let profiles = &self.known.profiles;
        self.traits
            .entry(id)
            .or_insert_with(|| profiles.get(&id).map(|profile| TraitBudget::of(profile)).unwrap_or_default())
    }

    /// Refuses an event that would take a profile over the limits. One that leaves it no larger than it is passes,
    /// so that a profile that a merge took over them can be brought back.
    fn check_traits(&mut self, profiles: &[ProfileId], event: &Event) -> Result<(), Refusal> {
        let Payload::Identify(identify) = &event.payload else { return Ok(()) };
        let mut before = TraitBudget::default();
        for profile in profiles {
            before.join(self.budget(*profile).clone());
        }
        let mut after = before.clone();
        after.take(identify);
        if after.is_exceeded() && after.is_larger_than(&before) { Err(Refusal::TraitLimit) } else { Ok(()) }
    }

    fn spend_traits(&mut self, profile: ProfileId, event: &Event) {
        if let Payload::Identify(identify) = &event.payload {
            self.budget(profile).take(identify);
        }
    }
}

/// A profile to change. It is copied where somebody else holds it, since most events change nothing of it.
fn change(profiles: &mut HashMap<ProfileId, Arc<Profile>>, id: ProfileId) -> Option<&mut Profile> {
    profiles.get_mut(&id).map(Arc::make_mut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{EventKey, EventTimes};
    use crate::domain::payload::Identify;
    use crate::domain::value::{Map, Value};

    fn identify(number: usize, traits: Map) -> Event {
        let now = Timestamp::from_micros(number as i64);
        Event {
            key: EventKey { source: "test".into(), event_id: number.to_string().into() },
            identifiers: Vec::new(),
            times: EventTimes { original: None, sent: None, received: now, event: now, clamped: false },
            channel: Default::default(),
            source_priority: 0,
            touchpoint: Default::default(),
            payload: Payload::Identify(Identify { traits, traits_once: Map::new() }),
        }
    }

    fn traits(keys: std::ops::Range<usize>, bytes: usize) -> Map {
        keys.map(|key| (format!("key {key:03}"), Value::Text("x".repeat(bytes)))).collect()
    }

    /// Decides the events as one customer's, one after the other.
    fn decide(events: Vec<Map>) -> Vec<bool> {
        let resolver = Resolver::default();
        let mut ids = 0_u128;
        let mut new_id = || {
            ids += 1;
            Uuid::from_u128(ids)
        };
        let mut decider = Decider::new(&resolver, Known::default(), &mut new_id);
        let user = || vec![Identifier::parse("user_id", "ann").expect("an identifier")];
        let decide = |(number, traits)| decider.decide(identify(number, traits), resolver.sort_out(user())).is_ok();
        events.into_iter().enumerate().map(decide).collect()
    }

    #[test]
    fn one_trait_too_many_is_refused_and_a_cleared_one_makes_room() {
        let batches = (0..5).map(|batch| traits(batch * 100..batch * 100 + 100, 1));
        let clear = Map::from([("key 000".to_owned(), Value::Null)]);
        let one_more = || traits(500..501, 1);
        let events = batches.chain([one_more(), clear, one_more()]).collect();
        assert_eq!(decide(events), [true, true, true, true, true, false, true, true]);
    }

    #[test]
    fn the_same_trait_stated_often_counts_once() {
        assert_eq!(decide(vec![traits(0..30, 1_000); 20]), [true; 20]);
    }

    #[test]
    fn too_many_bytes_are_refused() {
        let batches = (0..10).map(|batch| traits(batch * 30..batch * 30 + 30, 1_000)).collect();
        let accepted = decide(batches);
        assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 8, "{accepted:?}");
    }

    #[test]
    fn an_event_that_merges_is_held_to_the_traits_of_both_sides() {
        let resolver = Resolver::default();
        let mut ids = 0_u128;
        let mut new_id = || {
            ids += 1;
            Uuid::from_u128(ids)
        };
        let mut decider = Decider::new(&resolver, Known::default(), &mut new_id);
        let [ann, visitor] = [("user_id", "ann"), ("anonymous_id", "v")]
            .map(|(kind, value)| Identifier::parse(kind, value).expect("an identifier"));
        let mut decide = |number: usize, keys, by: &[&Identifier]| {
            let by = by.iter().map(|identifier| (*identifier).clone()).collect();
            decider.decide(identify(number, traits(keys, 1)), resolver.sort_out(by)).is_ok()
        };
        for batch in 0..5 {
            assert!(decide(batch, batch * 100..batch * 100 + 100, &[if batch < 3 { &ann } else { &visitor }]));
        }
        assert!(!decide(5, 500..501, &[&ann, &visitor]), "together they would have 501");
        assert!(decide(6, 0..1, &[&ann, &visitor]), "the merge itself leaves 500");
    }
}
