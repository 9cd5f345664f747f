//! The reading half of the port. What is in memory is read at once; for anything else a method leaves the async workers
//! once, for all that it reads.

use async_trait::async_trait;

use super::codec;
use super::entry::{self, Entry};
use super::index::{Source, keys};
use super::journal::Wanted;
use super::preconditions::{Memory, owner_today};
use super::sheaf;
use super::store::{EmbeddedStore, Open};
use super::timeline;
use super::vault::Vault;
use crate::domain::event::EventKey;
use crate::domain::fact::{Document, DocumentKey, DocumentKind};
use crate::domain::fold;
use crate::domain::history::History;
use crate::domain::id::{ProfileId, Revision, WorkspaceId};
use crate::domain::identifier::Identifier;
use crate::domain::profile::Profile;
use crate::store::{
    CommitReader, DocumentReader, Error, EventReader, Followed, ProfilePage, ProfileReader, Result, StoredEvent,
    Versioned,
};

/// Entries that a scan reads at a time.
const PAGE: usize = 1_000;
/// How often histories are read again that have changed meanwhile.
const ATTEMPTS: usize = 5;

#[async_trait]
impl ProfileReader for EmbeddedStore {
    async fn profiles(&self, workspace: &WorkspaceId, ids: &[ProfileId]) -> Result<Vec<Option<Profile>>> {
        let (workspace, ids) = (workspace.clone(), ids.to_vec());
        self.look_up(move |_, index| ids.iter().map(|id| profile(index, &workspace, *id)).collect()).await
    }

    async fn owners(&self, workspace: &WorkspaceId, identifiers: &[Identifier]) -> Result<Vec<Option<ProfileId>>> {
        let (workspace, identifiers) = (workspace.clone(), identifiers.to_vec());
        self.look_up(move |_, index| {
            let owner = |identifier: &Identifier| {
                let key = keys::owner(&workspace, index.vault().mark(&workspace, identifier));
                owner_today(index, &workspace, index.get(&key)?.as_deref())
            };
            identifiers.iter().map(owner).collect()
        })
        .await
    }

    async fn scan_profiles(
        &self,
        workspace: &WorkspaceId,
        after: Option<ProfileId>,
        limit: usize,
    ) -> Result<Vec<Profile>> {
        let workspace = workspace.clone();
        self.read(move |open| scan(open, &workspace, after, limit)).await
    }

    async fn profile_page(
        &self,
        workspace: &WorkspaceId,
        after: Option<ProfileId>,
        limit: usize,
    ) -> Result<ProfilePage> {
        let workspace = workspace.clone();
        self.read(move |open| sheaf::page(open, &workspace, after, limit)).await
    }

    async fn workspaces(&self) -> Result<Vec<WorkspaceId>> {
        self.read(|open| {
            let (mut workspaces, mut after) = (Vec::new(), None::<Vec<u8>>);
            loop {
                let page = open.index().page(&keys::WORKSPACES, after.as_deref(), PAGE)?;
                workspaces.extend(page.iter().filter_map(|(key, _)| keys::parse_workspace(key)));
                match page.last() {
                    Some((last, _)) if page.len() == PAGE => after = Some(last.to_vec()),
                    _ => return Ok(workspaces),
                }
            }
        })
        .await
    }
}

#[async_trait]
impl EventReader for EmbeddedStore {
    async fn find_events(&self, workspace: &WorkspaceId, keys: &[EventKey]) -> Result<Vec<Option<StoredEvent>>> {
        let (workspace, keys) = (workspace.clone(), keys.to_vec());
        self.look_up(move |open, index| keys.iter().map(|key| find_event(open, index, &workspace, key)).collect()).await
    }

    async fn histories(&self, workspace: &WorkspaceId, parts: &[ProfileId]) -> Result<Vec<History>> {
        let (workspace, parts) = (workspace.clone(), parts.to_vec());
        self.read(move |open| histories(open, &workspace, &parts)).await
    }
}

#[async_trait]
impl DocumentReader for EmbeddedStore {
    async fn document(&self, workspace: &WorkspaceId, key: &DocumentKey) -> Result<Option<Versioned<Document>>> {
        let (workspace, key) = (workspace.clone(), keys::document(workspace, key));
        self.look_up(move |_, index| {
            let stored = index.get(&key)?;
            let document = stored.map(|stored| document(index.vault(), &workspace, (&key, &stored)));
            Ok(document.transpose()?.flatten())
        })
        .await
    }

    async fn documents(
        &self,
        workspace: &WorkspaceId,
        kind: DocumentKind,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Versioned<Document>>> {
        let prefix = keys::documents(workspace, kind);
        let after = after.map(|name| keys::document(workspace, &DocumentKey { kind, name: name.to_owned() }));
        let workspace = workspace.clone();
        self.read(move |open| {
            let (mut found, mut after) = (Vec::new(), after);
            // What belonged to forgotten customers is passed over.
            while found.len() < limit {
                let wanted = limit - found.len();
                let page = open.index().page(&prefix, after.as_deref(), wanted)?;
                for (key, value) in &page {
                    found.extend(document(open.index().vault(), &workspace, (key, value))?);
                }
                match page.last() {
                    Some((last, _)) if page.len() == wanted => after = Some(last.to_vec()),
                    _ => break,
                }
            }
            Ok(found)
        })
        .await
    }
}

#[async_trait]
impl CommitReader for EmbeddedStore {
    async fn commits_after(&self, workspace: &WorkspaceId, after: Revision, limit: usize) -> Result<Followed> {
        let workspace = workspace.clone();
        // What is in the journal behind it may not be durable yet.
        let visible = self.status().revision();
        self.read(move |open| open.trail().follow(&workspace, Wanted { after, visible, limit })).await
    }

    async fn committed_after(&self, after: Revision) -> Result<()> {
        self.status().committed_after(after).await
    }

    fn oldest_commit(&self) -> Revision {
        self.oldest()
    }
}

/// The commit that last changed a document.
pub(super) fn document_revision(stored: &[u8]) -> Result<Revision> {
    Ok(document_parts(stored)?.0)
}

/// A document; `None` where it was about a customer who is forgotten.
fn document(
    vault: &Vault,
    workspace: &WorkspaceId,
    (key, stored): (&[u8], &[u8]),
) -> Result<Option<Versioned<Document>>> {
    let (revision, sealed) = document_parts(stored)?;
    let Some(document) = entry::open(vault, workspace, key, sealed)? else { return Ok(None) };
    Ok(Some(Versioned { revision, value: codec::decode("a document", &document)? }))
}

fn document_parts(stored: &[u8]) -> Result<(Revision, &[u8])> {
    let parts =
        stored.split_first_chunk().map(|(revision, document)| (Revision(u64::from_le_bytes(*revision)), document));
    parts.ok_or_else(|| Error::Index("a document is cut off".to_owned()))
}

fn profile(index: &impl Source, workspace: &WorkspaceId, id: ProfileId) -> Result<Option<Profile>> {
    match Entry::resolve(index, workspace, id)? {
        Some((id, entry)) => entry.profile(index.vault(), workspace, &keys::profile(workspace, id)),
        None => Ok(None),
    }
}

fn scan(open: &Open, workspace: &WorkspaceId, after: Option<ProfileId>, limit: usize) -> Result<Vec<Profile>> {
    let (mut after, mut profiles) = (after, Vec::with_capacity(limit.min(PAGE)));
    while profiles.len() < limit {
        let page = sheaf::page(open, workspace, after, (limit - profiles.len()).min(PAGE))?;
        if page.last.is_none() {
            break;
        }
        after = page.last;
        for profile in page.profiles {
            profiles.push(profile?);
        }
    }
    Ok(profiles)
}

fn find_event(
    open: &Open,
    index: &impl Source,
    workspace: &WorkspaceId,
    key: &EventKey,
) -> Result<Option<StoredEvent>> {
    let memory = Memory { segments: open.segments(), window: open.window(), now: open.index().meta().time };
    let Some(fact) = memory.find(index, workspace, key)? else { return Ok(None) };
    let owner = Entry::resolve_id(index, workspace, fact.part)?;
    Ok(owner.map(|profile| StoredEvent { profile, event: fact.event }))
}

/// The histories of parts as they were at one moment, unless they change again and again: a base may be kept with one
/// part and be of another one too, and must not be missed because it came to be in between.
fn histories(open: &Open, workspace: &WorkspaceId, parts: &[ProfileId]) -> Result<Vec<History>> {
    let revision = |part: &ProfileId| Ok(Entry::find(open.index(), workspace, *part)?.map(|entry| entry.head.revision));
    let revisions = || parts.iter().map(revision).collect::<Result<Vec<_>>>();
    let mut before = revisions()?;
    for attempt in 1.. {
        let mut histories = Vec::with_capacity(parts.len());
        for part in parts {
            let mut history = timeline::history((open.index(), open.segments()), workspace, *part)?;
            fold::sort(&mut history.events);
            histories.push(history);
        }
        let after = revisions()?;
        if before == after || attempt == ATTEMPTS {
            return Ok(histories);
        }
        before = after;
    }
    Ok(Vec::new())
}
