//! The end of the log, as it was acknowledged last.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::batch::Hash;
use super::names;
use crate::store::embedded::{codec, files};
use crate::store::{Error, Result};

const MAGIC: [u8; 4] = *b"RPAL";
const FORMAT: u32 = 1;

/// The end of the log: it reaches at least so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::store::embedded) struct Last {
    /// The last entry; 0 where there is none.
    pub(in crate::store::embedded) number: u64,
    /// The hash of its batch.
    pub(in crate::store::embedded) hash: Hash,
}

impl Last {
    /// What was acknowledged in a data directory; `None` where nothing ever was, and after a restore.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Format`].
    pub(in crate::store::embedded) fn read(directory: &Path) -> Result<Option<Self>> {
        let path = names::last(directory);
        let Some(file) = files::read(&path)? else { return Ok(None) };
        match codec::open_file(MAGIC, &file) {
            Ok((FORMAT, content)) => codec::decode("the end of the audit log", content)
                .map(Some)
                .map_err(|_| files::damaged(&path, 0, "the content cannot be read")),
            Ok((found, _)) => Err(Error::Format { file: path.display().to_string(), found, supported: FORMAT }),
            Err(what) => Err(files::damaged(&path, 0, what)),
        }
    }

    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        files::write_atomically(&names::last(directory), &codec::seal_file(MAGIC, FORMAT, &codec::encode(self)?))
    }
}
