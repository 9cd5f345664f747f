//! A server's application over one of the stores, and everything that can be read of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rapport::app::context::Context;
use rapport::app::{
    App, Caller, CustomerRef, EventQuery, Found, IdentityRulesRequest, IncomingEvent, MergeRequest, PageRequest, Read,
    UnmergeRequest, WriteMode,
};
use rapport::domain::event::{Draft, Event};
use rapport::domain::id::{MergeId, ProfileId};
use rapport::domain::identity_rules::IdentityRules;
use rapport::domain::merge::MergeRecord;
use rapport::domain::profile::Profile;
use rapport::domain::time::Timestamp;
use rapport::domain::violation::Violations;
use rapport::store::Store;
use rapport::store::embedded::{EmbeddedStore, Options};
use rapport::store::memory::MemoryStore;
use tempfile::TempDir;

/// 2026-03-01T12:00:00Z, when every history begins.
const START: i64 = 1_772_366_400_000_000;

/// A clock that is set, and ids that count up.
pub(crate) struct Clock {
    micros: AtomicI64,
    ids: AtomicU64,
}

impl Context for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::Relaxed))
    }

    fn new_id(&self) -> uuid::Uuid {
        let millis = u64::try_from(self.now().as_micros() / 1_000).expect("after 1970");
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&self.ids.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }
}

/// One application under test.
pub(crate) struct System {
    pub(crate) app: App,
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    home: Option<TempDir>,
}

/// What became of a write, as far as it must be the same on every store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted(ProfileId),
    Duplicate(ProfileId),
    Profiles(Vec<ProfileId>),
    Rejected(String),
}

/// Everything that a workspace holds.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) profiles: BTreeMap<ProfileId, Profile>,
    /// Of each profile, oldest first.
    pub(crate) timelines: BTreeMap<ProfileId, Vec<Event>>,
    /// Of each part of a profile.
    pub(crate) by_part: BTreeMap<ProfileId, Vec<Event>>,
    pub(crate) merges: BTreeMap<MergeId, MergeRecord>,
}

pub(crate) fn caller() -> Caller {
    Caller::unrestricted("acme".parse().expect("a workspace name"))
}

impl System {
    pub(crate) async fn memory() -> Self {
        Self::start(Arc::new(MemoryStore::default()), None).await
    }

    pub(crate) async fn embedded() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        Self::start(open(&home), Some(home)).await
    }

    async fn start(store: Arc<dyn Store>, home: Option<TempDir>) -> Self {
        let clock = Arc::new(Clock { micros: AtomicI64::new(START), ids: AtomicU64::new(1) });
        let app = App::start(Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Context>).await.expect("starts");
        Self { app, store, clock, home }
    }

    /// Stops and starts again; a store in memory has nothing to start from and goes on.
    pub(crate) async fn restart(self, without_index: bool) -> Self {
        let Self { app, store, clock, home } = self;
        let Some(home) = home else { return Self { app, store, clock, home: None } };
        app.shut_down().await.expect("stops");
        drop((app, store));
        if without_index {
            std::fs::remove_dir_all(home.path().join("index")).expect("an index");
        }
        let store = open(&home);
        let app = App::start(Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Context>).await.expect("starts");
        Self { app, store, clock, home: Some(home) }
    }

    pub(crate) fn advance(&self) -> Timestamp {
        self.clock.micros.fetch_add(61_000_000, Ordering::Relaxed);
        self.clock.now()
    }

    /// Sets the clock.
    pub(crate) fn shift(&self, days: i64) {
        self.clock.micros.fetch_add(days * 86_400_000_000, Ordering::Relaxed);
    }

    pub(crate) async fn ingest(&self, drafts: &[Draft]) -> Vec<Answer> {
        use rapport::app::OutcomeStatus::{Acceptable, Accepted, Duplicate, Rejected};
        let incoming = |draft: &Draft| IncomingEvent { draft: draft.clone(), violations: Violations::new() };
        let events = drafts.iter().map(incoming).collect();
        let ingested = self.app.ingest_events(&caller(), events, WriteMode::Commit).await.expect("a batch");
        let answer = |status| match status {
            Accepted(id) => Answer::Accepted(id),
            Duplicate(id) => Answer::Duplicate(id.expect("what is kept belongs to somebody")),
            Rejected(error) => Answer::Rejected(error.to_string()),
            Acceptable(_) => panic!("it was no preview"),
        };
        ingested.outcomes.into_iter().map(|outcome| answer(outcome.status)).collect()
    }

    pub(crate) async fn merge(&self, target: ProfileId, sources: &[ProfileId]) -> Answer {
        let request = MergeRequest {
            target: CustomerRef::Profile(target),
            sources: sources.iter().copied().map(CustomerRef::Profile).collect(),
            reason: String::new(),
            etag: String::new(),
            request_id: String::new(),
            faults: Violations::new(),
        };
        match self.app.merge_profiles(&caller(), &request, WriteMode::Commit).await {
            Ok(merged) => Answer::Profiles(vec![merged.found.profile.id]),
            Err(error) => Answer::Rejected(error.to_string()),
        }
    }

    pub(crate) async fn unmerge(&self, merge: MergeId) -> Answer {
        let request = UnmergeRequest { merge, request_id: String::new() };
        match self.app.unmerge_profiles(&caller(), &request, WriteMode::Commit).await {
            Ok(unmerged) => Answer::Profiles(unmerged.found.into_iter().map(|found| found.profile.id).collect()),
            Err(error) => Answer::Rejected(error.to_string()),
        }
    }

    pub(crate) async fn set_rules(&self, rules: IdentityRules) {
        let (etag, request_id) = (String::new(), String::new());
        let change = IdentityRulesRequest { rules, etag, request_id, faults: Violations::new() };
        self.app.update_identity_rules(&caller(), change, WriteMode::Commit).await.expect("rules");
    }

    /// The customer of today by any reference.
    pub(crate) async fn find(&self, customer: CustomerRef) -> Option<ProfileId> {
        let found = self.app.get_profile(&caller(), &customer, &Read::default()).await;
        found.ok().map(|(Found { profile, .. }, _)| profile.id)
    }

    pub(crate) async fn snapshot(&self) -> Snapshot {
        let (caller, page, read) = (caller(), PageRequest { size: 1_000, token: String::new() }, Read::default());
        let mut snapshot = Snapshot::default();
        let (profiles, _) = self.app.list_profiles(&caller, &read, &page).await.expect("profiles");
        for Found { profile, .. } in profiles.items {
            let customer = CustomerRef::Profile(profile.id);
            let query = EventQuery { page: page.clone(), ..EventQuery::default() };
            let (events, _) = self.app.list_events(&caller, &customer, &query, &read).await.expect("events");
            snapshot.timelines.insert(profile.id, events.items.into_iter().rev().collect());
            let (merges, _) = self.app.list_merges(&caller, &customer, &page, &read).await.expect("merges");
            snapshot.merges.extend(merges.items.into_iter().map(|record| (record.id, record)));
            let parts: Vec<ProfileId> = profile.parts.iter().map(|part| part.id).collect();
            let by_part = self.store.histories(&caller.workspace, &parts).await.expect("histories");
            let by_part = by_part.into_iter().map(|history| history.events);
            snapshot.by_part.extend(parts.into_iter().zip(by_part));
            snapshot.profiles.insert(profile.id, Arc::unwrap_or_clone(profile));
        }
        snapshot
    }
}

fn open(home: &TempDir) -> Arc<dyn Store> {
    Arc::new(EmbeddedStore::open(Options::new(home.path(), [7; 16])).expect("opens"))
}
