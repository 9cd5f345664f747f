//! Deciding a batch of events: whose each one is, one after the other, as if each had come alone.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::event::Event;
use super::fact::{EventFact, Fact, MergeFact};
use super::id::{MergeId, ProfileId};
use super::identifier::Identifier;
use super::identity::{Candidates, IdentityRules, Owner, resolve};
use super::limits;
use super::payload::Payload;
use super::profile::Profile;
use super::value::{Map, Value};

/// What a decision knows of the world: who owns the identifiers of the batch, and those profiles.
#[derive(Debug, Default)]
pub struct Known {
    /// Current owner of each identifier of the batch that has one.
    pub owners: HashMap<Identifier, ProfileId>,
    /// Those owners.
    pub profiles: HashMap<ProfileId, Profile>,
}

/// Decides events in their order and gathers what was decided.
pub struct Decider<'a> {
    rules: &'a IdentityRules,
    known: Known,
    new_id: &'a mut (dyn FnMut() -> Uuid + Send),
    traits: HashMap<ProfileId, TraitBudget>,
    facts: Vec<Fact>,
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
    pub fn new(rules: &'a IdentityRules, known: Known, new_id: &'a mut (dyn FnMut() -> Uuid + Send)) -> Self {
        Self { rules, known, new_id, traits: HashMap::new(), facts: Vec::new() }
    }

    /// Decides one event by its identifiers, of which at least one must be usable.
    ///
    /// # Errors
    /// When the event must not be accepted; nothing was decided then.
    pub fn decide(&mut self, event: Event, candidates: Candidates) -> Result<ProfileId, Refusal> {
        let resolution = resolve(self.rules, candidates, |identifier| {
            self.known.owners.get(identifier).and_then(|owner| self.known.profiles.get(owner))
        });
        let existing = match &resolution.owner {
            Owner::New => None,
            Owner::Known(id) | Owner::Merged { survivor: id, .. } => Some(*id),
        };
        self.check_traits(existing, &event)?;
        let id = match resolution.owner {
            Owner::New => self.create(&event),
            Owner::Known(id) => id,
            Owner::Merged { survivor, sources } => self.merge(survivor, sources),
        };
        self.claim(id, &resolution.claims);
        self.spend_traits(id, &event);
        self.facts.push(Fact::Event(EventFact {
            profile: id,
            event,
            claims: resolution.claims,
            demoted: resolution.demoted,
        }));
        Ok(id)
    }

    /// Everything that was decided, in order.
    pub fn into_facts(self) -> Vec<Fact> {
        self.facts
    }

    fn create(&mut self, event: &Event) -> ProfileId {
        let id = ProfileId::from((self.new_id)());
        self.known.profiles.insert(id, Profile::new(id, event.times.received));
        id
    }

    fn merge(&mut self, survivor: ProfileId, sources: Vec<ProfileId>) -> ProfileId {
        for source in &sources {
            let Some(source) = self.known.profiles.remove(source) else { continue };
            let traits = self.traits.remove(&source.id).unwrap_or_else(|| TraitBudget::of(&source));
            self.budget(survivor).join(traits);
            self.claim(survivor, &source.identifiers);
        }
        self.facts.push(Fact::Merge(MergeFact { id: MergeId::from((self.new_id)()), survivor, sources }));
        survivor
    }

    fn claim(&mut self, owner: ProfileId, identifiers: &[Identifier]) {
        self.known.owners.extend(identifiers.iter().map(|identifier| (identifier.clone(), owner)));
        if let Some(profile) = self.known.profiles.get_mut(&owner) {
            profile.claim(identifiers.iter().cloned());
        }
    }

    fn budget(&mut self, id: ProfileId) -> &mut TraitBudget {
        let profiles = &self.known.profiles;
        self.traits.entry(id).or_insert_with(|| profiles.get(&id).map(TraitBudget::of).unwrap_or_default())
    }

    fn check_traits(&mut self, profile: Option<ProfileId>, event: &Event) -> Result<(), Refusal> {
        let Payload::Identify(identify) = &event.payload else { return Ok(()) };
        let mut after = profile.map(|id| self.budget(id).clone()).unwrap_or_default();
        after.spend(&identify.traits);
        after.spend(&identify.traits_once);
        if after.is_exceeded() { Err(Refusal::TraitLimit) } else { Ok(()) }
    }

    fn spend_traits(&mut self, profile: ProfileId, event: &Event) {
        if let Payload::Identify(identify) = &event.payload {
            let budget = self.budget(profile);
            budget.spend(&identify.traits);
            budget.spend(&identify.traits_once);
        }
    }
}

/// An upper bound of what a profile's traits take, so that no reply about one customer grows without limit.
#[derive(Debug, Clone, Default)]
struct TraitBudget {
    keys: BTreeSet<String>,
    bytes: usize,
}

impl TraitBudget {
    fn of(profile: &Profile) -> Self {
        let traits = &profile.state.traits;
        let bytes = traits.iter().map(|(key, stated)| key.len() + size(&stated.value)).sum();
        Self { keys: traits.keys().cloned().collect(), bytes }
    }

    fn spend(&mut self, traits: &Map) {
        for (key, value) in traits {
            self.bytes += key.len() + size(value);
            self.keys.insert(key.clone());
        }
    }

    fn join(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.bytes += other.bytes;
    }

    fn is_exceeded(&self) -> bool {
        self.keys.len() > limits::PROFILE_TRAITS || self.bytes > limits::PROFILE_TRAIT_BYTES
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
