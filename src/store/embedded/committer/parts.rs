//! What a committer works with, and what it does at the disk and behind it.

use std::sync::Arc;
use std::time::Duration;

use super::convoy::Convoy;
use crate::store::embedded::index::Index;
use crate::store::embedded::journal::{Segments, Trail, Writer};
use crate::store::embedded::space::Space;
use crate::store::embedded::status::Status;
use crate::store::{Error, Result};

/// What a committer works with.
pub(in crate::store::embedded) struct Parts {
    pub(in crate::store::embedded) index: Arc<Index>,
    pub(in crate::store::embedded) segments: Arc<Segments>,
    pub(in crate::store::embedded) trail: Arc<Trail>,
    pub(in crate::store::embedded) space: Arc<Space>,
    pub(in crate::store::embedded) status: Arc<Status>,
    /// The idempotency window.
    pub(in crate::store::embedded) window: Duration,
}

impl Parts {
    /// Waits until there is room for a group, in memory and on disk.
    pub(super) fn wait_for_room(&self) -> Result<()> {
        self.index.wait_for_room(|| self.space.check_with(&self.index).is_ok());
        self.status.check()?;
        self.space.check_with(&self.index)
    }

    /// Makes a group durable. Its callers learn of a failure with their answers.
    pub(super) fn write(&self, writer: &mut Writer, convoy: &mut Convoy) -> Result<()> {
        if convoy.group.last().is_none() {
            return Ok(());
        }
        let written = writer.append(&convoy.group).map_err(|error| self.judge(error));
        match &written {
            Ok(()) => self.status.count_group(convoy.group.bytes()),
            Err(error) => convoy.fail(error),
        }
        written
    }

    /// What is durable may be seen, and only then is it acknowledged.
    pub(super) fn publish(&self, convoy: Convoy) {
        if let Some(last) = convoy.group.last() {
            self.index.publish(convoy.staged.change());
            self.trail.note(&convoy.group);
            self.status.set_revision(last);
        }
        convoy.answer();
    }

    /// What callers are told of a write that failed. Unless it was for lack of room, it is the last one that was tried.
    fn judge(&self, error: Error) -> Error {
        if matches!(error, Error::DiskFull(_)) {
            return error;
        }
        self.status.poison(error.to_string());
        Error::Poisoned(error.to_string())
    }
}
