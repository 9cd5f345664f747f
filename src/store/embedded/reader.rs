//! Reads of the index that do not wait for a disk unless they must: what is in memory, our own or the operating system's
//! copy of the files, is read on the thread that asks, since handing a question to another thread and the answer back
//! takes ten times longer than answering it.

use std::cell::Cell;

use super::index::keys::EventHash;
use super::index::{Bytes, Index, Source};
use super::journal::EventRef;
use super::locks;
use super::store::{EmbeddedStore, Open};
use super::tables::AtOnce;
use super::vault::Vault;
use crate::store::{Error, Result};

/// The index, all of it or only what is in memory. In the second case it says that there is nothing where it does not
/// know, and remembers that it did.
pub(super) struct Reader<'a> {
    index: &'a Index,
    waits_for_disk: bool,
    lacks_something: Cell<bool>,
}

impl<'a> Reader<'a> {
    fn new(index: &'a Index, waits_for_disk: bool) -> Self {
        Self { index, waits_for_disk, lacks_something: Cell::new(false) }
    }

    fn lacks<T>(&self) -> Option<T> {
        self.lacks_something.set(true);
        None
    }
}

impl Source for Reader<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        if self.waits_for_disk {
            return self.index.get(key);
        }
        Ok(match self.index.get_at_once(key)? {
            AtOnce::Found(value) => value,
            AtOnce::OnDisk => self.lacks(),
        })
    }

    fn seen(&self, hash: &EventHash) -> Result<Option<EventRef>> {
        if self.waits_for_disk {
            return self.index.seen(hash);
        }
        // What was seen lies in the journal, which is on disk.
        Ok(match self.index.is_seen_at_once(hash)? {
            AtOnce::Found(false) => None,
            AtOnce::Found(true) | AtOnce::OnDisk => self.lacks(),
        })
    }

    fn vault(&self) -> &Vault {
        self.index.vault()
    }
}

impl EmbeddedStore {
    /// Looks something up: at once where all of it is in memory, and otherwise where it may block.
    pub(super) async fn look_up<T: Send + 'static>(
        &self,
        work: impl Fn(&Open, &Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if let Some(found) = self.look_up_in_memory(&work)? {
            return Ok(found);
        }
        self.read(move |open| work(open, &Reader::new(open.index(), true))).await
    }

    /// The same as far as memory goes; `None` where that is not far enough. Whoever closes the store waits for the lock.
    fn look_up_in_memory<T>(&self, work: impl Fn(&Open, &Reader<'_>) -> Result<T>) -> Result<Option<T>> {
        let guard = locks::read(self.lock());
        let open = guard.as_ref().ok_or(Error::Closed)?;
        let reader = Reader::new(open.index(), false);
        let found = work(open, &reader);
        if reader.lacks_something.get() { Ok(None) } else { found.map(Some) }
    }
}
