//! What a commit changes about profiles, as their followers are told: a pure function of its facts.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::erasure::{Remains, RemainsOfEvent};
use super::event::EventKey;
use super::fact::{EventFact, Fact, MergeFact, UnmergeFact};
use super::id::{MergeId, ProfileId};
use super::payload::Payload;

/// Every part of a profile that its events add up to, as the contract names the fields.
const ALL_FIELDS: [&str; 9] =
    ["identifiers", "traits", "activity", "purchases", "support", "surveys", "subscription", "consents", "create_time"];

/// What one fact changes about one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileChange {
    /// The profile, by the id that it has at that moment.
    pub profile: ProfileId,
    /// What became of it.
    pub kind: ChangeKind,
    /// The fields that may differ now, in the order in which a profile has them. What any change touches (etag, update
    /// time) and what only follows from other fields (times first and last seen, segment) is left out.
    pub fields: Vec<&'static str>,
    /// What changed it.
    pub cause: ChangeCause,
}

/// What became of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It came to be.
    Created,
    /// Something about it is different.
    Updated,
    /// It became part of this profile.
    Merged(ProfileId),
    /// It was part of this profile and stands for itself again.
    Unmerged(ProfileId),
    /// It is no more.
    Erased,
    /// Something became of it that is not told any more, because its customer is forgotten since. It keeps its place among
    /// the changes, so that those of others are found again.
    Forgotten,
}

/// What changes profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeCause {
    /// An event.
    Event(EventKey),
    /// A merge.
    Merge(MergeId),
    /// The end of a merge.
    Unmerge(MergeId),
    /// What the customer said about their data, by the id of the record.
    Consent(Uuid),
    /// An erasure.
    Erasure(Uuid),
    /// Something about a customer who is forgotten.
    Forgotten,
}

/// What the facts of one commit change about profiles, in order. The same facts always give the same changes, so that a
/// place among them can be found again.
pub fn changes(facts: &[Fact]) -> Vec<ProfileChange> {
    let mut changes = Vec::new();
    for fact in facts {
        match fact {
            Fact::Event(fact) => of_event(fact, &mut changes),
            Fact::Merge(fact) => of_merge(fact, &mut changes),
            Fact::Unmerge(fact) => of_unmerge(fact, &mut changes),
            Fact::Consent(fact) => changes.push(ProfileChange {
                profile: fact.profile,
                kind: ChangeKind::Updated,
                fields: vec!["consents"],
                cause: ChangeCause::Consent(fact.standing.record),
            }),
            Fact::Erase(fact) => changes.push(ProfileChange {
                profile: fact.profile,
                kind: ChangeKind::Erased,
                fields: Vec::new(),
                cause: ChangeCause::Erasure(fact.erasure),
            }),
            Fact::Forgotten(Remains::Event(event)) => of_forgotten(event, &mut changes),
            // No document is part of a profile, and what its events add up to stays as it is when they expire.
            Fact::Document(_) | Fact::Expire(_) | Fact::Forgotten(Remains::Document) => {}
        }
    }
    changes
}

fn of_event(fact: &EventFact, changes: &mut Vec<ProfileChange>) {
    let cause = || ChangeCause::Event(fact.event.key.clone());
    let losers: BTreeSet<ProfileId> = fact.released.iter().map(|release| release.from).collect();
    let loses =
        |profile| ProfileChange { profile, kind: ChangeKind::Updated, fields: vec!["identifiers"], cause: cause() };
    changes.extend(losers.into_iter().map(loses));
    let mut fields = Vec::new();
    if !fact.claims.is_empty() {
        fields.push("identifiers");
    }
    let of_payload = match &fact.event.payload {
        Payload::Identify(identify) if identify.traits.is_empty() && identify.traits_once.is_empty() => None,
        Payload::Identify(_) => Some("traits"),
        Payload::Track(_) | Payload::PageView(_) => None,
        Payload::Purchase(_) => Some("purchases"),
        Payload::SupportContact(_) => Some("support"),
        Payload::SurveyResponse(_) => Some("surveys"),
        Payload::SubscriptionChange(_) => Some("subscription"),
    };
    // In the order of the profile's fields: traits, activity, everything else.
    fields.extend(of_payload.filter(|field| *field == "traits"));
    fields.push("activity");
    fields.extend(of_payload.filter(|field| *field != "traits"));
    let kind = if fact.creates { ChangeKind::Created } else { ChangeKind::Updated };
    changes.push(ProfileChange { profile: fact.profile, kind, fields, cause: cause() });
}

/// As many changes as the event made.
fn of_forgotten(event: &RemainsOfEvent, changes: &mut Vec<ProfileChange>) {
    let losers: BTreeSet<ProfileId> = event.released.iter().map(|(from, _)| *from).collect();
    let change = |profile, kind, fields| ProfileChange { profile, kind, fields, cause: ChangeCause::Forgotten };
    changes.extend(losers.into_iter().map(|loser| change(loser, ChangeKind::Updated, vec!["identifiers"])));
    changes.push(change(event.profile, ChangeKind::Forgotten, Vec::new()));
}

fn of_merge(fact: &MergeFact, changes: &mut Vec<ProfileChange>) {
    let cause = ChangeCause::Merge(fact.id);
    let kind = ChangeKind::Merged(fact.survivor);
    let sources = fact.sources.iter().map(|source| source.profile);
    changes.extend(sources.map(|profile| ProfileChange { profile, kind, fields: Vec::new(), cause: cause.clone() }));
    let (profile, fields) = (fact.survivor, ALL_FIELDS.to_vec());
    changes.push(ProfileChange { profile, kind: ChangeKind::Updated, fields, cause });
}

fn of_unmerge(fact: &UnmergeFact, changes: &mut Vec<ProfileChange>) {
    for profile in fact.groups.iter().filter_map(|group| group.first().copied()) {
        let kind = if profile == fact.profile { ChangeKind::Updated } else { ChangeKind::Unmerged(fact.profile) };
        let cause = ChangeCause::Unmerge(fact.merge);
        changes.push(ProfileChange { profile, kind, fields: ALL_FIELDS.to_vec(), cause });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{Event, EventTimes};
    use crate::domain::fact::{Document, MergedSource};
    use crate::domain::identifier::Identifier;
    use crate::domain::identity::Release;
    use crate::domain::payload::{Identify, SurveyKind, SurveyResponse, Track};
    use crate::domain::settings::Settings;
    use crate::domain::time::Timestamp;
    use crate::domain::value::{Map, Value};

    const MERGE: MergeId = MergeId::from_bytes([9; 16]);

    fn id(number: u8) -> ProfileId {
        ProfileId::from_bytes([number; 16])
    }

    fn key() -> EventKey {
        EventKey { source: "shop".into(), event_id: "e".into() }
    }

    fn of(payload: Payload) -> EventFact {
        let time = Timestamp::from_micros(1);
        let times = EventTimes { original: None, sent: None, received: time, event: time, clamped: false };
        let event = Event {
            key: key(),
            identifiers: Vec::new(),
            times,
            channel: Default::default(),
            source_priority: 0,
            touchpoint: Default::default(),
            payload,
        };
        EventFact {
            profile: id(1),
            creates: false,
            part: id(1),
            event,
            claims: Vec::new(),
            released: Vec::new(),
            authenticated: Vec::new(),
            demoted: Vec::new(),
        }
    }

    fn track() -> EventFact {
        of(Payload::Track(Track { name: "seen".into(), properties: Map::new() }))
    }

    /// Profile, kind and fields of what one fact changes.
    fn told(fact: Fact) -> Vec<(ProfileId, ChangeKind, Vec<&'static str>)> {
        changes(&[fact]).into_iter().map(|change| (change.profile, change.kind, change.fields)).collect()
    }

    #[test]
    fn an_event_changes_activity_and_what_its_kind_is_about() {
        let traits: Map = [("plan".to_owned(), Value::Text("pro".to_owned()))].into();
        let identify = Identify { traits: Map::new(), traits_once: traits };
        let answer =
            SurveyResponse { kind: SurveyKind::Nps, score: 9.0, comment: String::new(), case_id: String::new() };
        for (fact, fields) in [
            (track(), vec!["activity"]),
            (of(Payload::Identify(identify)), vec!["traits", "activity"]),
            (of(Payload::Identify(Identify::default())), vec!["activity"]),
            (of(Payload::SurveyResponse(answer)), vec!["activity", "surveys"]),
        ] {
            assert_eq!(told(Fact::Event(fact)), [(id(1), ChangeKind::Updated, fields)]);
        }
    }

    #[test]
    fn a_first_event_creates_and_a_claim_changes_identifiers() {
        let claims = vec![Identifier::parse("user_id", "ann").expect("an identifier")];
        let fact = Fact::Event(EventFact { creates: true, claims, ..track() });
        assert_eq!(changes(std::slice::from_ref(&fact))[0].cause, ChangeCause::Event(key()));
        assert_eq!(told(fact), [(id(1), ChangeKind::Created, vec!["identifiers", "activity"])]);
    }

    #[test]
    fn who_loses_devices_is_told_once_before_who_gains_them() {
        let device = |name| Identifier::parse("device_id", name).expect("an identifier");
        let released = ["a", "b"].map(|name| Release { identifier: device(name), from: id(2) }).to_vec();
        let fact = EventFact { released, claims: vec![device("a"), device("b")], ..track() };
        let expected = [
            (id(2), ChangeKind::Updated, vec!["identifiers"]),
            (id(1), ChangeKind::Updated, vec!["identifiers", "activity"]),
        ];
        assert_eq!(told(Fact::Event(fact)), expected);
    }

    #[test]
    fn a_merge_ends_its_sources_and_changes_the_survivor() {
        let source = |n| MergedSource { profile: id(n), part: id(n), to: id(1) };
        let fact = Fact::Merge(MergeFact { id: MERGE, survivor: id(1), sources: vec![source(2), source(3)] });
        assert!(changes(std::slice::from_ref(&fact)).iter().all(|change| change.cause == ChangeCause::Merge(MERGE)));
        let expected = [
            (id(2), ChangeKind::Merged(id(1)), Vec::new()),
            (id(3), ChangeKind::Merged(id(1)), Vec::new()),
            (id(1), ChangeKind::Updated, ALL_FIELDS.to_vec()),
        ];
        assert_eq!(told(fact), expected);
    }

    #[test]
    fn the_end_of_a_merge_brings_back_who_was_part() {
        let groups = vec![vec![id(1), id(3)], vec![id(2), id(4)]];
        let fact = Fact::Unmerge(UnmergeFact { merge: MERGE, profile: id(1), groups });
        assert!(changes(std::slice::from_ref(&fact)).iter().all(|change| change.cause == ChangeCause::Unmerge(MERGE)));
        let kinds: Vec<_> = told(fact).into_iter().map(|(profile, kind, _)| (profile, kind)).collect();
        assert_eq!(kinds, [(id(1), ChangeKind::Updated), (id(2), ChangeKind::Unmerged(id(1)))]);
    }

    #[test]
    fn a_document_changes_no_profile() {
        assert_eq!(changes(&[Fact::Document(Document::Settings(Settings::default()))]), []);
    }
}
