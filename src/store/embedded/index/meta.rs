//! What an index is and how far it has come.

use serde::{Deserialize, Serialize};

use crate::domain::fold::FOLD_VERSION;
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::store::Result;
use crate::store::embedded::codec;
use crate::store::embedded::manifest::StoreId;

/// Changes whenever entries are laid out differently; an index, or a checkpoint, of another layout is not used. The files
/// of tables have a format of their own.
const LAYOUT: u32 = 5;
const MAGIC: [u8; 4] = *b"RPIX";

/// Written with every batch, so that it always describes what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store::embedded) struct Meta {
    fold: u32,
    pub(super) store: StoreId,
    /// The last commit whose effects the index holds; it holds those of all before.
    pub(in crate::store::embedded) applied: Revision,
    /// The latest time of any of these commits.
    pub(in crate::store::embedded) time: Timestamp,
}

impl Meta {
    /// An index of this release that holds nothing yet.
    pub(in crate::store::embedded) fn empty(store: StoreId) -> Self {
        Self { fold: FOLD_VERSION, store, applied: Revision(0), time: Timestamp::MIN }
    }

    /// Whether this release can go on with the index.
    pub(super) fn is_of(&self, store: StoreId) -> bool {
        (self.fold, self.store) == (FOLD_VERSION, store)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        Ok(codec::seal_file(MAGIC, LAYOUT, &codec::encode(self)?))
    }

    /// `None` for what another release, or no release, has written.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (layout, content) = codec::open_file(MAGIC, bytes).ok()?;
        if layout != LAYOUT {
            return None;
        }
        codec::decode("the description of the index", content).ok()
    }
}
