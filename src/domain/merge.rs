//! Merges of profiles, and the record that is kept of each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::EventKey;
use super::fact::{Document, Fact, MergeFact, MergedSource};
use super::id::{MergeId, ProfileId};
use super::identifier::Identifier;
use super::profile::Profile;
use super::profile::part::Link;
use super::profile::traits::Trait;
use super::time::Timestamp;

/// A merge that was decided and is not accepted yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// What the journal will say.
    pub fact: MergeFact,
    cause: MergeCause,
    sources: Vec<SourceRecord>,
    /// Traits that more than one of the profiles has, with what each says.
    contested: BTreeMap<String, Vec<(ProfileId, Trait)>>,
}

/// What is kept of a merge for those who ask why two customers became one. Sealed: only its end is added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MergeRecord {
    /// Names the merge.
    pub id: MergeId,
    /// The profile that stayed.
    pub survivor: ProfileId,
    /// The part of it that the others were joined to: it stays on the same side, whatever else is undone.
    pub part: ProfileId,
    /// The profiles that became part of it, as they were.
    pub sources: Vec<SourceRecord>,
    /// What made them one.
    pub cause: MergeCause,
    /// Traits that more than one of them had, each with the profile whose value holds.
    pub traits: Vec<TraitWinner>,
    /// When, by our clock.
    pub time: Timestamp,
    /// When it was undone, if it was.
    pub undo_time: Option<Timestamp>,
}

/// A profile that became part of another, as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The profile.
    pub profile: ProfileId,
    /// What it was known by.
    pub identifiers: Vec<Identifier>,
}

/// A trait on which profiles disagreed, or that they shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraitWinner {
    /// The trait's name.
    pub name: String,
    /// The profiles that had it.
    pub among: Vec<ProfileId>,
    /// The one of them whose value holds: the later one by event time.
    pub winner: ProfileId,
}

/// What makes profiles one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MergeCause {
    /// An event named several.
    Event {
        /// The event.
        key: EventKey,
        /// Its identifiers that name them.
        identifiers: Vec<Identifier>,
    },
    /// An operator said so, and why.
    Operator {
        /// In the operator's words.
        reason: String,
    },
}

impl Merge {
    /// Decides that `sources` become part of `target`, each joined by the part that `part_of` picks on either side.
    pub fn decide(
        id: MergeId,
        target: &Profile,
        sources: &[Profile],
        cause: MergeCause,
        part_of: impl Fn(&Profile) -> ProfileId,
    ) -> Self {
        let to = part_of(target);
        let merged = |source: &Profile| MergedSource { profile: source.id, part: part_of(source), to };
        let fact = MergeFact { id, survivor: target.id, sources: sources.iter().map(merged).collect() };
        let mut contested: BTreeMap<String, Vec<(ProfileId, Trait)>> = BTreeMap::new();
        for profile in sources.iter().chain([target]) {
            for (name, stated) in &profile.state.traits {
                contested.entry(name.clone()).or_default().push((profile.id, stated.clone()));
            }
        }
        contested.retain(|_, statements| statements.len() > 1);
        Self { fact, cause, sources: sources.iter().map(SourceRecord::of).collect(), contested }
    }

    /// What joins each source to the target, in the order of the sources.
    pub fn links(&self) -> impl Iterator<Item = Link> {
        self.fact.links()
    }

    /// The record of the merge, accepted at `time`, once it is known what became of the profile. Where later events of
    /// the same batch have stated a trait again, the later statement is taken for the one that held.
    pub fn record(&self, after: Option<&Profile>, time: Timestamp) -> MergeRecord {
        let holds = |name: &str, stated: &Trait| after.and_then(|after| after.state.traits.get(name)) == Some(stated);
        let winner = |(name, statements): (&String, &Vec<(ProfileId, Trait)>)| {
            let held = statements.iter().find(|(_, stated)| holds(name, stated));
            let latest = || statements.iter().max_by_key(|(_, stated)| (stated.time, &stated.source));
            let (winner, _) = held.or_else(latest)?;
            let among = statements.iter().map(|(profile, _)| *profile).collect();
            Some(TraitWinner { name: name.clone(), among, winner: *winner })
        };
        MergeRecord {
            id: self.fact.id,
            survivor: self.fact.survivor,
            part: self.fact.sources.first().map_or(self.fact.survivor, |source| source.to),
            sources: self.sources.clone(),
            cause: self.cause.clone(),
            traits: self.contested.iter().filter_map(winner).collect(),
            time,
            undo_time: None,
        }
    }
}

impl MergeRecord {
    /// The documents that keep the record: itself, and an entry for each profile that it is found by.
    pub fn documents(self) -> impl Iterator<Item = Fact> {
        let (id, survivor) = (self.id, self.survivor);
        let profiles: Vec<_> = self.sources.iter().map(|source| source.profile).chain([survivor]).collect();
        let entries = profiles.into_iter().map(move |profile| Document::ProfileMerge(profile, id));
        entries.chain([Document::Merge(self)]).map(Fact::Document)
    }
}

impl SourceRecord {
    fn of(profile: &Profile) -> Self {
        Self { profile: profile.id, identifiers: profile.identifiers().into_iter().cloned().collect() }
    }
}
