//! Commits as `app` makes them, without its decisions: the suite says itself whose each event is.

use std::collections::HashMap;
use std::convert::Infallible;

use rapport::domain::consent::{ConsentState, Standing};
use rapport::domain::event::{Event, EventKey, EventTimes};
use rapport::domain::fact::{ConsentFact, Document, EventFact, Fact, MergeFact, MergedSource, UnmergeFact};
use rapport::domain::fold;
use rapport::domain::history::History;
use rapport::domain::id::{MergeId, ProfileId, Revision, WorkspaceId};
use rapport::domain::identifier::Identifier;
use rapport::domain::payload::{Identify, Payload, Track};
use rapport::domain::profile::Profile;
use rapport::domain::projection::{self, Before};
use rapport::domain::rejection::Rejections;
use rapport::domain::time::Timestamp;
use rapport::domain::value::{Map, Value};
use rapport::store::{Commit, Precondition, Result, Store};
use uuid::Uuid;

pub(crate) fn workspace(name: &str) -> WorkspaceId {
    name.parse().expect("a workspace name")
}

pub(crate) fn id(number: u8) -> ProfileId {
    ProfileId::from_bytes([number; 16])
}

pub(crate) fn user(name: &str) -> Identifier {
    Identifier::parse("user_id", name).expect("an identifier")
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

/// A `Track` event named by `event_id` that happened and was received at a second.
pub(crate) fn event(event_id: &str, second: i64) -> Event {
    let payload = Payload::Track(Track { name: "seen".into(), properties: Map::new() });
    event_with(event_id, second, payload)
}

pub(crate) fn event_with(event_id: &str, second: i64, payload: Payload) -> Event {
    Event {
        key: EventKey { source: "suite".into(), event_id: event_id.into() },
        identifiers: Vec::new(),
        times: EventTimes { original: None, sent: None, received: at(second), event: at(second), clamped: false },
        channel: "web".into(),
        source_priority: 0,
        touchpoint: Default::default(),
        payload,
    }
}

/// An `Identify` event whose traits take about `bytes`.
pub(crate) fn large_event(event_id: &str, second: i64, bytes: usize) -> Event {
    let traits = (0..bytes / 1_000).map(|n| (format!("trait_{event_id}_{n}"), Value::Text("x".repeat(1_000))));
    event_with(event_id, second, Payload::Identify(Identify { traits: traits.collect(), traits_once: Map::new() }))
}

pub(crate) fn belongs(profile: ProfileId, event: Event, claims: &[Identifier]) -> Fact {
    belongs_to_part(profile, profile, event, claims)
}

/// An event of a profile that stays with one of its parts.
pub(crate) fn belongs_to_part(profile: ProfileId, part: ProfileId, event: Event, claims: &[Identifier]) -> Fact {
    let (claims, (released, authenticated, demoted)) = (claims.to_vec(), Default::default());
    Fact::Event(EventFact { profile, creates: false, part, event, claims, released, authenticated, demoted })
}

/// A customer's answer about marketing.
pub(crate) fn consents(profile: ProfileId, part: ProfileId, state: ConsentState, second: i64) -> Fact {
    let (record, purpose) = (Uuid::from_u128(second as u128), "marketing".into());
    let standing = Standing { record, part, purpose, state, time: at(second), expire_time: None, covers: Vec::new() };
    Fact::Consent(ConsentFact { profile, standing })
}

pub(crate) fn unmerge(profile: ProfileId, groups: &[&[ProfileId]]) -> Fact {
    let groups = groups.iter().map(|group| group.to_vec()).collect();
    Fact::Unmerge(UnmergeFact { merge: MergeId::from_bytes([9; 16]), profile, groups })
}

pub(crate) fn merge(survivor: ProfileId, sources: &[ProfileId]) -> Fact {
    let source = |profile: &ProfileId| MergedSource { profile: *profile, part: *profile, to: survivor };
    let sources = sources.iter().map(source).collect();
    Fact::Merge(MergeFact { id: MergeId::from_bytes([9; 16]), survivor, sources })
}

/// Commits facts with the preconditions that a decision on the present state would name, and `more`.
pub(crate) async fn commit(
    store: &dyn Store,
    workspace: &WorkspaceId,
    facts: Vec<Fact>,
    more: Vec<Precondition>,
) -> Result<Revision> {
    let ids: Vec<ProfileId> = projection::touched(&facts).into_iter().collect();
    let found = store.profiles(workspace, &ids).await?;
    let profiles: HashMap<ProfileId, Profile> = ids
        .iter()
        .zip(found)
        .filter_map(|(id, profile)| profile.filter(|profile| profile.id == *id).map(|profile| (*id, profile)))
        .collect();
    let known: Vec<ProfileId> = profiles.values().flat_map(|profile| &profile.parts).map(|part| part.id).collect();
    let histories = store.histories(workspace, &known).await?;
    let mut preconditions = more;
    preconditions
        .extend(ids.iter().map(|id| Precondition::Profile(*id, profiles.get(id).map(|profile| profile.revision))));
    let time = facts.iter().fold(at(0), |latest, fact| match fact {
        Fact::Event(fact) => latest.max(fact.event.times.received),
        _ => latest,
    });
    let mut before = Loaded { profiles, histories: known.into_iter().zip(histories).collect() };
    let projection = projection::project(&facts, time, &mut before).unwrap_or_else(|never| match never {});
    store.commit(Commit { workspace: workspace.clone(), time, preconditions, read_at: None, facts, projection }).await
}

/// The events of parts that are kept.
pub(crate) async fn timelines(
    store: &dyn Store,
    workspace: &WorkspaceId,
    parts: &[ProfileId],
) -> Result<Vec<Vec<Event>>> {
    Ok(store.histories(workspace, parts).await?.into_iter().map(|history| history.events).collect())
}

/// The whole timeline of a customer: that of all parts of their profile.
pub(crate) async fn timeline(store: &dyn Store, workspace: &WorkspaceId, customer: ProfileId) -> Vec<Event> {
    let profile = store.profiles(workspace, &[customer]).await.expect("read").remove(0).expect("exists");
    let parts: Vec<ProfileId> = profile.parts.iter().map(|part| part.id).collect();
    let mut timeline = timelines(store, workspace, &parts).await.expect("read").concat();
    fold::sort(&mut timeline);
    timeline
}

pub(crate) async fn commit_document(
    store: &dyn Store,
    workspace: &WorkspaceId,
    document: Document,
    seen: Option<Revision>,
) -> Result<Revision> {
    let preconditions = vec![Precondition::Document(document.key(), seen)];
    let (facts, projection) = (vec![Fact::Document(document)], Default::default());
    store
        .commit(Commit { workspace: workspace.clone(), time: at(0), preconditions, read_at: None, facts, projection })
        .await
}

/// Commits something that nobody reads, decided on a condition that was read when `read_at` was the last commit.
pub(crate) async fn commit_as_read(
    store: &dyn Store,
    workspace: &WorkspaceId,
    read: Precondition,
    read_at: Revision,
) -> Result<Revision> {
    let rejections = Rejections::new(at(0), uuid::Uuid::from_bytes([7; 16]), Vec::new());
    let facts = vec![Fact::Document(Document::Rejections(rejections))];
    let (preconditions, read_at, projection) = (vec![read], Some(read_at), Default::default());
    store.commit(Commit { workspace: workspace.clone(), time: at(0), preconditions, read_at, facts, projection }).await
}

struct Loaded {
    profiles: HashMap<ProfileId, Profile>,
    histories: HashMap<ProfileId, History>,
}

impl Before for Loaded {
    type Error = Infallible;

    fn profile(&mut self, id: ProfileId) -> std::result::Result<Option<Profile>, Infallible> {
        Ok(self.profiles.get(&id).cloned())
    }

    fn history(&self, part: ProfileId) -> std::result::Result<History, Infallible> {
        Ok(self.histories.get(&part).cloned().unwrap_or_default())
    }
}
