//! The port: small traits, each method with its order, atomicity and exact errors.
//!
//! Every method may also fail with [`Error::Io`], [`Error::Index`], [`Error::Damaged`] or [`Error::Closed`] where the
//! adapter has a disk; such an error changes nothing.
//!
//! [`Error::Conflict`]: super::Error::Conflict
//! [`Error::Io`]: super::Error::Io
//! [`Error::Index`]: super::Error::Index
//! [`Error::Damaged`]: super::Error::Damaged
//! [`Error::Closed`]: super::Error::Closed

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::{BackedUp, BackupRequest, Result};
use crate::domain::audit::AuditEntry;
use crate::domain::erasure::{EraseFact, Mark};
use crate::domain::event::{Event, EventKey};
use crate::domain::fact::{Document, DocumentKey, DocumentKind, Fact};
use crate::domain::history::History;
use crate::domain::id::{ProfileId, Revision, WorkspaceId};
use crate::domain::identifier::Identifier;
use crate::domain::model::ModelVersion;
use crate::domain::profile::Profile;
use crate::domain::projection::Projection;
use crate::domain::time::Timestamp;

/// One atomic, durable change of one workspace.
#[derive(Debug)]
pub struct Commit {
    /// Whose data change.
    pub workspace: WorkspaceId,
    /// When it was accepted, by our clock.
    pub time: Timestamp,
    /// Everything that the decision read, absence included.
    pub preconditions: Vec<Precondition>,
    /// A commit that every one of these reads has seen, as it was when the first of them began. With it the store need
    /// not read again what no later commit has changed.
    pub read_at: Option<Revision>,
    /// What was decided, in order: the truth.
    pub facts: Vec<Fact>,
    /// What the facts make of the profiles that they touch; always `projection::project` of the facts. The store sets
    /// the revision of each profile to that of the commit.
    pub projection: Projection,
}

/// Something that a decision read. It must still be so when the commit is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// The profile has this revision, or does not exist. A merged profile does not exist.
    Profile(ProfileId, Option<Revision>),
    /// The identifier belongs to this profile, or to nobody.
    Owner(Identifier, Option<ProfileId>),
    /// No event of this key was accepted within the idempotency window.
    EventAbsent(EventKey),
    /// The document has this revision, or does not exist.
    Document(DocumentKey, Option<Revision>),
}

/// A value with the commit that last changed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<T> {
    /// The commit.
    pub revision: Revision,
    /// The value.
    pub value: T,
}

/// An accepted event with its customer of today.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Whose event it is now, after all merges.
    pub profile: ProfileId,
    /// The event.
    pub event: Event,
}

/// A commit that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptedCommit {
    /// Its place in the order of all commits.
    pub revision: Revision,
    /// When it was accepted, by our clock.
    pub time: Timestamp,
    /// What was decided, in order.
    pub facts: Vec<Fact>,
}

/// Some of the commits of a workspace, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// The commits.
    pub commits: Vec<AcceptedCommit>,
    /// Every commit of the workspace up to this one is among them, or was asked for before.
    pub up_to: Revision,
}

/// Some profiles of a scan, in the order of their ids.
pub struct ProfilePage {
    /// Where the next page goes on; `None` where there is none.
    pub last: Option<ProfileId>,
    /// The profiles.
    pub profiles: Box<dyn Iterator<Item = Result<Profile>> + Send>,
}

/// Reads of profiles. A read sees every commit whose revision was returned before the read began.
#[async_trait]
pub trait ProfileReader {
    /// The profiles of `ids`, in their order; the survivor for the id of a merged one, `None` for an unknown one.
    async fn profiles(&self, workspace: &WorkspaceId, ids: &[ProfileId]) -> Result<Vec<Option<Profile>>>;

    /// The profiles that own the identifiers, in their order; `None` where nobody does.
    async fn owners(&self, workspace: &WorkspaceId, identifiers: &[Identifier]) -> Result<Vec<Option<ProfileId>>>;

    /// At most `limit` profiles in the order of their ids, after `after`; an empty answer is the end. Profiles that
    /// are created or merged away during a scan may be seen or not, others are seen exactly once.
    async fn scan_profiles(
        &self,
        workspace: &WorkspaceId,
        after: Option<ProfileId>,
        limit: usize,
    ) -> Result<Vec<Profile>>;

    /// The same, but each profile is opened when it is taken from the page, which costs what computing takes and no waiting:
    /// so pages can be read one after the other and opened side by side. A page may have fewer profiles than `limit`, and none
    /// at all, and still not be the last one.
    async fn profile_page(
        &self,
        workspace: &WorkspaceId,
        after: Option<ProfileId>,
        limit: usize,
    ) -> Result<ProfilePage> {
        let profiles = self.scan_profiles(workspace, after, limit).await?;
        Ok(ProfilePage {
            last: profiles.last().map(|profile| profile.id),
            profiles: Box::new(profiles.into_iter().map(Ok)),
        })
    }

    /// All workspaces that ever had a commit, sorted.
    async fn workspaces(&self) -> Result<Vec<WorkspaceId>>;
}

/// A customer as readers name them.
#[derive(Debug, Clone, Copy)]
pub enum Named<'a> {
    /// By the id of a profile.
    Profile(ProfileId),
    /// By an identifier that they own.
    Identifier(&'a Identifier),
}

/// Something that was made of a profile and can be made again.
#[derive(Debug, Clone)]
pub struct Memo {
    /// What was made.
    pub value: Arc<dyn Any + Send + Sync>,
    /// Bytes of memory that it takes.
    pub bytes: usize,
}

/// What readers made of profiles, kept in memory beside them: whoever finds it there need not read the profile again.
pub trait Memos {
    /// What is remembered of the customer, where the profile is still the one that it was made of, as a read that begins
    /// now would find it. Nothing means only that the profile has to be read.
    fn recall(&self, workspace: &WorkspaceId, named: Named<'_>) -> Option<Memo>;

    /// Remembers something that was made of a profile of this revision, in the place of what was remembered of it before.
    /// A store may forget it at any time, and does when the profile changes.
    fn remember(&self, workspace: &WorkspaceId, profile: (ProfileId, Revision), memo: Memo);
}

/// Forgetting customers.
#[async_trait]
pub trait Erasures {
    /// What stands for an identifier of a workspace: the same for as long as there is the store, and nothing that the
    /// identifier could be told from without its key.
    fn mark(&self, workspace: &WorkspaceId, identifier: &Identifier) -> Result<Mark>;

    /// A key for a purpose, the same for as long as there is the store; nobody can guess it.
    fn derived_key(&self, purpose: &str) -> Result<[u8; 32]>;

    /// Commits, as [`CommitStore::commit`] does, and then destroys everything that the parts of a profile were made of: no
    /// read, no later start and no copy that is without its own keys tells anything of them any more. The facts of the
    /// commit say so with the `fact`. When this is answered both are durable; where it is not, a later start has done
    /// both or neither.
    async fn erase(&self, commit: Commit, fact: &EraseFact) -> Result<Revision>;

    /// Erasures that were carried out before and whose customers are there again, because a backup of before was restored.
    async fn outstanding(&self) -> Result<Vec<Outstanding>>;
}

/// An erasure that must be carried out again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outstanding {
    /// Where.
    pub workspace: WorkspaceId,
    /// The erasure.
    pub erasure: Uuid,
    /// What the customer was made of.
    pub parts: Vec<ProfileId>,
}

/// Reads of accepted events.
#[async_trait]
pub trait EventReader {
    /// The events accepted under `keys`, in their order; `None` where there is none within the idempotency window.
    async fn find_events(&self, workspace: &WorkspaceId, keys: &[EventKey]) -> Result<Vec<Option<StoredEvent>>>;

    /// What is kept of the events that were accepted for each of `parts`, in their order: the events in canonical order,
    /// and what those that were forgotten add up to; of an unknown part there is nothing. A customer's history is that
    /// of all parts of their profile; neither a merge nor its end moves an event.
    async fn histories(&self, workspace: &WorkspaceId, parts: &[ProfileId]) -> Result<Vec<History>>;
}

/// Reads of documents.
#[async_trait]
pub trait DocumentReader {
    /// The document, or `None`.
    async fn document(&self, workspace: &WorkspaceId, key: &DocumentKey) -> Result<Option<Versioned<Document>>>;

    /// At most `limit` documents of a kind in the order of their names, after the name `after`.
    async fn documents(
        &self,
        workspace: &WorkspaceId,
        kind: DocumentKind,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Versioned<Document>>>;
}

/// Writes.
#[async_trait]
pub trait CommitStore {
    /// Applies a commit as a whole and answers once it is durable: it survives the death of the process and a power
    /// cut, and every read that begins afterwards sees it. Commits are totally ordered by their revisions.
    ///
    /// # Errors
    /// [`Error::Conflict`](super::Error::Conflict) when a precondition does not hold, and
    /// [`Error::TooLarge`](super::Error::TooLarge) and [`Error::DiskFull`](super::Error::DiskFull): nothing was written.
    /// [`Error::Poisoned`](super::Error::Poisoned): whether this commit is durable is unknown, no later one is taken.
    async fn commit(&self, commit: Commit) -> Result<Revision>;

    /// The revision of the last durable commit of any workspace.
    fn revision(&self) -> Revision;
}

/// Reads of what was accepted, for those who follow it. Only commits that are durable and that reads see are told.
#[async_trait]
pub trait CommitReader {
    /// At most `limit` commits of a workspace after `after`, in order, and fewer where they are large or lie among many
    /// of others. An answer without commits is the end only where `up_to` is no later than `after`; else the next ones
    /// begin after `up_to`.
    ///
    /// # Errors
    /// [`Error::Forgotten`](super::Error::Forgotten) where commits after `after` are not kept any more.
    async fn commits_after(&self, workspace: &WorkspaceId, after: Revision, limit: usize) -> Result<Followed>;

    /// Waits until a commit after `after`, of any workspace, can be read.
    async fn committed_after(&self, after: Revision) -> Result<()>;

    /// The first commit that is still kept, or that will be the first.
    fn oldest_commit(&self) -> Revision;
}

/// What was forgotten of all workspaces, so that what it was told of in is not needed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// All events that happened before this time are forgotten,
    pub before: Timestamp,
    /// and were when this commit was applied, in every workspace that had a commit up to it.
    pub by: Revision,
}

/// Letting go of commits that nothing needs any more.
#[async_trait]
pub trait Retention {
    /// Lets go of the oldest commits, and answers with the first one that is kept: of those up to `forgotten.by` that
    /// were accepted so long before `forgotten.before` that no event that is kept can be among them, as many as is safe
    /// just now. A store may first want to keep elsewhere what follows from them, and lets go of them at a later call.
    /// Commits within the idempotency window stay. What was read of profiles, histories and documents is read as before.
    ///
    /// # Errors
    /// [`Error::DiskFull`](super::Error::DiskFull): nothing was let go of.
    async fn forget_commits(&self, forgotten: Forgotten) -> Result<Revision>;
}

/// Blobs of trained models. They are written before the commit that points to them and never change.
#[async_trait]
pub trait ArtifactStore {
    /// Keeps the bytes durably under the version; the same version again replaces them.
    ///
    /// # Errors
    /// [`Error::DiskFull`](super::Error::DiskFull): nothing was written.
    async fn put_artifact(&self, workspace: &WorkspaceId, version: &ModelVersion, bytes: Vec<u8>) -> Result<()>;

    /// The bytes, or `None`.
    ///
    /// # Errors
    /// [`Error::Damaged`](super::Error::Damaged) when they are not what was kept.
    async fn artifact(&self, workspace: &WorkspaceId, version: &ModelVersion) -> Result<Option<Vec<u8>>>;

    /// Removes the bytes; removing what is not there is no error.
    async fn remove_artifact(&self, workspace: &WorkspaceId, version: &ModelVersion) -> Result<()>;
}

/// Copies of everything that is kept, for the day on which it is lost.
#[async_trait]
pub trait Backups {
    /// Copies everything up to the last commit that is durable and that reads see, while writes go on, and answers once
    /// the copy is durable and was read back. In a directory that holds an earlier backup of this store only what is
    /// new is copied; until the new backup is complete, the earlier one stays valid.
    ///
    /// # Errors
    /// [`Error::Refused`](super::Error::Refused) where the directory cannot take the backup, with what would;
    /// [`Error::BackupRunning`](super::Error::BackupRunning) while another one is made;
    /// [`Error::Unsupported`](super::Error::Unsupported) by a store that has no files;
    /// [`Error::Abandoned`](super::Error::Abandoned) where the observer or the store ended it.
    async fn back_up(&self, request: BackupRequest) -> Result<BackedUp>;
}

/// What of the audit log is asked for.
#[derive(Debug, Clone)]
pub struct AuditQuery {
    /// Whose entries.
    pub workspace: WorkspaceId,
    /// Only entries about one of these; empty is all, also those about nobody.
    pub subjects: Vec<ProfileId>,
    /// Only entries from this time on.
    pub start: Option<Timestamp>,
    /// Only entries before this time.
    pub end: Option<Timestamp>,
    /// Only entries before the one with this number.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: usize,
}

/// An entry with its place in the log of all workspaces, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedEntry {
    /// The place.
    pub number: u64,
    /// The entry.
    pub entry: AuditEntry,
}

/// Some entries of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries, the last one first.
    pub entries: Vec<NumberedEntry>,
    /// Everything from this number on was looked at, and there may be more before it; `None` is the end.
    pub next: Option<u64>,
}

impl AuditQuery {
    /// Whether an entry is asked for.
    pub fn wants(&self, number: u64, entry: &AuditEntry) -> bool {
        let about = |subject: ProfileId| self.subjects.contains(&subject);
        self.before.is_none_or(|before| number < before)
            && entry.call.workspace == self.workspace
            && (self.subjects.is_empty() || entry.call.subject.is_some_and(about))
            && self.start.is_none_or(|start| entry.time >= start)
            && self.end.is_none_or(|end| entry.time < end)
    }
}

/// The log of who did what. Entries are only ever added, and each has its place in one order of all workspaces.
#[async_trait]
pub trait AuditLog {
    /// Adds entries behind all others, in their order, all of them or none, and answers once they are durable. Every read
    /// that begins afterwards sees them.
    ///
    /// # Errors
    /// [`Error::DiskFull`](super::Error::DiskFull) and [`Error::Io`](super::Error::Io): nothing was added.
    async fn append_audit(&self, entries: Vec<AuditEntry>) -> Result<()>;

    /// The entries that are asked for, the last one first, and fewer than the limit where they lie far apart: only where
    /// there is no `next` was everything looked at. Entries that cannot be read any more are left out.
    async fn audit_entries(&self, query: AuditQuery) -> Result<AuditPage>;
}

/// Everything a server keeps.
#[async_trait]
pub trait Store:
    ProfileReader
    + Memos
    + EventReader
    + DocumentReader
    + CommitStore
    + CommitReader
    + Erasures
    + Retention
    + ArtifactStore
    + AuditLog
    + Backups
    + Send
    + Sync
    + 'static
{
    /// The adapter's name, for the operator.
    fn name(&self) -> &'static str;

    /// Whether commits are taken: not after [`Error::Poisoned`](super::Error::Poisoned), and not while the disk is full.
    fn takes_writes(&self) -> bool;

    /// Finishes what was begun and lets go of the data. Every later call fails with
    /// [`Error::Closed`](super::Error::Closed).
    async fn close(&self) -> Result<()>;
}
