//! The ledger of erasures: who was forgotten, by ids. It lies in a file of its own, so that whoever restores a backup of before
//! an erasure can have it carried out again.
//!
//! ```text
//! record    length u32 · checksum u32 · workspace, erasure, parts
//! ```

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::opening::{DIRECTORY, Vault};
use crate::domain::id::{ProfileId, WorkspaceId};
use crate::store::embedded::codec::{self, u32_at};
use crate::store::embedded::files::{self, Appender, damaged, failed};
use crate::store::{Error, Result};

/// The file in the folder of keys.
pub(super) const NAME: &str = "erasures";
const HEADER_BYTES: usize = 8;

/// Somebody who was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store::embedded) struct Entry {
    pub(in crate::store::embedded) workspace: WorkspaceId,
    pub(in crate::store::embedded) erasure: Uuid,
    pub(in crate::store::embedded) parts: Vec<ProfileId>,
}

impl Vault {
    /// Adds an erasure, durably.
    pub(in crate::store::embedded) fn note_erasure(&self, entry: &Entry) -> Result<()> {
        let path = self.directory.join(NAME);
        let (known, whole) = read(&path)?;
        if known.contains(entry) {
            return Ok(());
        }
        if !path.exists() {
            files::write_atomically(&path, &[])?;
        }
        let append = || {
            let mut file = Appender::open(&path)?;
            // An attempt before may have ended half-way.
            file.cut(whole as u64).map_err(failed("cutting", &path))?;
            file.write_all(&encode(entry)?).and_then(|()| file.sync()).map_err(failed("writing", &path))
        };
        append()
    }

    /// All erasures that the ledger has.
    pub(in crate::store::embedded) fn erasures(&self) -> Result<Vec<Entry>> {
        Ok(read(&self.directory.join(NAME))?.0)
    }
}

/// Adds the erasures of another ledger to that of a data directory that nobody has open. Returns how many were new.
///
/// # Errors
/// [`Error::Damaged`] for a file that is no ledger.
pub fn take_over(directory: &Path, ledger: &Path) -> Result<usize> {
    if !ledger.exists() {
        return Err(Error::Refused(format!("there is no ledger of erasures at {}", ledger.display())));
    }
    let path: PathBuf = directory.join(DIRECTORY).join(NAME);
    let mut known = read(&path)?.0;
    let before = known.len();
    for entry in read(ledger)?.0 {
        if !known.contains(&entry) {
            known.push(entry);
        }
    }
    let bytes: Vec<u8> = known.iter().map(encode).collect::<Result<Vec<_>>>()?.concat();
    files::write_atomically(&path, &bytes)?;
    Ok(known.len() - before)
}

fn encode(entry: &Entry) -> Result<Vec<u8>> {
    let content = codec::encode(entry)?;
    let length = u32::try_from(content.len()).map_err(|_| Error::Index("an erasure is too large".to_owned()))?;
    Ok([&length.to_le_bytes()[..], &crc32c::crc32c(&content).to_le_bytes(), &content].concat())
}

/// The erasures of a file, and how many bytes they take; what stands behind them was not finished.
fn read(path: &Path) -> Result<(Vec<Entry>, usize)> {
    parse(path, &files::read(path)?.unwrap_or_default())
}

/// The same of the bytes of a file.
pub(in crate::store::embedded) fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Entry>, usize)> {
    let (mut entries, mut at) = (Vec::new(), 0);
    while let Some(header) = bytes.get(at..at + HEADER_BYTES) {
        let end = at + HEADER_BYTES + u32_at(header, 0) as usize;
        let Some(content) = bytes.get(at + HEADER_BYTES..end) else { break };
        if u32_at(header, 4) != crc32c::crc32c(content) {
            return Err(damaged(path, at as u64, "an erasure does not match its checksum"));
        }
        let entry = codec::decode("an erasure", content).map_err(|_| damaged(path, at as u64, "it is no erasure"))?;
        entries.push(entry);
        at = end;
    }
    Ok((entries, at))
}
