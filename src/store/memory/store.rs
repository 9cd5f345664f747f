use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::workspace::Workspace;
use crate::domain::audit::AuditEntry;
use crate::domain::erasure::{EraseFact, Mark, Remains, RemainsOfEvent};
use crate::domain::event::EventKey;
use crate::domain::fact::{Document, DocumentKey, DocumentKind, Fact};
use crate::domain::history::History;
use crate::domain::id::{ProfileId, Revision, WorkspaceId};
use crate::domain::identifier::Identifier;
use crate::domain::limits;
use crate::domain::model::ModelVersion;
use crate::domain::profile::Profile;
use crate::domain::time::Timestamp;
use crate::store::{
    AcceptedCommit, ArtifactStore, AuditLog, AuditPage, AuditQuery, BackedUp, BackupRequest, Backups, Commit,
    CommitReader, CommitStore, DocumentReader, Erasures, Error, EventReader, Followed, Forgotten, Memo, Memos, Named,
    NumberedEntry, Outstanding, ProfileReader, Result, Retention, Store, StoredEvent, Versioned,
};

/// A store that lives as long as the process.
pub struct MemoryStore {
    window: Duration,
    commits_kept: usize,
    inner: Mutex<Inner>,
    /// The last commit; `None` once the store is closed.
    last: watch::Sender<Option<Revision>>,
}

struct Inner {
    revision: Revision,
    /// The time of the latest commit: the clock by which event keys are forgotten.
    now: Timestamp,
    closed: bool,
    workspaces: BTreeMap<WorkspaceId, Workspace>,
    /// The latest commits of all workspaces, in order.
    commits: VecDeque<(WorkspaceId, AcceptedCommit)>,
    artifacts: HashMap<(WorkspaceId, ModelVersion), Vec<u8>>,
    audit: Vec<AuditEntry>,
    /// With the revision of the profile that each was made of.
    memos: HashMap<(WorkspaceId, ProfileId), (Revision, Memo)>,
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
            commits: VecDeque::new(),
            artifacts: HashMap::new(),
            audit: Vec::new(),
            memos: HashMap::new(),
        };
        let last = watch::Sender::new(Some(Revision::default()));
        Self { window, commits_kept: usize::MAX, inner: Mutex::new(inner), last }
    }

    /// The same store, which lets those who follow its commits fall back behind no more than the latest `commits`.
    #[must_use]
    pub fn keeping_commits(self, commits: usize) -> Self {
        Self { commits_kept: commits, ..self }
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

impl Memos for MemoryStore {
    fn recall(&self, workspace: &WorkspaceId, named: Named<'_>) -> Option<Memo> {
        let inner = self.inner();
        let found = inner.workspaces.get(workspace).filter(|_| !inner.closed)?;
        let id = match named {
            Named::Profile(id) => id,
            Named::Identifier(identifier) => found.owner(identifier)?,
        };
        let (made_of, memo) = inner.memos.get(&(workspace.clone(), id))?;
        let is_current = found.profile(id).is_some_and(|profile| profile.id == id && profile.revision == *made_of);
        is_current.then(|| memo.clone())
    }

    fn remember(&self, workspace: &WorkspaceId, (id, revision): (ProfileId, Revision), memo: Memo) {
        self.inner().memos.insert((workspace.clone(), id), (revision, memo));
    }
}

#[async_trait]
impl Erasures for MemoryStore {
    fn mark(&self, workspace: &WorkspaceId, identifier: &Identifier) -> Result<Mark> {
        let mut hasher = blake3::Hasher::new();
        for part in [workspace.as_str(), identifier.kind(), identifier.value()] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let mut mark = [0; 16];
        mark.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Ok(Mark(mark))
    }

    fn derived_key(&self, purpose: &str) -> Result<[u8; 32]> {
        Ok(blake3::derive_key(purpose, b"a store in memory has no secrets"))
    }

    async fn erase(&self, commit: Commit, fact: &EraseFact) -> Result<Revision> {
        let (workspace, parts) = (commit.workspace.clone(), &fact.parts);
        let revision = self.commit(commit).await?;
        let mut inner = self.inner();
        let commits = inner.commits.iter_mut().filter(|(of, _)| *of == workspace);
        for fact in commits.flat_map(|(_, commit)| &mut commit.facts) {
            match fact {
                Fact::Event(event) if parts.contains(&event.part) => {
                    let (profile, part, released) = (event.profile, event.part, Vec::new());
                    *fact = Fact::Forgotten(Remains::Event(RemainsOfEvent { profile, part, released }));
                }
                Fact::Document(document) if document.subjects().iter().any(|part| parts.contains(part)) => {
                    *fact = Fact::Forgotten(Remains::Document);
                }
                _ => {}
            }
        }
        Ok(revision)
    }

    async fn outstanding(&self) -> Result<Vec<Outstanding>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl EventReader for MemoryStore {
    async fn find_events(&self, workspace: &WorkspaceId, keys: &[EventKey]) -> Result<Vec<Option<StoredEvent>>> {
        self.read(workspace, vec![None; keys.len()], |found, now| {
            keys.iter().map(|key| found.find_event(key, self.window, now)).collect()
        })
    }

    async fn histories(&self, workspace: &WorkspaceId, parts: &[ProfileId]) -> Result<Vec<History>> {
        self.read(workspace, vec![History::default(); parts.len()], |found, _| {
            parts.iter().map(|part| found.history(*part)).collect()
        })
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
        let accepted = AcceptedCommit { revision, time: commit.time, facts: commit.facts.clone() };
        inner.commits.push_back((commit.workspace.clone(), accepted));
        if inner.commits.len() > self.commits_kept {
            inner.commits.pop_front();
        }
        inner.workspaces.entry(commit.workspace.clone()).or_default().apply(commit, revision);
        self.last.send_replace(Some(revision));
        Ok(revision)
    }

    fn revision(&self) -> Revision {
        self.inner().revision
    }
}

#[async_trait]
impl CommitReader for MemoryStore {
    async fn commits_after(&self, workspace: &WorkspaceId, after: Revision, limit: usize) -> Result<Followed> {
        let inner = self.inner();
        if inner.closed {
            return Err(Error::Closed);
        }
        let oldest = inner.oldest_commit();
        if after.0 + 1 < oldest.0 {
            return Err(Error::Forgotten { oldest });
        }
        let later = inner.commits.iter().filter(|(of, commit)| of == workspace && commit.revision > after);
        let commits: Vec<AcceptedCommit> = later.take(limit).map(|(_, commit)| commit.clone()).collect();
        let up_to = match commits.last() {
            Some(last) if commits.len() == limit => last.revision,
            _ => after.max(inner.revision),
        };
        Ok(Followed { commits, up_to })
    }

    async fn committed_after(&self, after: Revision) -> Result<()> {
        let mut last = self.last.subscribe();
        match last.wait_for(|last| last.is_none_or(|last| last > after)).await.as_deref() {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => Err(Error::Closed),
        }
    }

    fn oldest_commit(&self) -> Revision {
        self.inner().oldest_commit()
    }
}

impl Inner {
    fn oldest_commit(&self) -> Revision {
        self.commits.front().map_or(Revision(self.revision.0 + 1), |(_, oldest)| oldest.revision)
    }
}

#[async_trait]
impl Retention for MemoryStore {
    async fn forget_commits(&self, forgotten: Forgotten) -> Result<Revision> {
        let mut inner = self.inner();
        if inner.closed {
            return Err(Error::Closed);
        }
        let before = forgotten.before.minus(limits::CLOCK_SKEW).min(inner.now.minus(self.window));
        let is_old = |commit: &AcceptedCommit| commit.revision <= forgotten.by && commit.time < before;
        let old = inner.commits.iter().take_while(|(_, commit)| is_old(commit)).count();
        inner.commits.drain(..old);
        Ok(inner.oldest_commit())
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
impl AuditLog for MemoryStore {
    async fn append_audit(&self, entries: Vec<AuditEntry>) -> Result<()> {
        let mut inner = self.inner();
        if inner.closed {
            return Err(Error::Closed);
        }
        inner.audit.extend(entries);
        Ok(())
    }

    async fn audit_entries(&self, query: AuditQuery) -> Result<AuditPage> {
        let inner = self.inner();
        if inner.closed {
            return Err(Error::Closed);
        }
        let numbered = (1..).zip(&inner.audit).filter(|(number, entry)| query.wants(*number, entry));
        let mut entries: Vec<_> =
            numbered.map(|(number, entry)| NumberedEntry { number, entry: entry.clone() }).collect();
        entries.reverse();
        let more = entries.len() > query.limit;
        entries.truncate(query.limit);
        let next = entries.last().filter(|_| more).map(|last| last.number);
        Ok(AuditPage { entries, next })
    }
}

#[async_trait]
impl Backups for MemoryStore {
    async fn back_up(&self, _request: BackupRequest) -> Result<BackedUp> {
        Err(Error::Unsupported("a store in memory has no files to back up; serve a data directory instead"))
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
        self.last.send_replace(None);
        Ok(())
    }
}
