//! How far back the history of a workspace goes.

use super::application::App;
use super::error::{Error, Reason, Result};
use crate::domain::fact::{Document, DocumentKey};
use crate::domain::history::Horizon;
use crate::domain::id::WorkspaceId;
use crate::domain::time::Timestamp;
use crate::store::{Precondition, Versioned};

/// The part of a workspace's history that has not expired.
#[derive(Debug, Clone)]
pub(super) struct HistoryKept {
    /// What happened before has expired; the earliest time of all where nothing has.
    pub(super) before: Timestamp,
    /// What must still be so when a decision on it is committed.
    pub(super) precondition: Precondition,
}

impl HistoryKept {
    /// Refuses what lies in the part that has expired.
    pub(super) fn check(&self, time: Timestamp) -> Result<()> {
        if time < self.before { Err(Error::OutOfRange(Reason::HistoryExpired { oldest: self.before })) } else { Ok(()) }
    }
}

impl App {
    /// The history that is kept of a workspace.
    pub(super) async fn history_kept(&self, workspace: &WorkspaceId) -> Result<HistoryKept> {
        let horizon = self.horizon(workspace).await?;
        let seen = horizon.as_ref().map(|horizon| horizon.revision);
        let precondition = Precondition::Document(DocumentKey::horizon(), seen);
        let before = horizon.map_or(Timestamp::MIN, |horizon| horizon.value.before);
        Ok(HistoryKept { before, precondition })
    }

    /// The horizon of a workspace; `None` where nothing ever expired.
    pub(super) async fn horizon(&self, workspace: &WorkspaceId) -> Result<Option<Versioned<Horizon>>> {
        let stored = self.store.document(workspace, &DocumentKey::horizon()).await?;
        Ok(stored.and_then(|Versioned { revision, value }| match value {
            Document::Horizon(value) => Some(Versioned { revision, value }),
            _ => None,
        }))
    }
}
