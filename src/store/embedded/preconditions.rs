//! Whether everything that a decision read is still so.

use std::time::Duration;

use super::entry::Entry;
use super::index::{Source, keys};
use super::journal::Segments;
use super::reads;
use super::stage::Stage;
use crate::domain::event::EventKey;
use crate::domain::fact::EventFact;
use crate::domain::id::{ProfileId, WorkspaceId};
use crate::domain::time::Timestamp;
use crate::store::{Precondition, Result};

/// Finds accepted events within the idempotency window.
#[derive(Clone, Copy)]
pub(super) struct Memory<'a> {
    pub(super) segments: &'a Segments,
    pub(super) window: Duration,
    /// The latest time that any commit had; the window ends there.
    pub(super) now: Timestamp,
}

impl Memory<'_> {
    /// The event that was accepted under a key.
    pub(super) fn find(
        &self,
        source: &impl Source,
        workspace: &WorkspaceId,
        key: &EventKey,
    ) -> Result<Option<EventFact>> {
        // What was let go of had left the window.
        let at = source.seen(&keys::event(workspace, key))?.filter(|at| self.segments.has(*at));
        let Some(at) = at else { return Ok(None) };
        let Some(fact) = self.segments.event(workspace, at)? else { return Ok(None) };
        // The index knows a digest of the key only; the journal has the key.
        let is_known = fact.event.key == *key && fact.event.times.received >= self.now.minus(self.window);
        Ok(is_known.then_some(fact))
    }
}

/// Whether a precondition holds on what the commits before, of this group too, have left.
pub(super) fn holds(
    stage: &Stage<'_>,
    memory: Memory<'_>,
    workspace: &WorkspaceId,
    condition: &Precondition,
) -> Result<bool> {
    Ok(match condition {
        Precondition::Profile(id, expected) => Entry::revision(stage, workspace, *id)? == *expected,
        Precondition::Owner(identifier, expected) => {
            let owner = stage.get(&keys::owner(workspace, stage.vault().mark(workspace, identifier)))?;
            owner_today(stage, workspace, owner.as_deref())? == *expected
        }
        Precondition::EventAbsent(key) => {
            !stage.accepts(&keys::event(workspace, key)) && memory.find(stage, workspace, key)?.is_none()
        }
        Precondition::Document(key, expected) => {
            let document = stage.get(&keys::document(workspace, key))?;
            document.as_deref().map(reads::document_revision).transpose()? == *expected
        }
    })
}

/// Who owns an identifier after all merges, by what the index says about who claimed it.
pub(super) fn owner_today(
    source: &impl Source,
    workspace: &WorkspaceId,
    claimed: Option<&[u8]>,
) -> Result<Option<ProfileId>> {
    let Some(id) = claimed.and_then(keys::parse_profile) else { return Ok(None) };
    Entry::resolve_id(source, workspace, id)
}
