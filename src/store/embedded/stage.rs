//! The index as it will be once the present group of commits is durable. Nobody but the committer sees it.

use std::cell::RefCell;
use std::collections::HashMap;

use super::index::keys::EventHash;
use super::index::{Bytes, Change, Index, Source};
use super::journal::EventRef;
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::store::Result;

/// Changes of commits that are not durable yet, over the index.
pub(super) struct Stage<'a> {
    index: &'a Index,
    entries: HashMap<Bytes, Bytes>,
    seen: HashMap<EventHash, EventRef>,
    applied: Revision,
    time: Option<Timestamp>,
    /// What the index answered. Only the committer changes it, so that an answer holds for the whole group.
    read: RefCell<HashMap<Bytes, Option<Bytes>>>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(index: &'a Index) -> Self {
        Self {
            index,
            entries: HashMap::new(),
            seen: HashMap::new(),
            applied: Revision::default(),
            time: None,
            read: RefCell::default(),
        }
    }

    /// Takes over the changes of a further commit.
    pub(super) fn add(&mut self, change: Change) {
        self.entries.extend(change.entries);
        self.seen.extend(change.seen);
        self.applied = change.applied;
        self.time = self.time.max(change.time);
    }

    /// Whether a commit of this group accepts an event with this hash. The event cannot be read yet.
    pub(super) fn accepts(&self, hash: &EventHash) -> bool {
        self.seen.contains_key(hash)
    }

    /// The changes of all commits, as one.
    pub(super) fn into_change(self) -> Change {
        let entries = self.entries.into_iter().collect();
        Change { entries, seen: self.seen, applied: self.applied, time: self.time }
    }
}

impl Source for Stage<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        if let Some(value) = self.entries.get(key) {
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
        match self.seen.get(hash) {
            Some(at) => Ok(Some(*at)),
            None => self.index.seen(hash),
        }
    }
}
