use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::workspace::Workspace;
use crate::domain::event::{Event, EventKey};
use crate::domain::fact::{Document, DocumentKey, DocumentKind};
use crate::domain::id::{ProfileId, Revision, WorkspaceId};
use crate::domain::identifier::Identifier;
use crate::domain::limits;
use crate::domain::model::ModelVersion;
use crate::domain::profile::Profile;
use crate::domain::time::Timestamp;
use crate::store::{
    ArtifactStore, Commit, CommitStore, DocumentReader, Error, EventReader, ProfileReader, Result, Store, StoredEvent,
    Versioned,
};

/// A store that lives as long as the process.
pub struct MemoryStore {
    window: Duration,
    inner: Mutex<Inner>,
}

struct Inner {
    revision: Revision,
    /// The time of the latest commit: the clock by which event keys are forgotten.
    now: Timestamp,
    closed: bool,
    workspaces: BTreeMap<WorkspaceId, Workspace>,
    artifacts: HashMap<(WorkspaceId, ModelVersion), Vec<u8>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_idempotency_window(limits::IDEMPOTENCY_WINDOW)
    }
}

impl MemoryStore {
    /// An empty store that remembers event keys for `window`.
    pub fn with_idempotency_window(window: Duration) -> Self {
        let inner = Inner {
            revision: Revision::default(),
            now: Timestamp::MIN,
            closed: false,
            workspaces: BTreeMap::new(),
            artifacts: HashMap::new(),
        };
        Self { window, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from a workspace; one that never had a commit reads as `empty`.
    fn read<T>(&self, workspace: &WorkspaceId, empty: T, read: impl FnOnce(&Workspace, Timestamp) -> T) -> Result<T> {
        let inner = self.inner();
        if inner.closed {
            return Err(Error::Closed);
        }
        Ok(inner.workspaces.get(workspace).map_or(empty, |found| read(found, inner.now)))
    }
}

#[async_trait]
impl ProfileReader for MemoryStore {
    async fn profiles(&self, workspace: &WorkspaceId, ids: &[ProfileId]) -> Result<Vec<Option<Profile>>> {
        self.read(workspace, vec![None; ids.len()], |found, _| {
            ids.iter().map(|id| found.profile(*id).cloned()).collect()
        })
    }

    async fn owners(&self, workspace: &WorkspaceId, identifiers: &[Identifier]) -> Result<Vec<Option<ProfileId>>> {
        self.read(workspace, vec![None; identifiers.len()], |found, _| {
            identifiers.iter().map(|identifier| found.owner(identifier)).collect()
        })
    }

    async fn scan_profiles(
        &self,
        workspace: &WorkspaceId,
        after: Option<ProfileId>,
        limit: usize,
    ) -> Result<Vec<Profile>> {
        self.read(workspace, Vec::new(), |found, _| found.profiles_after(after).take(limit).cloned().collect())
    }

    async fn workspaces(&self) -> Result<Vec<WorkspaceId>> {
        Ok(self.inner().workspaces.keys().cloned().collect())
    }
}

#[async_trait]
impl EventReader for MemoryStore {
    async fn find_events(&self, workspace: &WorkspaceId, keys: &[EventKey]) -> Result<Vec<Option<StoredEvent>>> {
        self.read(workspace, vec![None; keys.len()], |found, now| {
            keys.iter().map(|key| found.find_event(key, self.window, now)).collect()
        })
    }

    async fn timelines(&self, workspace: &WorkspaceId, ids: &[ProfileId]) -> Result<Vec<Vec<Event>>> {
        self.read(workspace, vec![Vec::new(); ids.len()], |found, _| ids.iter().map(|id| found.timeline(*id)).collect())
    }
}

#[async_trait]
impl DocumentReader for MemoryStore {
    async fn document(&self, workspace: &WorkspaceId, key: &DocumentKey) -> Result<Option<Versioned<Document>>> {
        self.read(workspace, None, |found, _| found.document(key).cloned())
    }

    async fn documents(
        &self,
        workspace: &WorkspaceId,
        kind: DocumentKind,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Versioned<Document>>> {
        self.read(workspace, Vec::new(), |found, _| found.documents_after(kind, after).take(limit).cloned().collect())
    }
}

#[async_trait]
impl CommitStore for MemoryStore {
    async fn commit(&self, commit: Commit) -> Result<Revision> {
        let mut inner = self.inner();
        if inner.closed {
            return Err(Error::Closed);
        }
        let now = inner.now.max(commit.time);
        let nothing = Workspace::default();
        let workspace = inner.workspaces.get(&commit.workspace).unwrap_or(&nothing);
        if !commit.preconditions.iter().all(|precondition| workspace.holds(precondition, self.window, now)) {
            return Err(Error::Conflict);
        }
        inner.now = now;
        inner.revision = Revision(inner.revision.0 + 1);
        let revision = inner.revision;
        inner.workspaces.entry(commit.workspace.clone()).or_default().apply(commit, revision);
        Ok(revision)
    }

    fn revision(&self) -> Revision {
        self.inner().revision
    }
}

#[async_trait]
impl ArtifactStore for MemoryStore {
    async fn put_artifact(&self, workspace: &WorkspaceId, version: &ModelVersion, bytes: Vec<u8>) -> Result<()> {
        self.inner().artifacts.insert((workspace.clone(), version.clone()), bytes);
        Ok(())
    }

    async fn artifact(&self, workspace: &WorkspaceId, version: &ModelVersion) -> Result<Option<Vec<u8>>> {
        Ok(self.inner().artifacts.get(&(workspace.clone(), version.clone())).cloned())
    }

    async fn remove_artifact(&self, workspace: &WorkspaceId, version: &ModelVersion) -> Result<()> {
        self.inner().artifacts.remove(&(workspace.clone(), version.clone()));
        Ok(())
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn takes_writes(&self) -> bool {
        !self.inner().closed
    }

    async fn close(&self) -> Result<()> {
        self.inner().closed = true;
        Ok(())
    }
}
