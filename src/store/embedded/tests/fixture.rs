//! A store with a history of everything that a commit can do, and what can be read from it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::{fs, io};

use crate::domain::event::{Event, EventKey, EventTimes};
use crate::domain::fact::{Document, DocumentKind, EventFact, ExpireFact, Fact, MergeFact, MergedSource};
use crate::domain::history::History;
use crate::domain::id::{MergeId, ProfileId, Revision, WorkspaceId};
use crate::domain::identifier::Identifier;
use crate::domain::payload::{Identify, Payload, Track};
use crate::domain::profile::Profile;
use crate::domain::projection::{self, Before};
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::domain::value::{Map, Value};
use crate::store::embedded::{DiskLimits, EmbeddedStore, Options};
use crate::store::{Commit, Precondition, Result, Store};

/// Events of [`fill`].
pub(super) const EVENTS: i64 = 600;
/// Profiles of [`fill`], those that are merged away included.
const PROFILES: u8 = 12;

pub(super) fn options(directory: &Path) -> Options {
    // What is kept back would only be copied to and fro.
    let disk = DiskLimits { reserve_bytes: 0, ..DiskLimits::default() };
    Options { disk, ..Options::new(directory, [7; 16]) }
}

pub(super) fn open(directory: &Path) -> EmbeddedStore {
    EmbeddedStore::open(options(directory)).expect("opens")
}

pub(super) fn acme() -> WorkspaceId {
    "acme".parse().expect("a workspace")
}

pub(super) fn id(number: u8) -> ProfileId {
    ProfileId::from_bytes([number; 16])
}

pub(super) fn user(number: u8) -> Identifier {
    Identifier::parse("user_id", &format!("u{number}")).expect("an identifier")
}

pub(super) fn key(number: i64) -> EventKey {
    EventKey { source: "test".into(), event_id: number.to_string().into() }
}

/// When the event of a number was received.
pub(super) fn at(number: i64) -> Timestamp {
    Timestamp::from_micros(number * 60_000_000)
}

/// An event received at a minute; every seventh happened before the one before, every eleventh states large traits.
pub(super) fn event(number: i64) -> Event {
    let received = at(number);
    let event = if number % 7 == 0 { received.plus_micros(-100_000_000) } else { received };
    let payload = if number % 11 == 0 {
        let traits = Map::from([(format!("t{}", number % 300), Value::Text("x".repeat(3_000)))]);
        Payload::Identify(Identify { traits, traits_once: Map::new() })
    } else {
        Payload::Track(Track { name: "step".into(), properties: Map::new() })
    };
    let times = EventTimes { original: Some(event), sent: None, received, event, clamped: false };
    let (channel, touchpoint) = ("web".to_owned(), String::new());
    Event {
        key: key(number),
        identifiers: Vec::new(),
        times,
        source_priority: 0,
        channel: channel.into(),
        touchpoint: touchpoint.into(),
        payload,
    }
}

pub(super) fn belongs(number: u8, event: Event) -> Fact {
    let claims = vec![user(number)];
    let (released, authenticated, demoted) = Default::default();
    Fact::Event(EventFact {
        profile: id(number),
        creates: false,
        part: id(number),
        event,
        claims,
        released,
        authenticated,
        demoted,
    })
}

pub(super) fn merge(survivor: u8, source: u8) -> Fact {
    let source = MergedSource { profile: id(source), part: id(source), to: id(survivor) };
    Fact::Merge(MergeFact { id: MergeId::from_bytes([1; 16]), survivor: id(survivor), sources: vec![source] })
}

/// Lets everything expire that happened before a time. Every merge can still be undone.
pub(super) async fn expire(store: &dyn Store, before: Timestamp) -> Vec<Fact> {
    let profiles = store.scan_profiles(&acme(), None, 1_000).await.expect("readable");
    let groups = |profile: &Profile| profile.groups_by(|_| false);
    let fact = |profile: Profile| Fact::Expire(ExpireFact { groups: groups(&profile), profile: profile.id, before });
    profiles.into_iter().map(fact).collect()
}

/// Commits facts as `app` would after reading everything.
pub(super) async fn commit(store: &dyn Store, facts: Vec<Fact>) -> Result<Revision> {
    store.commit(decide(store, facts).await?).await
}

pub(super) async fn decide(store: &dyn Store, facts: Vec<Fact>) -> Result<Commit> {
    let workspace = acme();
    let ids: Vec<_> = projection::touched(&facts).into_iter().collect();
    let found = store.profiles(&workspace, &ids).await?;
    let own = |(id, profile): (&ProfileId, Option<Profile>)| Some((*id, profile.filter(|profile| profile.id == *id)?));
    let profiles: HashMap<_, _> = ids.iter().zip(found).filter_map(own).collect();
    let parts: Vec<_> = profiles.values().flat_map(|profile: &Profile| &profile.parts).map(|part| part.id).collect();
    let histories = store.histories(&workspace, &parts).await?;
    let revision = |id| profiles.get(id).map(|profile: &Profile| profile.revision);
    let mut preconditions: Vec<_> = ids.iter().map(|id| Precondition::Profile(*id, revision(id))).collect();
    let mut time = Timestamp::MIN;
    for fact in &facts {
        if let Fact::Event(fact) = fact {
            time = time.max(fact.event.times.received);
            preconditions.push(Precondition::EventAbsent(fact.event.key.clone()));
        }
    }
    let mut loaded = Loaded { profiles, histories: parts.into_iter().zip(histories).collect() };
    let projection = projection::project(&facts, time, &mut loaded).unwrap_or_else(|never| match never {});
    Ok(Commit { workspace, time, preconditions, read_at: None, facts, projection })
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

/// Commits late events, merges of merges, a profile of more than 64 KiB, long timelines and documents.
pub(super) async fn fill(store: &dyn Store) {
    for number in 0..EVENTS {
        commit(store, history(number)).await.expect("commits");
    }
}

/// The facts of one commit of [`fill`].
pub(super) fn history(number: i64) -> Vec<Fact> {
    let mut owner = u8::try_from(number % 3).expect("small") * 4 + 1;
    if number < 40 {
        owner = u8::try_from(number).expect("small") % PROFILES + 1;
    }
    let mut facts = vec![belongs(owner, event(number))];
    match number {
        40 => facts.insert(0, merge(2, 3)),
        45 => facts.insert(0, merge(1, 2)),
        50 => facts.push(Fact::Document(Document::Settings(Settings::default()))),
        60 => facts.insert(0, merge(5, 12)),
        _ => {}
    }
    facts
}

/// Everything that can be read from a store, as bytes where it has bytes.
#[derive(Debug, PartialEq)]
pub(super) struct Contents {
    revision: Revision,
    workspaces: Vec<WorkspaceId>,
    profiles: Vec<Vec<u8>>,
    by_id: Vec<Option<ProfileId>>,
    owners: Vec<Option<ProfileId>>,
    histories: Vec<History>,
    found: Vec<Option<ProfileId>>,
    documents: Vec<(Revision, Document)>,
}

pub(super) async fn contents(store: &dyn Store) -> Contents {
    read_contents(store).await.expect("readable")
}

/// The same, where something may be unreadable.
pub(super) async fn read_contents(store: &dyn Store) -> Result<Contents> {
    let workspace = acme();
    let ids: Vec<_> = (0..=PROFILES).map(id).collect();
    let users: Vec<_> = (0..=PROFILES).map(user).collect();
    let keys: Vec<_> = (-1..EVENTS + 1).map(key).collect();
    let scanned = store.scan_profiles(&workspace, None, 1_000).await?;
    let found = store.find_events(&workspace, &keys).await?;
    let documents = store.documents(&workspace, DocumentKind::Settings, None, 10).await?;
    let by_id = store.profiles(&workspace, &ids).await?;
    Ok(Contents {
        revision: store.revision(),
        workspaces: store.workspaces().await?,
        profiles: scanned.iter().map(|profile| postcard::to_stdvec(profile).expect("encodable")).collect(),
        by_id: by_id.into_iter().map(|profile| profile.map(|profile| profile.id)).collect(),
        owners: store.owners(&workspace, &users).await?,
        histories: store.histories(&workspace, &ids).await?,
        found: found.into_iter().map(|found| found.map(|found| found.profile)).collect(),
        documents: documents.into_iter().map(|document| (document.revision, document.value)).collect(),
    })
}

/// What a backup that knows nothing of us, or a power cut, makes of a directory: its files as they are just now.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The one segment of a journal that never filled one.
pub(super) fn segment(directory: &Path) -> std::path::PathBuf {
    directory.join("journal/00000000000000000001.journal")
}
