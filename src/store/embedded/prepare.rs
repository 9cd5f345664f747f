//! Everything about a commit that can be done before it has its turn, in its caller's thread.

use super::codec::Record;
use super::effects::Effects;
use super::journal::PayloadBuilder;
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::time::Timestamp;
use crate::store::{Commit, Precondition, Result};

/// A commit, encoded.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) workspace: WorkspaceId,
    pub(super) time: Timestamp,
    pub(super) preconditions: Vec<Precondition>,
    pub(super) read_at: Option<Revision>,
    pub(super) payload: Vec<u8>,
    pub(super) records: Vec<Record>,
    pub(super) effects: Effects,
}

impl Prepared {
    pub(super) fn new(commit: Commit) -> Result<Self> {
        let Commit { workspace, time, preconditions, read_at, facts, projection } = commit;
        let builder = PayloadBuilder::new(&workspace, time);
        let (payload, records) = facts.iter().try_fold(builder, PayloadBuilder::add)?.finish();
        let effects = Effects::of(workspace.clone(), time, &facts, projection)?;
        Ok(Self { workspace, time, preconditions, read_at, payload, records, effects })
    }
}
