use serde::{Deserialize, Serialize};

use super::activity::Activity;
use super::map;
use super::part::{self, Link, Owned, Part};
use super::purchases::Purchases;
use super::subscription::Subscription;
use super::support::Support;
use super::surveys::Surveys;
use super::traits::Traits;
use crate::domain::buckets::Buckets;
use crate::domain::consent::Consents;
use crate::domain::event::OrderKey;
use crate::domain::id::{MergeId, ProfileId, Revision};
use crate::domain::identifier::Identifier;
use crate::domain::time::Timestamp;

/// One customer, as of the last commit that touched them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The customer, for ever: the id of the first part.
    pub id: ProfileId,
    /// The commit that last changed the profile.
    pub revision: Revision,
    /// When the profile last changed, by our clock.
    pub update_time: Timestamp,
    /// What it is made of: itself, then those that merged into it, in the order in which they did.
    pub parts: Vec<Part>,
    /// The merges that hold the parts together, one less than parts.
    pub links: Vec<Link>,
    /// What the events of all parts add up to.
    pub state: State,
    /// For what the data may be used. Whoever writes a profile down puts it behind everything else, where profiles end
    /// that were written before there were consents.
    #[serde(skip)]
    pub consents: Consents,
}

impl Profile {
    /// A customer of whom nothing has happened yet.
    pub fn new(id: ProfileId, create_time: Timestamp) -> Self {
        Self {
            id,
            revision: Revision::default(),
            update_time: create_time,
            parts: vec![Part::new(id, create_time)],
            links: Vec::new(),
            state: State::default(),
            consents: Consents::default(),
        }
    }

    /// When the customer came to be known, by our clock: the earliest of the parts.
    pub fn create_time(&self) -> Timestamp {
        self.parts.iter().map(|part| part.create_time).min().unwrap_or(self.update_time)
    }

    /// What the customer is known by, sorted.
    pub fn identifiers(&self) -> Vec<&Identifier> {
        let owned = self.parts.iter().flat_map(|part| &part.identifiers);
        let mut identifiers: Vec<_> = owned.map(|owned| &owned.identifier).collect();
        identifiers.sort();
        identifiers
    }

    /// How many identifiers the customer is known by.
    pub fn count_identifiers(&self) -> usize {
        self.parts.iter().map(|part| part.identifiers.len()).sum()
    }

    /// Those of a type.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Identifier> {
        self.parts.iter().flat_map(move |part| part.of_kind(kind)).map(|owned| &owned.identifier)
    }

    /// What is known about an identifier of the customer.
    pub fn owned(&self, identifier: &Identifier) -> Option<&Owned> {
        self.parts.iter().find_map(|part| Some(&part.identifiers[part.position(identifier).ok()?]))
    }

    /// The part that an event belongs to: the one that owns the strongest of its identifiers, which come in that order,
    /// or the first of all.
    pub fn part_by_strength(&self, identifiers: &[Identifier]) -> ProfileId {
        let owner = |identifier| self.parts.iter().find(|part| part.position(identifier).is_ok());
        identifiers.iter().find_map(owner).map_or(self.id, |part| part.id)
    }

    /// The part that a merge by these identifiers joins: the first that owns any of them, or the first of all. So what
    /// is linked to both sides of an earlier merge stays with the side that survived when that is undone.
    pub fn part_of(&self, identifiers: &[Identifier]) -> ProfileId {
        let owns_any = |part: &&Part| identifiers.iter().any(|identifier| part.position(identifier).is_ok());
        self.parts.iter().find(owns_any).map_or(self.id, |part| part.id)
    }

    /// Gives identifiers to a part. It has each once.
    pub fn claim(&mut self, part: ProfileId, identifiers: impl IntoIterator<Item = Identifier>) {
        let Some(part) = self.parts.iter_mut().find(|known| known.id == part) else { return };
        for identifier in identifiers {
            if let Err(place) = part.position(&identifier) {
                part.identifiers.insert(place, Owned { identifier, authenticated: None });
            }
        }
    }

    /// Takes an identifier away.
    pub fn release(&mut self, identifier: &Identifier) {
        for part in &mut self.parts {
            if let Ok(place) = part.position(identifier) {
                part.identifiers.remove(place);
            }
        }
    }

    /// Takes the identifiers away that are gone.
    pub fn release_where(&mut self, is_gone: impl Fn(&Identifier) -> bool) {
        self.retain_identifiers(|identifier| !is_gone(identifier));
    }

    /// Forgets the identifiers that are not kept.
    pub fn retain_identifiers(&mut self, keep: impl Fn(&Identifier) -> bool) {
        for part in &mut self.parts {
            part.identifiers.retain(|owned| keep(&owned.identifier));
        }
    }

    /// Notes that a device was seen with its user at an event time.
    pub fn authenticate(&mut self, identifier: &Identifier, time: Timestamp) {
        for part in &mut self.parts {
            if let Ok(place) = part.position(identifier) {
                let authenticated = &mut part.identifiers[place].authenticated;
                *authenticated = (*authenticated).max(Some(time));
            }
        }
    }

    /// Takes over statements, of which the later ones hold.
    pub fn join_traits(&mut self, stated: Traits) {
        for (name, stated) in stated {
            let known = self.state.traits.get(&name);
            if known.is_none_or(|known| (known.time, &known.source) <= (stated.time, &stated.source)) {
                self.state.traits.insert(name, stated);
            }
        }
    }

    /// Takes over the parts of another profile, and its traits as far as that can be said without its events. The
    /// states are not joined: the events must be folded anew.
    pub fn absorb(&mut self, mut other: Self, link: Link) {
        self.join_traits(std::mem::take(&mut other.state.traits));
        self.parts.extend(other.parts);
        self.links.extend(other.links);
        self.links.push(link);
        self.consents.join(other.consents);
        self.update_time = self.update_time.max(other.update_time);
    }

    /// The groups that the parts would fall into without a merge, each with the part first that it would be named by.
    /// More than one only where the merge is one of this profile's.
    pub fn groups_without(&self, merge: MergeId) -> Vec<Vec<ProfileId>> {
        self.groups_by(|held| held != merge)
    }

    /// The groups that the parts would fall into if of all merges only these held them together.
    pub fn groups_by(&self, holds: impl Fn(MergeId) -> bool) -> Vec<Vec<ProfileId>> {
        part::groups(&self.parts, self.links.iter().filter(|link| holds(link.merge)))
    }

    /// Falls apart into the groups, without the links of a merge. The states are empty: the events must be folded anew.
    pub fn split(mut self, merge: MergeId, groups: &[Vec<ProfileId>]) -> Vec<Self> {
        self.links.retain(|link| link.merge != merge);
        let mut split = Vec::with_capacity(groups.len());
        for group in groups {
            let Some(id) = group.first() else { continue };
            let parts = group.iter().filter_map(|id| self.parts.iter().find(|part| part.id == *id).cloned());
            let links = self.links.iter().filter(|link| group.contains(&link.target)).copied();
            split.push(Self {
                id: *id,
                revision: self.revision,
                update_time: self.update_time,
                parts: parts.collect(),
                links: links.collect(),
                state: State::default(),
                consents: self.consents.of_parts(group),
            });
        }
        split
    }
}

/// The fold of a customer's events in canonical order; a pure function of that set of events.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// The latest event folded in; an event that orders before it needs a refold.
    pub last: Option<OrderKey>,
    /// What the customer did, by channel, kind and name.
    pub activity: Activity,
    /// What sources say about the customer.
    #[serde(deserialize_with = "map::read")]
    pub traits: Traits,
    /// What the customer bought.
    pub purchases: Purchases,
    /// How the customer was helped.
    pub support: Support,
    /// What the customer answered.
    pub surveys: Surveys,
    /// What the customer subscribes to.
    pub subscription: Option<Subscription>,
    /// Counts by day, from which windows are evaluated at any later `now`.
    pub days: Buckets,
}
