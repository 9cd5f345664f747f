//! Whether what sled wrote can have been lost.
//!
//! sled does not wait for the disk: after the death of the process its files are whole, because the operating system
//! has them, but after a power cut they may be anything, without any sign of it. So the directory says since which
//! start of the machine it is being written to; after another start it is only trusted if it was closed in order.

use std::fs;
use std::path::{Path, PathBuf};

use crate::store::Result;
use crate::store::embedded::{codec, files};

const MAGIC: [u8; 4] = *b"RPIB";
const FORMAT: u32 = 1;
const CLOSED: &[u8] = b"closed";

/// Says that the index is being written to. Dropped after sled, it says whether that ended in order.
#[derive(Debug)]
pub(in crate::store::embedded) struct Mark {
    path: PathBuf,
    ended_well: bool,
}

impl Mark {
    /// Whether what is there can be trusted.
    pub(in crate::store::embedded) fn is_trusted(directory: &Path) -> Result<bool> {
        let (boot, file) = (boot(), files::read(&path(directory))?);
        let before = file.as_deref().and_then(|file| codec::open_file(MAGIC, file).ok()).map(|(_, content)| content);
        Ok(before.is_some_and(|before| before == CLOSED || (!boot.is_empty() && before == boot)))
    }

    /// Marks the index as being written to from now on: before the first write to one that is trusted, after one that
    /// is not trusted was discarded.
    pub(in crate::store::embedded) fn set(directory: &Path) -> Result<Self> {
        let path = path(directory);
        files::write_atomically(&path, &codec::seal_file(MAGIC, FORMAT, &boot()))?;
        Ok(Self { path, ended_well: false })
    }

    /// Everything is with sled, which only has to be dropped.
    pub(in crate::store::embedded) fn end_well(&mut self) {
        self.ended_well = true;
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if !self.ended_well {
            return;
        }
        // sled syncs its file when it is dropped. If this fails, the index is rebuilt once more than necessary.
        if let Err(error) = files::write_atomically(&self.path, &codec::seal_file(MAGIC, FORMAT, CLOSED)) {
            tracing::warn!(%error, "the index could not be marked as closed");
        }
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("MARK")
}

/// Names the present start of the machine; empty where the system does not say, so that nothing is trusted wrongly.
fn boot() -> Vec<u8> {
    fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_trusted_after_a_kill_and_after_an_orderly_end_but_not_after_a_power_cut() {
        let directory = tempfile::tempdir().expect("a directory");
        let set = || Mark::set(directory.path()).expect("writable");
        let is_trusted = || Mark::is_trusted(directory.path()).expect("readable");
        assert!(!is_trusted(), "nothing says where it comes from");
        let killed = set();
        drop(killed);
        assert!(is_trusted(), "killed on this start of the machine");
        let mut closed = set();
        closed.end_well();
        drop(closed);
        assert!(is_trusted(), "closed in order");
        let before_the_cut = codec::seal_file(MAGIC, FORMAT, b"another start of the machine");
        fs::write(path(directory.path()), before_the_cut).expect("writable");
        assert!(!is_trusted(), "written to when the power went");
    }
}
