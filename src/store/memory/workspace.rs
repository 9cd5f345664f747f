//! The data of one workspace, in plain maps.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::time::Duration;

use crate::domain::event::{Event, EventKey};
use crate::domain::fact::{Document, DocumentKey, DocumentKind, EventFact, Fact};
use crate::domain::fold;
use crate::domain::id::{ProfileId, Revision};
use crate::domain::identifier::Identifier;
use crate::domain::profile::Profile;
use crate::domain::time::Timestamp;
use crate::store::{Commit, Precondition, StoredEvent, Versioned};

#[derive(Default)]
pub(super) struct Workspace {
    profiles: BTreeMap<ProfileId, Profile>,
    /// Profiles by the ids of the parts that stand for them.
    merged: HashMap<ProfileId, ProfileId>,
    /// Parts by what they own.
    owners: HashMap<Identifier, ProfileId>,
    /// Events by the part that they were accepted for.
    events: HashMap<ProfileId, Vec<Event>>,
    seen: HashMap<EventKey, (ProfileId, usize)>,
    documents: BTreeMap<DocumentKey, Versioned<Document>>,
}

impl Workspace {
    /// The profile that an id resolves to.
    pub(super) fn profile(&self, id: ProfileId) -> Option<&Profile> {
        self.profiles.get(&self.survivor(id))
    }

    fn survivor(&self, part: ProfileId) -> ProfileId {
        self.merged.get(&part).copied().unwrap_or(part)
    }

    pub(super) fn owner(&self, identifier: &Identifier) -> Option<ProfileId> {
        self.owners.get(identifier).map(|part| self.survivor(*part))
    }

    pub(super) fn profiles_after(&self, after: Option<ProfileId>) -> impl Iterator<Item = &Profile> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.profiles.range((from, Bound::Unbounded)).map(|(_, profile)| profile)
    }

    /// The event accepted under a key and not yet forgotten at `now`.
    pub(super) fn find_event(&self, key: &EventKey, window: Duration, now: Timestamp) -> Option<StoredEvent> {
        let (accepted_for, position) = self.seen.get(key)?;
        let event = self.events.get(accepted_for)?.get(*position)?;
        let remembered = event.times.received.plus(window) >= now;
        remembered.then(|| StoredEvent { profile: self.survivor(*accepted_for), event: event.clone() })
    }

    pub(super) fn timeline(&self, part: ProfileId) -> Vec<Event> {
        let mut timeline = self.events.get(&part).cloned().unwrap_or_default();
        fold::sort(&mut timeline);
        timeline
    }

    pub(super) fn document(&self, key: &DocumentKey) -> Option<&Versioned<Document>> {
        self.documents.get(key)
    }

    pub(super) fn documents_after(
        &self,
        kind: DocumentKind,
        after: Option<&str>,
    ) -> impl Iterator<Item = &Versioned<Document>> {
        let key = |name: &str| DocumentKey { kind, name: name.to_owned() };
        let from = after.map_or(Bound::Included(key("")), |after| Bound::Excluded(key(after)));
        let range = self.documents.range((from, Bound::Unbounded));
        range.take_while(move |(key, _)| key.kind == kind).map(|(_, document)| document)
    }

    pub(super) fn holds(&self, precondition: &Precondition, window: Duration, now: Timestamp) -> bool {
        match precondition {
            Precondition::Profile(id, seen) => self.profiles.get(id).map(|profile| profile.revision) == *seen,
            Precondition::Owner(identifier, seen) => self.owner(identifier) == *seen,
            Precondition::EventAbsent(key) => self.find_event(key, window, now).is_none(),
            Precondition::Document(key, seen) => self.document(key).map(|document| document.revision) == *seen,
        }
    }

    pub(super) fn apply(&mut self, commit: Commit, revision: Revision) {
        for fact in commit.facts {
            match fact {
                Fact::Event(fact) => self.add_event(fact),
                // What these do is in the projection.
                Fact::Merge(_) | Fact::Unmerge(_) => {}
                Fact::Document(value) => {
                    self.documents.insert(value.key(), Versioned { revision, value });
                }
            }
        }
        for (part, profile) in commit.projection.redirects {
            self.profiles.remove(&part);
            self.merged.insert(part, profile);
        }
        for profile in commit.projection.profiles {
            self.profiles.insert(profile.id, Profile { revision, ..profile });
        }
    }

    fn add_event(&mut self, fact: EventFact) {
        let events = self.events.entry(fact.part).or_default();
        self.seen.insert(fact.event.key.clone(), (fact.part, events.len()));
        self.owners.extend(fact.claims.into_iter().map(|identifier| (identifier, fact.part)));
        events.push(fact.event);
    }
}
