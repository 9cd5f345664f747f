//! The index as it will be once the present group of commits is durable. Nobody but the committer sees it.

use super::index::keys::EventHash;
use super::index::{Bytes, Change, Index, Source};
use super::journal::EventRef;
use crate::store::Result;

/// Changes of commits that are not durable yet, over the index.
pub(super) struct Stage<'a> {
    index: &'a Index,
    change: Change,
}

impl<'a> Stage<'a> {
    pub(super) fn new(index: &'a Index) -> Self {
        Self { index, change: Change::default() }
    }

    /// Takes over the changes of a further commit.
    pub(super) fn add(&mut self, change: Change) {
        self.change.entries.extend(change.entries);
        self.change.seen.extend(change.seen);
        self.change.applied = change.applied;
        self.change.time = self.change.time.max(change.time);
    }

    /// Whether a commit of this group accepts an event with this hash. The event cannot be read yet.
    pub(super) fn accepts(&self, hash: &EventHash) -> bool {
        self.change.seen.contains_key(hash)
    }

    pub(super) fn into_change(self) -> Change {
        self.change
    }
}

impl Source for Stage<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.change.entries.get(key) {
            Some(value) => Ok(Some(value.as_slice().into())),
            None => self.index.get(key),
        }
    }

    fn seen(&self, hash: &EventHash) -> Result<Option<EventRef>> {
        match self.change.seen.get(hash) {
            Some(at) => Ok(Some(*at)),
            None => self.index.seen(hash),
        }
    }
}
