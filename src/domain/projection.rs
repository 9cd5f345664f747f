//! What facts do to profiles: the one function that both a decision and a replay go through.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::erasure::{EraseFact, Mark, Remains, RemainsOfEvent};
use super::event::Event;
use super::fact::{ConsentFact, EventFact, ExpireFact, Fact, MergeFact, UnmergeFact};
use super::fold;
use super::history::{self, Base, History, Whole};
use super::id::ProfileId;
use super::identifier::Identifier;
use super::profile::Profile;
use super::time::Timestamp;

/// Where a projection finds what was before. Asked only for profiles that [`touched`] names, once for each, so that they
/// may be given away instead of copied, and for the histories of [`histories_needed`].
pub trait Before {
    /// What may go wrong.
    type Error;

    /// The profile, not following a merge; `None` where it does not exist yet.
    ///
    /// # Errors
    /// When it cannot be read.
    fn profile(&mut self, id: ProfileId) -> Result<Option<Profile>, Self::Error>;

    /// What is kept of the events of one part of a profile, which come in any order; nothing for a part that does not
    /// exist yet.
    ///
    /// # Errors
    /// When it cannot be read.
    fn history(&self, part: ProfileId) -> Result<History, Self::Error>;

    /// What stands for an identifier where it was written as a mark. Only whoever reads what was written needs to know.
    fn mark(&self, _: &Identifier) -> Option<Mark> {
        None
    }
}

/// What facts did to profiles.
#[derive(Debug, Default, PartialEq)]
pub struct Projection {
    /// Profiles as they are now.
    pub profiles: Vec<Profile>,
    /// Ids that stand for another profile from now on, each with that profile; a profile that a merge was undone for
    /// stands for itself again.
    pub redirects: Vec<(ProfileId, ProfileId)>,
    /// Parts whose bases are others now, each with all that it has.
    pub bases: Vec<(ProfileId, Vec<Base>)>,
    /// Parts whose events before a time are forgotten. Whoever decided on their history must decide anew, so that this
    /// changes the revision of their profile, although it says what it said.
    pub forgotten: Vec<(ProfileId, Timestamp)>,
    /// Parts that are no more, with everything that was theirs.
    pub erased: Vec<ProfileId>,
}

/// Applies the facts of one commit, in their order, accepted at `time`.
///
/// # Errors
/// Only those of `before`.
pub fn project<'a, B: Before>(facts: &'a [Fact], time: Timestamp, before: &'a mut B) -> Result<Projection, B::Error> {
    let mut working = Working { time, before, drafts: BTreeMap::new(), redirects: Vec::new(), erased: Vec::new() };
    for fact in facts {
        match fact {
            Fact::Event(fact) => working.add_event(fact)?,
            Fact::Merge(fact) => working.merge(fact)?,
            Fact::Unmerge(fact) => working.unmerge(fact)?,
            Fact::Expire(fact) => working.expire(fact)?,
            Fact::Consent(fact) => working.consent(fact)?,
            Fact::Erase(fact) => working.erase(fact),
            Fact::Forgotten(Remains::Event(event)) => working.add_forgotten(event)?,
            Fact::Document(_) | Fact::Forgotten(Remains::Document) => {}
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
            Fact::Expire(fact) => {
                ids.insert(fact.profile);
            }
            Fact::Consent(fact) => {
                ids.insert(fact.profile);
            }
            Fact::Forgotten(Remains::Event(event)) => {
                ids.insert(event.profile);
                ids.extend(event.released.iter().map(|(from, _)| *from));
            }
            Fact::Document(_) | Fact::Erase(_) | Fact::Forgotten(Remains::Document) => {}
        }
    }
    ids
}

/// The parts whose histories the projection will read: those of profiles that merge, fall apart, have a late event or
/// forget some.
pub fn histories_needed<'a>(facts: &[Fact], profile: impl Fn(ProfileId) -> Option<&'a Profile>) -> BTreeSet<ProfileId> {
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
            Fact::Expire(fact) => need(fact.profile, &|_| true),
            Fact::Consent(_) | Fact::Document(_) | Fact::Erase(_) | Fact::Forgotten(_) => {}
        }
    }
    ids
}

fn is_late(event: &Event, profile: &Profile) -> bool {
    profile.state.last.as_ref().is_some_and(|last| event.place() < last.place())
}

/// Profiles on their way through the facts of one commit.
struct Working<'a, B> {
    time: Timestamp,
    before: &'a mut B,
    drafts: BTreeMap<ProfileId, Draft<'a>>,
    redirects: Vec<(ProfileId, ProfileId)>,
    erased: Vec<ProfileId>,
}

/// A profile with the events that are not folded in yet, each with its part.
struct Draft<'a> {
    profile: Profile,
    added: Vec<(ProfileId, &'a Event)>,
    refold: bool,
    /// Whether the profile says something else than before.
    is_changed: bool,
    expires: Option<ExpireFact>,
}

impl Draft<'_> {
    fn of(profile: Profile) -> Self {
        Self { profile, added: Vec::new(), refold: false, is_changed: false, expires: None }
    }
}

impl<'a, B: Before> Working<'a, B> {
    /// A profile that will say something else.
    fn draft(&mut self, id: ProfileId) -> Result<&mut Draft<'a>, B::Error> {
        let time = self.time;
        let draft = self.look(id)?;
        draft.profile.update_time = time;
        draft.is_changed = true;
        Ok(draft)
    }

    fn look(&mut self, id: ProfileId) -> Result<&mut Draft<'a>, B::Error> {
        Ok(match self.drafts.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                let known = self.before.profile(id)?;
                vacant.insert(Draft::of(known.unwrap_or_else(|| Profile::new(id, self.time))))
            }
        })
    }

    fn add_event(&mut self, fact: &'a EventFact) -> Result<(), B::Error> {
        for release in &fact.released {
            self.draft(release.from)?.profile.release(&release.identifier);
        }
        let draft = self.draft(fact.profile)?;
        draft.refold |= is_late(&fact.event, &draft.profile);
        draft.profile.claim(fact.part, fact.claims.iter().cloned());
        for device in &fact.authenticated {
            draft.profile.authenticate(device, fact.event.times.event);
        }
        draft.added.push((fact.part, &fact.event));
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
            let is_own = |(part, _): &(ProfileId, &Event)| profile.parts.iter().any(|own| own.id == *part);
            let (own, others) = added.into_iter().partition(is_own);
            added = others;
            self.drafts.insert(id, Draft { added: own, refold: true, is_changed: true, ..Draft::of(profile) });
        }
        Ok(())
    }

    fn expire(&mut self, fact: &ExpireFact) -> Result<(), B::Error> {
        self.look(fact.profile)?.expires = Some(fact.clone());
        Ok(())
    }

    /// The customer goes, whatever else the commit says of them.
    fn erase(&mut self, fact: &EraseFact) {
        self.drafts.remove(&fact.profile);
        self.erased.extend(&fact.parts);
    }

    /// An event of somebody who is forgotten by now. Until then others merge with the profile, and lose identifiers to it,
    /// as they did.
    fn add_forgotten(&mut self, event: &RemainsOfEvent) -> Result<(), B::Error> {
        for (from, mark) in &event.released {
            self.look(*from)?;
            let lost: Vec<Identifier> = match self.drafts.get(from) {
                Some(draft) => draft.profile.identifiers().into_iter().cloned().collect(),
                None => Vec::new(),
            };
            let is_gone = |identifier: &Identifier| self.before.mark(identifier) == Some(*mark);
            let lost: Vec<Identifier> = lost.into_iter().filter(is_gone).collect();
            self.draft(*from)?.profile.release_where(|identifier| lost.contains(identifier));
        }
        self.draft(event.profile)?;
        Ok(())
    }

    fn consent(&mut self, fact: &ConsentFact) -> Result<(), B::Error> {
        self.draft(fact.profile)?.profile.consents.record(fact.standing.clone());
        Ok(())
    }

    fn finish(self) -> Result<Projection, B::Error> {
        let mut projection = Projection { redirects: self.redirects, erased: self.erased, ..Projection::default() };
        for draft in self.drafts.into_values() {
            draft.finish(self.before, &mut projection)?;
        }
        Ok(projection)
    }
}

impl<'a> Draft<'a> {
    fn finish<B: Before>(mut self, before: &B, projection: &mut Projection) -> Result<(), B::Error> {
        let added = std::mem::take(&mut self.added);
        if self.refold || self.expires.is_some() {
            let histories = self.histories(before, added)?;
            projection.bases.extend(self.bases(&histories));
            if let Some(fact) = &self.expires {
                projection.forgotten.extend(histories.iter().map(|(part, _)| (*part, fact.before)));
            }
            if self.refold {
                self.profile.state = Whole::of(histories).refold();
            }
        } else {
            let mut events: Vec<&Event> = added.into_iter().map(|(_, event)| event).collect();
            fold::sort(&mut events);
            events.into_iter().for_each(|event| fold::fold(&mut self.profile.state, event));
        }
        projection.profiles.extend(Some(self.profile).filter(|_| self.is_changed));
        Ok(())
    }

    /// What is kept of the events of each part, with those that the commit adds.
    fn histories<B: Before>(
        &self,
        before: &B,
        added: Vec<(ProfileId, &'a Event)>,
    ) -> Result<Vec<(ProfileId, History)>, B::Error> {
        let mut histories = Vec::with_capacity(self.profile.parts.len());
        for part in &self.profile.parts {
            histories.push((part.id, before.history(part.id)?));
        }
        for (part, event) in added {
            if let Some((_, history)) = histories.iter_mut().find(|(id, _)| *id == part) {
                history.events.push(event.clone());
            }
        }
        Ok(histories)
    }

    /// The parts whose bases are others now. Where the profile fell apart, those that were of several sides are gone.
    fn bases(&self, histories: &[(ProfileId, History)]) -> Vec<(ProfileId, Vec<Base>)> {
        let is_own = |part: &ProfileId| self.profile.parts.iter().any(|own| own.id == *part);
        let mut changed = Vec::new();
        let made = self.expires.as_ref().map(|fact| history::bases_of(histories, fact));
        for (part, history) in histories {
            let bases: Vec<Base> = match &made {
                Some(made) => made.iter().filter(|(of, _)| of == part).map(|(_, base)| base.clone()).collect(),
                None => history.bases.iter().filter(|base| base.parts.iter().all(is_own)).cloned().collect(),
            };
            if bases != history.bases {
                changed.push((*part, bases));
            }
        }
        changed
    }
}
