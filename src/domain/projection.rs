//! What facts do to profiles: the one function that both a decision and a replay go through.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::event::Event;
use super::fact::{EventFact, Fact, MergeFact, UnmergeFact};
use super::fold;
use super::id::ProfileId;
use super::profile::Profile;
use super::time::Timestamp;

/// Where a projection finds what was before. Asked only for profiles that [`touched`] names, and for the timelines of
/// [`timelines_needed`].
pub trait Before {
    /// What may go wrong.
    type Error;

    /// The profile, not following a merge; `None` where it does not exist yet.
    ///
    /// # Errors
    /// When it cannot be read.
    fn profile(&self, id: ProfileId) -> Result<Option<Profile>, Self::Error>;

    /// All accepted events of one part of a profile, in any order; none for a part that does not exist yet.
    ///
    /// # Errors
    /// When they cannot be read.
    fn timeline(&self, part: ProfileId) -> Result<Vec<Event>, Self::Error>;
}

/// What facts did to profiles.
#[derive(Debug, Default, PartialEq)]
pub struct Projection {
    /// Profiles as they are now.
    pub profiles: Vec<Profile>,
    /// Ids that stand for another profile from now on, each with that profile; a profile that a merge was undone for
    /// stands for itself again.
    pub redirects: Vec<(ProfileId, ProfileId)>,
}

/// Applies the facts of one commit, in their order, accepted at `time`.
///
/// # Errors
/// Only those of `before`.
pub fn project<B: Before>(facts: &[Fact], time: Timestamp, before: &B) -> Result<Projection, B::Error> {
    let mut working = Working { time, before, drafts: BTreeMap::new(), redirects: Vec::new() };
    for fact in facts {
        match fact {
            Fact::Event(fact) => working.add_event(fact)?,
            Fact::Merge(fact) => working.merge(fact)?,
            Fact::Unmerge(fact) => working.unmerge(fact)?,
            Fact::Document(_) => {}
        }
    }
    working.finish()
}

/// The profiles that the facts name and that their decision read, survivors and sources alike.
pub fn touched(facts: &[Fact]) -> BTreeSet<ProfileId> {
    let mut ids = BTreeSet::new();
    for fact in facts {
        match fact {
            Fact::Event(fact) => {
                ids.insert(fact.profile);
                ids.extend(fact.released.iter().map(|release| release.from));
            }
            Fact::Merge(fact) => {
                ids.insert(fact.survivor);
                ids.extend(fact.sources.iter().map(|source| source.profile));
            }
            Fact::Unmerge(fact) => {
                ids.insert(fact.profile);
            }
            Fact::Document(_) => {}
        }
    }
    ids
}

/// The parts whose timelines the projection will read: those of profiles that merge, fall apart or have a late event.
pub fn timelines_needed<'a>(facts: &[Fact], profile: impl Fn(ProfileId) -> Option<&'a Profile>) -> BTreeSet<ProfileId> {
    let mut ids = BTreeSet::new();
    let mut need = |id: ProfileId, when: &dyn Fn(&Profile) -> bool| {
        let needed = profile(id).filter(|profile| when(profile));
        ids.extend(needed.into_iter().flat_map(|profile| &profile.parts).map(|part| part.id));
    };
    for fact in facts {
        match fact {
            Fact::Event(fact) => need(fact.profile, &|profile| is_late(&fact.event, profile)),
            Fact::Merge(fact) => {
                need(fact.survivor, &|_| true);
                fact.sources.iter().for_each(|source| need(source.profile, &|_| true));
            }
            Fact::Unmerge(fact) => need(fact.profile, &|_| true),
            Fact::Document(_) => {}
        }
    }
    ids
}

fn is_late(event: &Event, profile: &Profile) -> bool {
    profile.state.last.as_ref().is_some_and(|last| event.order() < *last)
}

/// Profiles on their way through the facts of one commit.
struct Working<'a, B> {
    time: Timestamp,
    before: &'a B,
    drafts: BTreeMap<ProfileId, Draft>,
    redirects: Vec<(ProfileId, ProfileId)>,
}

/// A profile with the events that are not folded in yet, each with its part.
struct Draft {
    profile: Profile,
    added: Vec<(ProfileId, Event)>,
    refold: bool,
}

impl<B: Before> Working<'_, B> {
    fn draft(&mut self, id: ProfileId) -> Result<&mut Draft, B::Error> {
        let draft = match self.drafts.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                let known = self.before.profile(id)?;
                let profile = known.unwrap_or_else(|| Profile::new(id, self.time));
                vacant.insert(Draft { profile, added: Vec::new(), refold: false })
            }
        };
        draft.profile.update_time = self.time;
        Ok(draft)
    }

    fn add_event(&mut self, fact: &EventFact) -> Result<(), B::Error> {
        for release in &fact.released {
            self.draft(release.from)?.profile.release(&release.identifier);
        }
        let draft = self.draft(fact.profile)?;
        draft.refold |= is_late(&fact.event, &draft.profile);
        draft.profile.claim(fact.part, fact.claims.iter().cloned());
        for device in &fact.authenticated {
            draft.profile.authenticate(device, fact.event.times.event);
        }
        draft.added.push((fact.part, fact.event.clone()));
        Ok(())
    }

    fn merge(&mut self, fact: &MergeFact) -> Result<(), B::Error> {
        for (source, link) in fact.sources.iter().zip(fact.links()) {
            self.draft(source.profile)?;
            let Some(joined) = self.drafts.remove(&source.profile) else { continue };
            self.redirects.extend(joined.profile.parts.iter().map(|part| (part.id, fact.survivor)));
            let survivor = self.draft(fact.survivor)?;
            survivor.profile.absorb(joined.profile, link);
            survivor.added.extend(joined.added);
            survivor.refold = true;
        }
        Ok(())
    }

    fn unmerge(&mut self, fact: &UnmergeFact) -> Result<(), B::Error> {
        self.draft(fact.profile)?;
        let Some(whole) = self.drafts.remove(&fact.profile) else { return Ok(()) };
        let mut added = whole.added;
        for profile in whole.profile.split(fact.merge, &fact.groups) {
            let id = profile.id;
            self.redirects.extend(profile.parts.iter().map(|part| (part.id, id)));
            let is_own = |(part, _): &(ProfileId, Event)| profile.parts.iter().any(|own| own.id == *part);
            let (own, others) = added.into_iter().partition(is_own);
            added = others;
            self.drafts.insert(id, Draft { profile, added: own, refold: true });
        }
        Ok(())
    }

    fn finish(self) -> Result<Projection, B::Error> {
        let before = self.before;
        let profiles = self.drafts.into_values().map(|draft| draft.finish(before)).collect::<Result<_, _>>()?;
        Ok(Projection { profiles, redirects: self.redirects })
    }
}

impl Draft {
    fn finish<B: Before>(mut self, before: &B) -> Result<Profile, B::Error> {
        let mut events: Vec<Event> = self.added.into_iter().map(|(_, event)| event).collect();
        if self.refold {
            for part in &self.profile.parts {
                events.extend(before.timeline(part.id)?);
            }
            fold::sort(&mut events);
            self.profile.state = fold::refold(&events);
        } else {
            fold::sort(&mut events);
            events.iter().for_each(|event| fold::fold(&mut self.profile.state, event));
        }
        Ok(self.profile)
    }
}
