//! Writing a checkpoint while commits go on.

use std::collections::HashSet;

use super::disk::{Batch, Bytes, Disk};
use crate::domain::id::Revision;
use crate::store::Result;
use crate::store::embedded::checkpoints::Writer;

/// Bytes of entries that one step writes, between which commits get their turn.
const STEP_BYTES: usize = 1 << 20;

/// A walk over all entries in the order of their keys, by the one thread that changes them.
///
/// What a batch is about to change before the walk has come there is written to the checkpoint first, as it was when
/// the walk began. So the checkpoint holds the state after one commit, although it takes many to write.
pub(super) struct Sweep {
    revision: Revision,
    file: Writer,
    /// The last key that the walk has dealt with.
    last: Bytes,
    /// Keys behind the last one whose value of the beginning is in the checkpoint, or that did not exist then.
    kept: HashSet<Bytes>,
}

/// What a step came to.
pub(super) enum Swept {
    Unfinished(Sweep),
    /// The checkpoint has its name.
    Finished {
        revision: Revision,
        bytes: u64,
    },
}

impl Sweep {
    /// Begins with the state that is in sled just now.
    pub(super) fn new(revision: Revision, file: Writer) -> Self {
        Self { revision, file, last: Bytes::default(), kept: HashSet::new() }
    }

    /// Keeps what a batch is about to change. To be called before each batch.
    pub(super) fn keep(&mut self, disk: &Disk, batch: &Batch) -> Result<()> {
        for key in batch.keys() {
            if *key <= self.last || self.kept.contains(key) {
                continue;
            }
            if let Some(value) = disk.get(key)? {
                self.file.put(key, &value)?;
            }
            self.kept.insert(key.clone());
        }
        Ok(())
    }

    /// Goes on for a while.
    pub(super) fn step(mut self, disk: &Disk) -> Result<Swept> {
        let mut bytes = 0;
        for item in disk.from(&self.last) {
            let (key, value) = item?;
            if key == self.last {
                continue;
            }
            if !self.kept.remove(&key) {
                self.file.put(&key, &value)?;
            }
            bytes += key.len() + value.len();
            self.last = key;
            if bytes >= STEP_BYTES {
                return Ok(Swept::Unfinished(self));
            }
        }
        Ok(Swept::Finished { revision: self.revision, bytes: self.file.finish()? })
    }
}
