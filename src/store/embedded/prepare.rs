//! Everything about a commit that can be done before it has its turn, in its caller's thread.

use super::codec::Record;
use super::effects::Effects;
use super::index::Source;
use super::journal::PayloadBuilder;
use super::seals::Seals;
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
    /// Seals and encodes a commit. Looks up in `source` what its customers are sealed with, all of whom were read before.
    pub(super) fn new(commit: Commit, source: &impl Source) -> Result<Self> {
        let Commit { workspace, time, preconditions, read_at, facts, projection } = commit;
        let builder = PayloadBuilder::new(&workspace, time);
        let mut seals = Seals::new(source, &workspace);
        let add = |builder: PayloadBuilder, fact| builder.add(|buffer| seals.append_fact(buffer, fact));
        let (payload, records) = facts.iter().try_fold(builder, add)?.finish();
        let effects = Effects::of((&workspace, time), &facts, projection, &mut seals)?;
        Ok(Self { workspace, time, preconditions, read_at, payload, records, effects })
    }
}
