//! The erasure that is under way: what is to be destroyed, written down before the commit that says so, so that a process
//! that ends in between is followed by one that knows.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ledger::Entry;
use super::opening::Vault;
use super::slots::Slot;
use crate::domain::id::{ProfileId, WorkspaceId};
use crate::store::Result;
use crate::store::embedded::{codec, files};

/// The file in the folder of keys.
pub(super) const NAME: &str = "erasing";
const MAGIC: [u8; 4] = *b"RPER";
const FORMAT: u32 = 1;

/// What is to be destroyed.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store::embedded) struct Erasing {
    pub(in crate::store::embedded) workspace: WorkspaceId,
    pub(in crate::store::embedded) erasure: Uuid,
    /// The parts of the customer. Once the first of them is erased in the index, the commit was made.
    pub(in crate::store::embedded) parts: Vec<ProfileId>,
    pub(in crate::store::embedded) slots: Vec<Slot>,
}

impl Vault {
    fn erasing(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    /// Notes what the next commit will want to have destroyed.
    pub(in crate::store::embedded) fn begin_erasing(&self, erasing: &Erasing) -> Result<()> {
        files::write_atomically(&self.erasing(), &codec::seal_file(MAGIC, FORMAT, &codec::encode(erasing)?))
    }

    /// What a process before noted and did not end.
    pub(in crate::store::embedded) fn left_erasing(&self) -> Result<Option<Erasing>> {
        let path = self.erasing();
        let Some(file) = files::read(&path)? else { return Ok(None) };
        let damaged = |what: &'static str| files::damaged(&path, 0, what);
        let (_, content) = codec::open_file(MAGIC, &file).map_err(damaged)?;
        codec::decode("an erasure", content).map(Some).map_err(|_| damaged("it cannot be read"))
    }

    /// Destroys what was noted; where the commit was not made, only the note.
    pub(in crate::store::embedded) fn end_erasing(&self, destroyed: Option<&Erasing>) -> Result<()> {
        if let Some(erasing) = destroyed {
            let Erasing { workspace, erasure, parts, slots } = erasing;
            let (workspace, parts) = (workspace.clone(), parts.clone());
            self.note_erasure(&Entry { workspace, erasure: *erasure, parts })?;
            self.slots.destroy(slots)?;
        }
        files::remove(&self.erasing())
    }
}
