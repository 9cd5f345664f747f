//! The data of one workspace, in plain maps.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::time::Duration;

use crate::domain::event::{Event, EventKey};
use crate::domain::fact::{Document, DocumentKey, DocumentKind, EventFact, Fact};
use crate::domain::fold;
use crate::domain::history::History;
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
    /// What is kept of events, by the part that they were accepted for.
    histories: HashMap<ProfileId, History>,
    /// Also those that have expired: a repeat must still be known.
    seen: HashMap<EventKey, (ProfileId, Event)>,
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
        let (accepted_for, event) = self.seen.get(key)?;
        let remembered = event.times.received.plus(window) >= now;
        remembered.then(|| StoredEvent { profile: self.survivor(*accepted_for), event: event.clone() })
    }

    pub(super) fn history(&self, part: ProfileId) -> History {
        let mut history = self.histories.get(&part).cloned().unwrap_or_default();
        fold::sort(&mut history.events);
        history
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
                Fact::Merge(_) | Fact::Unmerge(_) | Fact::Expire(_) | Fact::Consent(_) | Fact::Erase(_) => {}
                Fact::Forgotten(_) => {}
                Fact::Document(value) => {
                    self.documents.insert(value.key(), Versioned { revision, value });
                }
            }
        }
        self.erase(&commit.projection.erased);
        for (part, profile) in commit.projection.redirects {
            self.profiles.remove(&part);
            self.merged.insert(part, profile);
        }
        for profile in commit.projection.profiles {
            self.profiles.insert(profile.id, Profile { revision, ..profile });
        }
        for (part, bases) in commit.projection.bases {
            self.histories.entry(part).or_default().bases = bases;
        }
        for (part, before) in commit.projection.forgotten {
            self.histories.entry(part).or_default().events.retain(|event| event.times.event >= before);
            if let Some(profile) = self.profiles.get_mut(&part) {
                profile.revision = revision;
            }
        }
    }

    fn erase(&mut self, parts: &[ProfileId]) {
        let is_gone = |part: &ProfileId| parts.contains(part);
        self.profiles.retain(|id, _| !is_gone(id));
        self.merged.retain(|part, _| !is_gone(part));
        self.owners.retain(|_, part| !is_gone(part));
        self.histories.retain(|part, _| !is_gone(part));
        self.seen.retain(|_, (part, _)| !is_gone(part));
        self.documents.retain(|_, document| !document.value.subjects().iter().any(is_gone));
    }

    fn add_event(&mut self, fact: EventFact) {
        self.seen.insert(fact.event.key.clone(), (fact.part, fact.event.clone()));
        self.owners.extend(fact.claims.into_iter().map(|identifier| (identifier, fact.part)));
        self.histories.entry(fact.part).or_default().events.push(fact.event);
    }
}
