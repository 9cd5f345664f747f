//! The index as it will be once the present group of commits is durable. Nobody but the committer sees it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::index::keys::EventHash;
use super::index::{Bytes, Change, Index, Source};
use super::journal::EventRef;
use super::vault::Vault;
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::store::Result;

/// What the commits of one group change.
#[derive(Debug, Default)]
pub(super) struct Staged {
    entries: HashMap<Bytes, Bytes>,
    seen: HashMap<EventHash, EventRef>,
    applied: Revision,
    time: Option<Timestamp>,
}

impl Staged {
    /// The last of the commits.
    pub(super) fn applied(&self) -> Revision {
        self.applied
    }

    /// Takes over the changes of a further commit.
    fn add(&mut self, change: Change) {
        self.entries.extend(change.entries);
        self.seen.extend(change.seen);
        self.applied = change.applied;
        self.time = self.time.max(change.time);
    }

    /// The changes of all commits, as one.
    pub(super) fn change(&self) -> Change {
        let entries = self.entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        Change { entries, seen: self.seen.clone(), applied: self.applied, time: self.time }
    }
}

/// Changes of commits that are not durable yet, over those of groups on their way to the disk, over the index.
pub(super) struct Stage<'a> {
    index: &'a Index,
    /// The groups on their way, oldest first. One of them may be published meanwhile; it says the same then.
    ahead: &'a [Arc<Staged>],
    staged: Staged,
    /// What the index answered. Whatever changes it is published by a group ahead, which is asked first, so that an answer
    /// holds.
    read: RefCell<HashMap<Bytes, Option<Bytes>>>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(index: &'a Index, ahead: &'a [Arc<Staged>], staged: Staged) -> Self {
        Self { index, ahead, staged, read: RefCell::default() }
    }

    /// Takes over the changes of a further commit.
    pub(super) fn add(&mut self, change: Change) {
        self.staged.add(change);
    }

    /// Whether a commit of this group, or of one ahead, accepts an event with this hash. The event cannot be read yet.
    pub(super) fn accepts(&self, hash: &EventHash) -> bool {
        self.layers().any(|layer| layer.seen.contains_key(hash))
    }

    /// What the group changes.
    pub(super) fn into_staged(self) -> Staged {
        self.staged
    }

    /// Newest first.
    fn layers(&self) -> impl Iterator<Item = &Staged> {
        std::iter::once(&self.staged).chain(self.ahead.iter().rev().map(Arc::as_ref))
    }
}

impl Source for Stage<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        if let Some(value) = self.layers().find_map(|layer| layer.entries.get(key)) {
            return Ok(Some(value.clone()));
        }
        if let Some(answer) = self.read.borrow().get(key) {
            return Ok(answer.clone());
        }
        let answer = self.index.get(key)?;
        self.read.borrow_mut().insert(key.into(), answer.clone());
        Ok(answer)
    }

    fn seen(&self, hash: &EventHash) -> Result<Option<EventRef>> {
        match self.layers().find_map(|layer| layer.seen.get(hash)) {
            Some(at) => Ok(Some(*at)),
            None => self.index.seen(hash),
        }
    }

    fn vault(&self) -> &Vault {
        self.index.vault()
    }
}
