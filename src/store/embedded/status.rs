//! What all threads of a store know about its condition.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::id::Revision;
use crate::store::{Error, Result};

/// The condition of an open store.
#[derive(Debug, Default)]
pub(super) struct Status {
    poison: OnceLock<String>,
    revision: AtomicU64,
    groups: AtomicU64,
    bytes: AtomicU64,
}

/// What the journal has taken since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Groups of commits, each written and synced at once.
    pub groups: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

impl Status {
    /// Ends the taking of commits, for the first reason that anyone gives.
    pub(super) fn poison(&self, reason: String) {
        tracing::error!(reason, "the store takes no more writes");
        let _ = self.poison.set(reason);
    }

    /// Fails once the store is poisoned.
    pub(super) fn check(&self) -> Result<()> {
        match self.poison.get() {
            None => Ok(()),
            Some(reason) => Err(Error::Poisoned(reason.clone())),
        }
    }

    /// The last durable commit.
    pub(super) fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    /// Publishes the last durable commit. Called after its effects can be read.
    pub(super) fn set_revision(&self, revision: Revision) {
        self.revision.store(revision.0, Ordering::Release);
    }

    pub(super) fn count_group(&self, bytes: usize) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn statistics(&self) -> Statistics {
        Statistics { groups: self.groups.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}
