//! What facts do to profiles: the one function that both a decision and a replay go through.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Event;
use super::fact::{EventFact, Fact, MergeFact};
use super::fold;
use super::id::ProfileId;
use super::profile::Profile;
use super::time::Timestamp;

/// Where a projection finds what was before. Asked only for profiles that [`touched`] and [`timelines_needed`] name.
pub trait Before {
    /// What may go wrong.
    type Error;

    /// The profile, not following a merge; `None` where it does not exist yet.
    ///
    /// # Errors
    /// When it cannot be read.
    fn profile(&self, id: ProfileId) -> Result<Option<Profile>, Self::Error>;

    /// All accepted events of a profile, in any order.
    ///
    /// # Errors
    /// When they cannot be read.
    fn timeline(&self, id: ProfileId) -> Result<Vec<Event>, Self::Error>;
}

/// What facts did to profiles.
#[derive(Debug, Default, PartialEq)]
pub struct Projection {
    /// Profiles as they are now.
    pub profiles: Vec<Profile>,
    /// Profiles that are no more, each with the survivor that it became part of.
    pub merged: Vec<(ProfileId, ProfileId)>,
}

/// Applies the facts of one commit, in their order, accepted at `time`.
///
/// # Errors
/// Only those of `before`.
pub fn project<B: Before>(facts: &[Fact], time: Timestamp, before: &B) -> Result<Projection, B::Error> {
    let mut working = Working::default();
    for fact in facts {
        match fact {
            Fact::Event(fact) => working.add_event(fact, time, before)?,
            Fact::Merge(fact) => working.merge(fact, time, before)?,
            Fact::Document(_) => {}
        }
    }
    working.finish(before)
}

/// The profiles that the facts name, survivors and sources alike.
pub fn touched(facts: &[Fact]) -> BTreeSet<ProfileId> {
    let mut ids = BTreeSet::new();
    for fact in facts {
        match fact {
            Fact::Event(fact) => {
                ids.insert(fact.profile);
            }
            Fact::Merge(fact) => {
                ids.insert(fact.survivor);
                ids.extend(&fact.sources);
            }
            Fact::Document(_) => {}
        }
    }
    ids
}

/// The profiles whose whole timeline the projection will read: those that merge, and those with a late event.
pub fn timelines_needed<'a>(facts: &[Fact], profile: impl Fn(ProfileId) -> Option<&'a Profile>) -> BTreeSet<ProfileId> {
    let mut ids = BTreeSet::new();
    for fact in facts {
        match fact {
            Fact::Event(fact) if profile(fact.profile).is_some_and(|profile| is_late(&fact.event, profile)) => {
                ids.insert(fact.profile);
            }
            Fact::Merge(fact) => {
                let merging = fact.sources.iter().chain([&fact.survivor]);
                ids.extend(merging.filter(|id| profile(**id).is_some()));
            }
            _ => {}
        }
    }
    ids
}

fn is_late(event: &Event, profile: &Profile) -> bool {
    profile.state.last.as_ref().is_some_and(|last| event.order() < *last)
}

/// Profiles on their way through the facts of one commit.
#[derive(Default)]
struct Working {
    profiles: BTreeMap<ProfileId, Draft>,
    merged: Vec<(ProfileId, ProfileId)>,
}

/// A profile with the events that are not folded in yet.
struct Draft {
    profile: Profile,
    added: Vec<Event>,
    /// Stored timelines that the profile is made of; more than its own after a merge.
    stored: Vec<ProfileId>,
    refold: bool,
}

impl Working {
    fn draft<B: Before>(&mut self, id: ProfileId, time: Timestamp, before: &B) -> Result<&mut Draft, B::Error> {
        Ok(match self.profiles.entry(id) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                let known = before.profile(id)?;
                let stored = known.iter().map(|profile| profile.id).collect();
                let profile = known.unwrap_or_else(|| Profile::new(id, time));
                vacant.insert(Draft { profile, added: Vec::new(), stored, refold: false })
            }
        })
    }

    fn add_event<B: Before>(&mut self, fact: &EventFact, time: Timestamp, before: &B) -> Result<(), B::Error> {
        let draft = self.draft(fact.profile, time, before)?;
        draft.refold |= is_late(&fact.event, &draft.profile);
        draft.profile.claim(fact.claims.iter().cloned());
        draft.profile.update_time = time;
        draft.added.push(fact.event.clone());
        Ok(())
    }

    fn merge<B: Before>(&mut self, fact: &MergeFact, time: Timestamp, before: &B) -> Result<(), B::Error> {
        for source in &fact.sources {
            self.draft(*source, time, before)?;
            let Some(source) = self.profiles.remove(source) else { continue };
            let survivor = self.draft(fact.survivor, time, before)?;
            survivor.profile.claim(source.profile.identifiers);
            survivor.profile.create_time = survivor.profile.create_time.min(source.profile.create_time);
            survivor.profile.update_time = time;
            survivor.added.extend(source.added);
            survivor.stored.extend(source.stored);
            survivor.refold = true;
            self.merged.push((source.profile.id, fact.survivor));
        }
        Ok(())
    }

    fn finish<B: Before>(self, before: &B) -> Result<Projection, B::Error> {
        let profiles = self.profiles.into_values().map(|draft| draft.finish(before)).collect::<Result<_, _>>()?;
        Ok(Projection { profiles, merged: self.merged })
    }
}

impl Draft {
    fn finish<B: Before>(mut self, before: &B) -> Result<Profile, B::Error> {
        if self.refold {
            for id in self.stored {
                self.added.extend(before.timeline(id)?);
            }
            fold::sort(&mut self.added);
            self.profile.state = fold::refold(&self.added);
        } else {
            fold::sort(&mut self.added);
            self.added.iter().for_each(|event| fold::fold(&mut self.profile.state, event));
        }
        Ok(self.profile)
    }
}
