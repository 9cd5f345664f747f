//! Forgetting customers: a commit, and then the destruction of their keys.
//!
//! What is to be destroyed is noted first, so that a start after a kill ends what was begun. From the commit on no older
//! checkpoint is used: in one of a time at which the customer was one with another, what was the other's would be lost with
//! the key.

use std::sync::Arc;

use async_trait::async_trait;

use super::entry::Entry;
use super::index::{Index, Source as _, keys};
use super::manifest::{self, Manifest};
use super::store::{EmbeddedStore, Open};
use super::vault::{Erased, Erasing, Vault};
use crate::domain::erasure::{EraseFact, Mark};
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::identifier::Identifier;
use crate::store::{Commit, CommitStore as _, Erasures, Error, Outstanding, Result};

#[async_trait]
impl Erasures for EmbeddedStore {
    fn mark(&self, workspace: &WorkspaceId, identifier: &Identifier) -> Result<Mark> {
        Ok(self.opened()?.index().vault().mark(workspace, identifier))
    }

    fn derived_key(&self, purpose: &str) -> Result<[u8; 32]> {
        Ok(self.opened()?.index().vault().derived_key(purpose))
    }

    async fn erase(&self, commit: Commit, fact: &EraseFact) -> Result<Revision> {
        let _one_at_a_time = self.erasing().lock().await;
        let (workspace, fact) = (commit.workspace.clone(), fact.clone());
        let noted = self.read(move |open| note(open, workspace, fact)).await?;
        let committed = self.commit(commit).await;
        let status = self.shared_status();
        let made = match &committed {
            Ok(revision) => Some(*revision),
            Err(Error::Conflict) => None,
            // Nobody knows what became of it: the note stays, and the next start finds out.
            Err(_) => return committed,
        };
        let ended = self.read(move |open| match made {
            Some(revision) => {
                forget_memos(open.index(), &noted);
                // No other one of their time is needed any more.
                if !open.trail().is_whole() {
                    open.index().make_checkpoint(|| status.patience().is_continue());
                }
                use_none_before(open, revision)?;
                open.index().vault().end_erasing(Some(&noted))
            }
            None => open.index().vault().end_erasing(None),
        });
        ended.await?;
        committed
    }

    async fn outstanding(&self) -> Result<Vec<Outstanding>> {
        self.read(|open| {
            let mut outstanding = Vec::new();
            for Erased { workspace, erasure, parts } in open.index().vault().erasures()? {
                let mut is_there = false;
                for part in &parts {
                    is_there |= Entry::find(open.index(), &workspace, *part)?.is_some_and(|entry| !entry.head.erased);
                }
                if is_there {
                    outstanding.push(Outstanding { workspace, erasure, parts });
                }
            }
            Ok(outstanding)
        })
        .await
    }
}

/// Notes which keys go.
pub(super) fn note(open: &Open, workspace: WorkspaceId, fact: EraseFact) -> Result<Erasing> {
    let EraseFact { erasure, parts, .. } = fact;
    let mut slots = Vec::new();
    for part in &parts {
        slots.extend(Entry::slot(open.index(), &workspace, *part)?);
    }
    let erasing = Erasing { workspace, erasure, parts, slots };
    open.index().vault().begin_erasing(&erasing)?;
    Ok(erasing)
}

/// Forgets what was made of the profile, which nobody is shown any more, in memory too.
fn forget_memos(index: &Index, erasing: &Erasing) {
    for part in &erasing.parts {
        index.forget_memo(&keys::profile(&erasing.workspace, *part));
    }
}

/// Says in the manifest that no index and no checkpoint from before a commit is gone on from.
fn use_none_before(open: &Open, revision: Revision) -> Result<()> {
    let Manifest { store, mut begin } = manifest::read(open.directory())?;
    begin.usable_from = begin.usable_from.max(revision);
    manifest::write(open.directory(), &Manifest { store, begin })
}

/// Ends an erasure that a process before has begun, once the index is at the end of the journal.
pub(super) fn end_what_was_begun(vault: &Vault, index: &Arc<Index>) -> Result<()> {
    let Some(erasing) = vault.left_erasing()? else { return Ok(()) };
    let was_made = match erasing.parts.first() {
        Some(part) => Entry::find(&**index, &erasing.workspace, *part)?.is_some_and(|entry| entry.head.erased),
        None => false,
    };
    vault.end_erasing(was_made.then_some(&erasing))
}
