//! What is kept of the events of customers: the events themselves, or, where they have expired, what they added up to.
//!
//! Expired events are folded into a *base*, from which folding goes on. A base is of a set of parts, and exact for it:
//! it is the fold of all their events before a time, in canonical order, as if the parts had always been one. A part
//! whose merge can still be undone has a base of its own, so that undoing gives each side back exactly what was its
//! own; beside it there is one of the profile as a whole, so that expiring changes nothing of what the profile says.
//! Only where profiles become one, or fall apart into groups of which there is no base, after their events have
//! expired, bases are joined, which is near the truth and not exact ([`super::profile`] says where).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::event::{Event, SentIdentifier};
use super::fact::ExpireFact;
use super::fold;
use super::id::ProfileId;
use super::limits;
use super::profile::State;
use super::time::Timestamp;

/// How far back the history of a workspace goes. It only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Horizon {
    /// What happened before has expired: nobody is told of it any more, and no event that old is accepted.
    pub before: Timestamp,
    /// All events before this time have been forgotten, by a commit no later than the one of this document.
    pub forgotten_before: Timestamp,
}

impl Horizon {
    /// Whether there may be events that have expired and are not forgotten yet.
    pub fn is_under_way(&self) -> bool {
        self.forgotten_before < self.before
    }

    /// Whether a customer may have some. Most have none each time that the horizon moves by a day, and their events need
    /// not be looked at.
    pub fn concerns(&self, state: &State) -> bool {
        state.activity.all.is_some_and(|all| all.first < self.before)
            && state.days.may_have(self.forgotten_before.day(), self.before.day())
    }
}

/// What the events of some parts before a time add up to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// The parts, sorted.
    pub parts: Vec<ProfileId>,
    /// The time.
    pub before: Timestamp,
    /// The identifiers that the events carried, as they were sent: the first of them, as many as a profile may have.
    pub carried: BTreeSet<SentIdentifier>,
    /// The fold of the events.
    pub state: State,
}

/// What is kept of the events of one part.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// Bases that are kept with the part; they may be of more parts than this one.
    pub bases: Vec<Base>,
    /// The events.
    pub events: Vec<Event>,
}

/// What is kept of the events of several parts, as one history.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Whole {
    /// What the expired events add up to; `None` where none has expired.
    pub base: Option<Base>,
    /// The other events, in canonical order.
    pub events: Vec<Event>,
}

impl Whole {
    /// The history of parts, each with what is kept of it.
    ///
    /// Of the bases the largest are taken, which are exact for the most parts. Where several remain, all are brought to
    /// the same time, each by the events of its own parts, and joined.
    pub fn of(histories: Vec<(ProfileId, History)>) -> Self {
        let parts: BTreeSet<ProfileId> = histories.iter().map(|(part, _)| *part).collect();
        let (mut bases, mut by_part) = (Vec::new(), BTreeMap::<ProfileId, Vec<Event>>::new());
        for (part, history) in histories {
            bases.extend(history.bases);
            by_part.entry(part).or_default().extend(history.events);
        }
        let (mut roots, mut base) = (roots(bases, &parts), None);
        if let Some(before) = roots.iter().map(|root| root.before).filter(|before| *before > Timestamp::MIN).max() {
            let mut whole = Base::empty(parts.into_iter().collect());
            for mut root in roots.drain(..) {
                root.take(take_early(&mut by_part, &root, before), before);
                whole.join(root);
            }
            base = Some(Base { before, ..whole });
        }
        let mut events: Vec<Event> = by_part.into_values().flatten().collect();
        fold::sort(&mut events);
        Self { base, events }
    }

    /// Lets the events before a time expire.
    #[must_use]
    pub fn expired(mut self, parts: Vec<ProfileId>, before: Timestamp) -> Self {
        let kept = self.events.partition_point(|event| event.times.event < before);
        let events = self.events.split_off(kept);
        if self.base.is_none() && self.events.is_empty() {
            return Self { base: None, events };
        }
        let mut base = self.base.unwrap_or_else(|| Base::empty(parts));
        base.take(self.events, before);
        Self { base: Some(base), events }
    }

    /// Whether what was known at a time can still be told.
    pub fn reaches_back_to(&self, time: Timestamp) -> bool {
        self.base.as_ref().is_none_or(|base| base.before <= time)
    }

    /// What everything adds up to.
    pub fn refold(&self) -> State {
        self.refold_with(|_| true)
    }

    /// What everything up to a time adds up to, which lies behind the time of the base.
    pub fn refold_until(&self, time: Timestamp) -> State {
        self.refold_with(|event| event.times.event <= time)
    }

    fn refold_with(&self, counts: impl Fn(&Event) -> bool) -> State {
        let mut state = self.base.as_ref().map(|base| base.state.clone()).unwrap_or_default();
        self.events.iter().filter(|event| counts(event)).for_each(|event| fold::fold(&mut state, event));
        state
    }
}

/// The bases that are kept of a profile whose events expire, each with the part that it is kept with: one for each group
/// of parts, and where that says less than the profile, one of all.
pub(super) fn bases_of(histories: &[(ProfileId, History)], fact: &ExpireFact) -> Vec<(ProfileId, Base)> {
    let base_of = |parts: &[ProfileId]| {
        let of_parts = histories.iter().filter(|(part, _)| parts.contains(part)).cloned().collect();
        Whole::of(of_parts).expired(parts.to_vec(), fact.before).base
    };
    let of_group = |group: &Vec<ProfileId>| Some((*group.first()?, base_of(group)?));
    let groups = separable(fact.groups.clone(), histories);
    let mut bases: Vec<(ProfileId, Base)> = groups.iter().filter_map(of_group).collect();
    if bases.len() > 1 {
        let all: Vec<ProfileId> = histories.iter().map(|(part, _)| *part).collect();
        bases.extend(base_of(&all).map(|base| (fact.profile, base)));
    }
    bases
}

/// Groups of parts whose expired events can be told apart. What was joined into one base stays together: nobody knows any
/// more whose it was, and the bases of the sides alone would lose it.
fn separable(mut groups: Vec<Vec<ProfileId>>, histories: &[(ProfileId, History)]) -> Vec<Vec<ProfileId>> {
    let is_own = |base: &&Base| base.parts.iter().all(|part| histories.iter().any(|(own, _)| own == part));
    let bases: Vec<&Base> = histories.iter().flat_map(|(_, history)| &history.bases).filter(is_own).collect();
    let smallest_of = |part: &ProfileId| {
        let holding = bases.iter().filter(|base| base.parts.contains(part));
        holding.min_by_key(|base| base.parts.len())
    };
    let reaching_out = |group: &Vec<ProfileId>| {
        group.iter().filter_map(smallest_of).find(|base| base.parts.iter().any(|part| !group.contains(part)))
    };
    while let Some(base) = groups.iter().find_map(reaching_out) {
        let is_met = |group: &mut Vec<ProfileId>| base.parts.iter().any(|part| group.contains(part));
        let met: Vec<Vec<ProfileId>> = groups.extract_if(.., is_met).collect();
        if met.len() < 2 {
            // A part of the base is in no group, which no fact of ours says.
            groups.extend(met);
            break;
        }
        groups.push(met.concat());
    }
    groups
}

impl Base {
    fn empty(mut parts: Vec<ProfileId>) -> Self {
        parts.sort();
        Self { parts, before: Timestamp::MIN, carried: BTreeSet::new(), state: State::default() }
    }

    /// Folds events of the parts that happened before a time and are not in the base.
    fn take(&mut self, mut events: Vec<Event>, before: Timestamp) {
        fold::sort(&mut events);
        for event in &events {
            fold::fold(&mut self.state, event);
        }
        self.carry(events.into_iter().flat_map(|event| event.identifiers));
        self.before = self.before.max(before);
    }

    fn join(&mut self, other: Self) {
        self.state.join(other.state);
        self.carry(other.carried);
    }

    fn carry(&mut self, identifiers: impl IntoIterator<Item = SentIdentifier>) {
        self.carried.extend(identifiers);
        while self.carried.len() > limits::PROFILE_IDENTIFIERS {
            self.carried.pop_last();
        }
    }
}

/// What the history of some parts begins with: the largest of the bases that are of no other parts, and nothing for
/// the parts that have none. In an order that depends on nothing else.
fn roots(mut bases: Vec<Base>, parts: &BTreeSet<ProfileId>) -> Vec<Base> {
    bases.retain(|base| base.parts.iter().all(|part| parts.contains(part)));
    bases.sort_by(|a, b| b.parts.len().cmp(&a.parts.len()).then_with(|| a.parts.cmp(&b.parts)));
    let (mut roots, mut left) = (Vec::<Base>::new(), parts.clone());
    for base in bases {
        if base.parts.iter().all(|part| left.contains(part)) {
            left.retain(|part| base.parts.binary_search(part).is_err());
            roots.push(base);
        }
    }
    roots.extend(left.into_iter().map(|part| Base::empty(vec![part])));
    roots
}

/// Takes out the events of a base's parts that happened before a time. What is in the base already is dropped: for a
/// reader that came between it may still be there.
fn take_early(by_part: &mut BTreeMap<ProfileId, Vec<Event>>, root: &Base, before: Timestamp) -> Vec<Event> {
    let mut taken = Vec::new();
    for part in &root.parts {
        let Some(events) = by_part.get_mut(part) else { continue };
        let (early, late): (Vec<_>, Vec<_>) =
            std::mem::take(events).into_iter().partition(|event| event.times.event < before);
        *events = late;
        taken.extend(early.into_iter().filter(|event| event.times.event >= root.before));
    }
    taken
}
